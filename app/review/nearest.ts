// The nearest contract that would pass: what the lead chose stays, what follows from it is computed anew. Only proposed;
// nobody changes terms that others read.

import { canonicalJson } from '../encoding/canonical-json.ts';
import { ConsilienceError } from '../errors.ts';
import type { ContractDraft } from '../study/contract.ts';
import { reviewContract } from './check.ts';
import type { Review, ReviewInput } from './check.ts';
import { deriveDraft } from './derive.ts';
import type { ForeignMember } from './foreign-members.ts';

export type Change = {
  /** Members from the contract's root, joined by points. */
  readonly where: string;
  /** JSON values. */
  readonly from: unknown;
  readonly to: unknown;
};

export type Nearest = {
  readonly contract: ContractDraft;
  readonly changes: readonly Change[];
  readonly review: Review;
};

/**
 * As `nearestPassing`, for a draft from which foreign members were taken: they are changes too, and where nothing else is
 * wrong they are all of them.
 * @param input of the draft without them
 */
export function nearestWithout(input: ReviewInput, members: readonly ForeignMember[]): Nearest | null {
  const review = reviewContract(input);
  const found = review.outcome === 'refuse' ? nearestPassing(input) : { contract: input.contract, changes: [], review };
  return found === null ? null : { ...found, changes: [...members, ...found.changes] };
}

/**
 * Tries, in this order: the same noise; noise for the stated ε; the fewest colluders that are assumed anyway. Null where
 * none of them passes, so that only the findings' own repairs are left.
 */
export function nearestPassing(input: ReviewInput): Nearest | null {
  const { contract, modelDimension } = input;
  const { epsilon, noise } = contract.privacy;
  const targets = noise === 'none' || epsilon === null ? [null] : [null, epsilon];
  for (const colluders of [contract.sealing.colluders, null, 1])
    for (const targetEpsilon of targets) {
      const tried = derived(contract, { modelDimension, targetEpsilon, colluders });
      if (tried === null) continue;
      const review = reviewContract({ ...input, contract: tried });
      if (review.outcome === 'refuse') continue;
      return { contract: tried, changes: changesBetween(contract, tried, ''), review };
    }
  return null;
}

function derived(contract: ContractDraft, wishes: Parameters<typeof deriveDraft>[1]): ContractDraft | null {
  try {
    return deriveDraft(contract, wishes);
  } catch (error) {
    if (error instanceof ConsilienceError || error instanceof RangeError) return null;
    throw error;
  }
}

function changesBetween(before: unknown, after: unknown, where: string): Change[] {
  if (isPlain(before) && isPlain(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return names.flatMap((name) => changesBetween(before[name], after[name], where === '' ? name : `${where}.${name}`));
  }
  return canonicalJson(before ?? null) === canonicalJson(after ?? null) ? [] : [{ where, from: before, to: after }];
}

const isPlain = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
