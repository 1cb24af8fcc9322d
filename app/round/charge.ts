// What a round costs, from the contract alone: the worst case that is reserved before anything leaves, and the realised
// charge that may replace it against the signatures of R3. Design 3 ("Noise shares"), design 4 ("The ledger").

import { InvariantError } from '../errors.ts';
import type { PrivacyEvent } from '../privacy/events.ts';
import { parsePrivacyEvent } from '../privacy/events.ts';
import { eventTerms, fewestInSum, honestShares, noisedRoundEvent, withLeastNoise } from '../review/round-event.ts';
import { filterAttempts } from '../review/study-filter.ts';
import type { Contract } from '../study/contract.ts';

/** Honest noise shares that are certain whenever a sum opens: t − c; in `local` each institution's own alone. */
export const worstHonestShares = (contract: Contract): number => honestShares(contract, contract.sealing.colluders);

/** Realised shares h = |U3| − c, of the smallest region where regions open their own sums; in `local` always 1. */
export const realisedHonestShares = (contract: Contract, survivors: readonly number[]): number =>
  honestShares(contract, contract.sealing.colluders, fewestInSum(contract, survivors));

/** One round as a privacy event with `shares` shares of noise. */
export function roundEvent(contract: Contract, shares: number): PrivacyEvent {
  if (contract.privacy.noise === 'none') return parsePrivacyEvent({ mechanism: 'unbounded', ...eventTerms(contract) });
  if (shares < worstHonestShares(contract))
    throw new InvariantError('charge-above-worst', 'A round would be charged more than its worst case.');
  const event = noisedRoundEvent(contract, shares);
  if (event === null)
    throw new InvariantError('charge-unknown', 'The terms give a round no charge; the check refuses such terms.');
  return parsePrivacyEvent(event);
}

export const worstCaseEvent = (contract: Contract): PrivacyEvent => roundEvent(contract, worstHonestShares(contract));

/** The costliest that any round may be: where noise adapts, at its least. */
export const worstEverEvent = (contract: Contract): PrivacyEvent => worstCaseEvent(withLeastNoise(contract));

/**
 * The whole schedule: every attempt charged at the worst case; where noise adapts, as many at the first level as the
 * study's filter admits.
 */
export function scheduleEvent(contract: Contract): PrivacyEvent & { readonly times: number } {
  const times = Math.max(1, filterAttempts(contract) ?? contract.schedule.attempts);
  return { mechanism: 'repeated', event: worstCaseEvent(contract), times };
}
