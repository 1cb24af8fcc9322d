// The budget guard: the one function that every charge passes, as a pure state machine over plain data that can be
// rebuilt from the ledger's budget entries. The worst case is reserved, a settlement may only lower it, nothing is
// refunded. Spec: design 4, "The ledger" and "Budgets and consent".

import { InvariantError, RefusalError } from '../errors.ts';
import { appliesTo, costAtCeiling, epsilonAtCeiling, shareOfCeiling } from './ceiling.ts';
import type { Ceiling, CeilingKind } from './ceiling.ts';
import { chargeFacts, parsePrivacyEvent } from './events.ts';
import type { PrivacyEvent } from './events.ts';

export type Charge = {
  /** Contract hash. */
  readonly study: string;
  readonly round: number;
  readonly dataset: string;
  readonly event: PrivacyEvent;
};

export type ReservedCharge = Charge & {
  /** Ledger entry that reserved it. */
  readonly seq: number;
  /** The realised, never larger event, and the ledger entry that settled it. */
  readonly settled: { readonly seq: number; readonly event: PrivacyEvent } | null;
};

export type BudgetState = { readonly ceilings: readonly Ceiling[]; readonly charges: readonly ReservedCharge[] };

/** The ledger entries that a budget is made of; their bodies may hold more. */
export type BudgetEntry =
  | {
      readonly seq: number;
      readonly kind: 'budget-reserved';
      readonly body: {
        readonly study: string;
        readonly round: number;
        readonly dataset: string;
        readonly event: unknown;
      };
    }
  | {
      readonly seq: number;
      readonly kind: 'budget-settled';
      readonly body: {
        readonly study: string;
        readonly round: number;
        readonly reservedSeq: number;
        readonly event: unknown;
      };
    };

export type Excess = {
  readonly ceiling: CeilingKind;
  readonly id: string;
  /** ε of the ceiling, at its δ and in its unit. */
  readonly limit: number;
  /** ε that would stand there; Infinity for a release without noise. */
  readonly wouldBe: number;
  readonly by: number;
};

export type Reading = {
  readonly ceiling: Ceiling;
  /** ε used so far at the ceiling's δ: a running reading; the guarantee is the ceiling. Infinity: no bound. */
  readonly used: number;
  /**
   * Used part of what the filter allows, 0 to 1: what a person should be shown. (ε at one order has a constant in it and
   * stands well above 0 after the first charge.) Null where the ceiling is "no bound".
   */
  readonly share: number | null;
};

/** Sums of rounded numbers may differ from the plan's by this much. */
const slack = 1e-9;

export const emptyBudget: BudgetState = Object.freeze({ ceilings: [], charges: [] });

/**
 * Sets a ceiling, or changes the ε of one that stands, or adds datasets or studies to it.
 * @throws RefusalError `ceiling-fixed` where its order, δ or unit would change, `ceiling-scope-shrinks` where charges
 * would stop counting.
 */
export function withCeiling(state: BudgetState, ceiling: Ceiling): BudgetState {
  const standing = state.ceilings.find((one) => one.kind === ceiling.kind && one.id === ceiling.id);
  if (standing !== undefined) {
    if (standing.order !== ceiling.order || standing.delta !== ceiling.delta || standing.unit !== ceiling.unit)
      throw new RefusalError(
        'ceiling-fixed',
        'The order, δ and unit of a privacy ceiling are fixed when it is set; only its ε may change.',
      );
    if (shrinks(standing.datasets, ceiling.datasets) || shrinks(standing.studies, ceiling.studies))
      throw new RefusalError(
        'ceiling-scope-shrinks',
        'A privacy ceiling goes on counting every dataset and study it has counted.',
      );
  }
  return { ...state, ceilings: [...state.ceilings.filter((one) => one !== standing), ceiling] };
}

/** A consent that was withdrawn or has expired allows nothing more; what was charged under it stays charged. */
export function withoutConsent(state: BudgetState, id: string): BudgetState {
  return { ...state, ceilings: state.ceilings.filter((one) => one.kind !== 'consent' || one.id !== id) };
}

function shrinks(before: readonly string[] | null, after: readonly string[] | null): boolean {
  if (after === null) return false;
  return before === null || before.some((one) => !after.includes(one));
}

/**
 * Which ceiling the charge would exceed, and by how much; null when all allow it. Of several, the one exceeded most.
 * @throws RefusalError `no-consent` or `no-dataset-ceiling` when nothing of that kind covers the charge, or the
 * accountant's own refusal of the event.
 */
export function wouldExceed(state: BudgetState, charge: Charge): Excess | null {
  const ceilings = state.ceilings.filter((ceiling) => appliesTo(ceiling, charge));
  if (!ceilings.some((ceiling) => ceiling.kind === 'consent'))
    throw new RefusalError('no-consent', 'No consent of this institution covers the charge. Nothing was sent.');
  if (!ceilings.some((ceiling) => ceiling.kind === 'dataset'))
    throw new RefusalError(
      'no-dataset-ceiling',
      'The dataset has no privacy ceiling; set one before it takes part in a study. Nothing was sent.',
    );
  chargeFacts(charge.event);
  let worst: Excess | null = null;
  for (const ceiling of ceilings) {
    if (ceiling.epsilon === null) continue;
    const cost = usedAt(state, ceiling) + costAtCeiling(charge.event, ceiling);
    const wouldBe = epsilonAtCeiling(cost, ceiling);
    const by = wouldBe - ceiling.epsilon;
    if (by > slack * Math.max(1, ceiling.epsilon) && (worst === null || by > worst.by))
      worst = { ceiling: ceiling.kind, id: ceiling.id, limit: ceiling.epsilon, wouldBe, by };
  }
  return worst;
}

/**
 * Reserves the worst case under ledger entry `seq`.
 * @throws RefusalError `budget-exceeded`, `already-charged`, or as `wouldExceed`.
 */
export function reserve(state: BudgetState, seq: number, charge: Charge): BudgetState {
  const excess = wouldExceed(state, charge);
  if (excess !== null) {
    const standing =
      excess.wouldBe === Infinity ? 'no ε would bound it' : `it would stand at ε = ${excess.wouldBe.toPrecision(4)}`;
    throw new RefusalError(
      'budget-exceeded',
      `The ${excess.ceiling} ceiling "${excess.id}" of ε = ${excess.limit} would be exceeded: ${standing}. Nothing was sent.`,
    );
  }
  return applyBudgetEntry(state, { seq, kind: 'budget-reserved', body: charge });
}

/**
 * Replaces a reservation by the realised charge. The caller has the transcript that proves it (≥ t signatures).
 * @throws RefusalError `settlement-unknown`, `already-settled` or `settlement-larger`.
 */
export function settle(state: BudgetState, seq: number, reservedSeq: number, event: PrivacyEvent): BudgetState {
  const reserved = state.charges.find((charge) => charge.seq === reservedSeq);
  if (reserved === undefined)
    throw new RefusalError('settlement-unknown', `Ledger entry ${reservedSeq} reserves no privacy charge.`);
  return applyBudgetEntry(state, {
    seq,
    kind: 'budget-settled',
    body: { study: reserved.study, round: reserved.round, reservedSeq, event },
  });
}

/**
 * One ledger entry. The ledger is the truth: a reservation in it counts even where a ceiling has since been lowered.
 * @throws RefusalError for entries that contradict earlier ones; InputError `privacy-event`.
 */
export function applyBudgetEntry(state: BudgetState, entry: BudgetEntry): BudgetState {
  const book = chargeBook(state.charges);
  book.apply(entry);
  return { ...state, charges: book.charges };
}

/** The state that a ledger and the ceilings in force give. @throws as applyBudgetEntry. */
export function rebuildBudget(ceilings: readonly Ceiling[], entries: Iterable<BudgetEntry>): BudgetState {
  const book = chargeBook([]);
  for (const entry of entries) book.apply(entry);
  return { ...ceilings.reduce(withCeiling, emptyBudget), charges: book.charges };
}

/** Charges with their places by ledger entry and by round, so that a long ledger takes no longer for each entry. */
function chargeBook(before: readonly ReservedCharge[]) {
  const charges = [...before];
  const placeOf = new Map<number, number>();
  const taken = new Set<string>();
  const nameOf = (one: Pick<Charge, 'study' | 'round' | 'dataset'>): string =>
    JSON.stringify([one.study, one.round, one.dataset]);
  /** Rounds of a study are charged alike: one object for all, and its cost (ceiling.ts) is computed once. */
  const alike = new Map<string, PrivacyEvent>();
  let latest = 0;
  for (const [place, charge] of charges.entries()) {
    placeOf.set(charge.seq, place);
    taken.add(nameOf(charge));
    latest = Math.max(latest, charge.seq, charge.settled?.seq ?? 0);
  }

  function add(
    seq: number,
    { study, round, dataset }: Pick<Charge, 'study' | 'round' | 'dataset'>,
    event: PrivacyEvent,
  ) {
    chargeFacts(event);
    const name = nameOf({ study, round, dataset });
    if (taken.has(name))
      throw new RefusalError(
        'already-charged',
        `Round ${round} of this study is already charged to this dataset; a new attempt needs a new round number.`,
      );
    taken.add(name);
    placeOf.set(seq, charges.length);
    charges.push({ seq, study, round, dataset, event, settled: null });
  }

  return {
    charges,
    apply(entry: BudgetEntry): void {
      const parsed = parsePrivacyEvent(entry.body.event);
      const text = JSON.stringify(parsed);
      const event = alike.get(text) ?? parsed;
      alike.set(text, event);
      const { seq } = entry;
      if (!(Number.isSafeInteger(seq) && seq > latest))
        throw new InvariantError('budget-out-of-order', `Budget entry ${seq} does not follow entry ${latest}.`);
      if (entry.kind === 'budget-reserved') add(seq, entry.body, event);
      else {
        const { study, round, reservedSeq } = entry.body;
        const place = placeOf.get(reservedSeq);
        const reserved = place === undefined ? undefined : charges[place]!;
        if (place === undefined || reserved === undefined || reserved.study !== study || reserved.round !== round)
          throw new RefusalError(
            'settlement-unknown',
            `Ledger entry ${reservedSeq} does not reserve this round's charge.`,
          );
        if (reserved.settled !== null)
          throw new RefusalError('already-settled', `The charge of ledger entry ${reservedSeq} is settled already.`);
        if (!noLarger(reserved.event, event))
          throw new RefusalError(
            'settlement-larger',
            'A privacy charge can only be settled as what was reserved, with at least as many honest shares and no more steps.',
          );
        charges[place] = { ...reserved, settled: { seq, event } };
      }
      latest = seq;
    },
  };
}

/** What stands at every ceiling, in the order in which they were set. */
export function budgetReadings(state: BudgetState): readonly Reading[] {
  return state.ceilings.map((ceiling) => {
    const cost = usedAt(state, ceiling);
    return { ceiling, used: epsilonAtCeiling(cost, ceiling), share: shareOfCeiling(cost, ceiling) };
  });
}

function usedAt(state: BudgetState, ceiling: Ceiling): number {
  const spent: number[] = [];
  for (const charge of state.charges)
    if (appliesTo(ceiling, charge)) spent.push(costAtCeiling(charge.settled?.event ?? charge.event, ceiling));
  // Smallest first: the same charges give the same sum in whatever order they came.
  return spent.sort((left, right) => left - right).reduce((sum, one) => sum + one, 0);
}

/** The same release with at least as many honest shares and at most as many steps; anything else may cost more. */
function noLarger(reserved: PrivacyEvent, realised: PrivacyEvent): boolean {
  if (reserved.mechanism === 'sealed-gaussian-sum') {
    return (
      realised.mechanism === 'sealed-gaussian-sum' &&
      // h = 1 is another kind of release (mode `local`), so it never becomes a sum, nor the other way round.
      (reserved.honestShares === 1) === (realised.honestShares === 1) &&
      realised.honestShares >= reserved.honestShares &&
      realised.steps <= reserved.steps &&
      sameMembers(reserved, { ...realised, honestShares: reserved.honestShares, steps: reserved.steps })
    );
  }
  if (reserved.mechanism === 'unbounded')
    return (
      realised.mechanism === 'unbounded' &&
      realised.steps <= reserved.steps &&
      sameMembers(reserved, { ...realised, steps: reserved.steps })
    );
  if (reserved.mechanism === 'repeated')
    return (
      realised.mechanism === 'repeated' && realised.times <= reserved.times && noLarger(reserved.event, realised.event)
    );
  if (reserved.mechanism === 'composed')
    return (
      realised.mechanism === 'composed' &&
      realised.events.length === reserved.events.length &&
      reserved.events.every((event, index) => noLarger(event, realised.events[index]!))
    );
  return false;
}

function sameMembers(left: object, right: object): boolean {
  const [one, other] = [Object.entries(left), new Map(Object.entries(right))];
  return one.length === other.size && one.every(([name, value]) => other.get(name) === value);
}
