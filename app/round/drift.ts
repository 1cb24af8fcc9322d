// What a study has cost so far, as anybody can compute it from public lists, against what it would have cost with every
// institution present: dropouts leave fewer noise shares, aborted rounds are charged and give nothing. Design 6,
// "Observability". ε by the RDP accountant at the contract's δ, unit and adjacency.

import type { PrivacyEvent } from '../privacy/events.ts';
import { parsePrivacyEvent } from '../privacy/events.ts';
import { rdpAccountant } from '../privacy/rdp-accountant.ts';
import { fewestInSum, honestShares, noisedRoundEvent } from '../review/round-event.ts';
import { adjacencyOf } from '../study/consent.ts';
import type { Contract } from '../study/contract.ts';
import { delta } from '../units.ts';

/** A round that was charged: its terms (roundTerms) and U3, or null where it ended without a sum. */
export type ChargedRound = { readonly terms: Contract; readonly survivors: readonly number[] | null };

export type StudyDrift = {
  /** ε so far against the coordinator with c colluders, and against people outside; null: nothing bounds it. */
  readonly coordinator: number | null;
  readonly outsiders: number | null;
  /** ε against the coordinator with c colluders of the closed rounds, had nobody dropped out and no round been aborted. */
  readonly plan: number | null;
  /** coordinator ÷ plan; 1 before the first charge, null where either is. */
  readonly ratio: number | null;
};

/** Beyond this the study pays a quarter more privacy for its rounds than was planned. */
export const driftAlarm = 1.25;

export function studyDrift(contract: Contract, rounds: readonly ChargedRound[]): StudyDrift {
  const { colluders } = contract.sealing;
  const everybody = contract.roster.map((_, index) => index);
  const effective = (known: number): number | null =>
    composed(
      contract,
      rounds.map(({ terms, survivors }) => [
        terms,
        honestShares(terms, known, survivors === null ? undefined : fewestInSum(terms, survivors)),
      ]),
    );
  const closed = rounds.filter(({ survivors }) => survivors !== null);
  const coordinator = effective(colluders);
  const plan = composed(
    contract,
    closed.map(({ terms }) => [terms, honestShares(terms, colluders, fewestInSum(terms, everybody))]),
  );
  return { coordinator, outsiders: effective(0), plan, ratio: ratioOf(coordinator, plan) };
}

function ratioOf(effective: number | null, plan: number | null): number | null {
  if (effective === null || plan === null) return null;
  if (plan > 0) return effective / plan;
  // Charged rounds and not one of them closed: all of it is beyond the plan.
  return effective > 0 ? Number.POSITIVE_INFINITY : 1;
}

function composed(contract: Contract, rounds: readonly (readonly [Contract, number])[]): number | null {
  if (rounds.length === 0) return 0;
  const times = new Map<string, { readonly event: PrivacyEvent; count: number }>();
  for (const [terms, shares] of rounds) {
    const round = noisedRoundEvent(terms, shares);
    if (round === null) return null;
    const event = parsePrivacyEvent(round);
    const key = JSON.stringify(event);
    const known = times.get(key);
    if (known === undefined) times.set(key, { event, count: 1 });
    else known.count += 1;
  }
  const accountant = rdpAccountant(adjacencyOf(contract));
  for (const { event, count } of times.values()) {
    if (accountant.unsupported(event) !== null) return null;
    accountant.compose(event, count);
  }
  const epsilon = accountant.epsilon(delta(contract.privacy.delta));
  return Number.isFinite(epsilon) ? epsilon : null;
}
