// ε of the whole schedule, at the worst case, against four kinds of adversary (design 3, "Numbers"): the coordinator with
// c colluders, one participant, people outside the roster, everybody else together. What truncated batches and the noise
// sampler add to δ is taken off before ε is read. In `local` each institution's own noise alone protects it, so all four are one number.

import { sealedNoiseMultiplier } from '../privacy/sealed-sum-loss.ts';
import type { Accountant } from '../privacy/accountant.ts';
import { rdpAccountant } from '../privacy/rdp-accountant.ts';
import { samplerDistanceBound } from '../sealed-sum/gaussian-table.ts';
import type { ContractDraft } from '../study/contract.ts';
import { delta as checkedDelta } from '../units.ts';
import { batchTail, truncationDelta } from './batch-tail.ts';
import {
  eventTerms,
  honestShares,
  leastInSum,
  noisedDimension,
  noisedRoundEvent,
  withLeastNoise,
} from './round-event.ts';
import { mostChargedShare, studyFilter } from './study-filter.ts';

export type EpsilonFigures = {
  /** Against coordinator + c colluders: the number that ceilings, consent and contract use. */
  readonly coordinator: number | null;
  readonly oneParticipant: number | null;
  readonly outsiders: number | null;
  readonly everyoneElseColludes: number | null;
};

export type Unaccountable = { readonly code: string; readonly sentence: string };

/** z′ of the worst case; null where there is no event. */
export function worstMultiplier(contract: ContractDraft): number | null {
  const event = noisedRoundEvent(contract, honestShares(contract, contract.sealing.colluders));
  return event === null ? null : sealedNoiseMultiplier(event);
}

/** Why the accountant gives no ε; null when it does. */
export function unaccountable(contract: ContractDraft): Unaccountable | null {
  const event = noisedRoundEvent(contract, honestShares(contract, contract.sealing.colluders));
  return event === null ? null : rdpAccountant(event.adjacency).unsupported(event);
}

/** Steps of the whole schedule in which a unit's batch may be cut short. */
export function truncatedSteps(contract: ContractDraft): number {
  const { training, schedule } = contract;
  return schedule.attempts * training.localSteps * training.institutionsPerPerson;
}

/** The largest batch tail of any institution, by its public number of units. */
export function worstBatchTail(contract: ContractDraft): number {
  const { training, roster } = contract;
  if (training.mode === 'institution') return 0;
  const cap = training.microbatch.units * training.microbatch.count;
  return Math.max(
    0,
    ...roster.map(({ nominalUnits }) => batchTail({ units: nominalUnits, samplingRate: training.samplingRate, cap })),
  );
}

/**
 * Bound on the distance of all noise samples on which one unit's protection rests from exact ones, over the whole
 * schedule: d coordinates in each step and attempt, of every share in the sum (`local`: of the person's institutions).
 */
export function samplerSlack(contract: ContractDraft, distance = samplerDistanceBound): number {
  const { training, schedule, roster, privacy } = contract;
  if (privacy.noise === 'none') return 0;
  const shares = training.mode === 'local' ? training.institutionsPerPerson : roster.length;
  return noisedDimension(contract) * shares * eventTerms(contract).steps * schedule.attempts * distance;
}

export type PrivacyFigures = {
  readonly epsilon: EpsilonFigures;
  /** What leaving units out of full batches adds to δ, already inside the δ at which ε is read. */
  readonly truncationDelta: number;
  /** What the sampler's distance from exact noise adds to δ, likewise. Both together: refused above a tenth of δ. */
  readonly samplerDelta: number;
};

/** @param distance of one noise sample from an exact one. */
export function privacyFigures(contract: ContractDraft, distance = samplerDistanceBound): PrivacyFigures {
  const { delta } = contract.privacy;
  const { colluders } = contract.sealing;
  const most = delta * mostChargedShare;
  const accounts = new Map<number, Accountant | null>();
  // Noise that adapts: every attempt at the least noise, or what the filter lets pass, which knows of c colluders.
  const least = withLeastNoise(contract);
  const filtered = studyFilter(contract, '') === null ? Infinity : contract.privacy.epsilon!;
  const epsilonAt = (known: number, at: number): number | null => {
    const shares = honestShares(contract, known);
    if (!accounts.has(shares)) accounts.set(shares, scheduleAccount(least, shares));
    const scheduled = accounts.get(shares)?.epsilon(checkedDelta(at)) ?? Infinity;
    const epsilon = known <= colluders && at >= delta - most ? Math.min(scheduled, filtered) : scheduled;
    return Number.isFinite(epsilon) ? epsilon : null;
  };
  const [tail, steps, slack] = [worstBatchTail(contract), truncatedSteps(contract), samplerSlack(contract, distance)];
  const charges = (known: number): Omit<PrivacyFigures, 'epsilon'> => {
    // ε at a smaller δ is larger, so this bounds the e^ε of the ε that is read at δ less the charge.
    const bound = epsilonAt(known, delta - most);
    if (bound === null) return { truncationDelta: 0, samplerDelta: 0 };
    return { truncationDelta: truncationDelta(tail, steps, bound), samplerDelta: truncationDelta(slack, 1, bound) };
  };
  const epsilonAgainst = (known: number): number | null => {
    const charged = charges(known);
    const sum = charged.truncationDelta + charged.samplerDelta;
    return sum <= most ? epsilonAt(known, delta - sum) : null;
  };
  return {
    epsilon: {
      // Where it is null for its charges the check refuses; the number then says what the noise alone gives.
      coordinator: epsilonAgainst(colluders) ?? epsilonAt(colluders, delta),
      oneParticipant: epsilonAgainst(1),
      outsiders: epsilonAgainst(0),
      everyoneElseColludes: epsilonAgainst(leastInSum(contract) - 1),
    },
    ...charges(colluders),
  };
}

/**
 * δ at which the charges of a study are read against what it may cost: the contract's, less what cut batches and the
 * sampler's distance take of it, which no charge in the ledger holds.
 */
export function chargedDelta(contract: ContractDraft): number {
  const { truncationDelta: cut, samplerDelta } = privacyFigures(contract);
  const { delta } = contract.privacy;
  // Where both come to more than a tenth the check refuses; then nothing depends on this.
  return delta - Math.min(cut + samplerDelta, delta * mostChargedShare);
}

/** The whole schedule, every attempt charged; null where there is no event or the accountant refuses it. */
function scheduleAccount(contract: ContractDraft, shares: number): Accountant | null {
  const event = noisedRoundEvent(contract, shares);
  if (event === null) return null;
  const account = rdpAccountant(event.adjacency);
  if (account.unsupported(event) !== null) return null;
  account.compose(event, contract.schedule.attempts);
  return account;
}

/** ε alone, for those who report it. */
export const epsilonFigures = (contract: ContractDraft): EpsilonFigures => privacyFigures(contract).epsilon;
