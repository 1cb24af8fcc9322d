// What a round costs, from the contract alone: the worst case that is reserved before anything leaves, and the realised
// charge that may replace it against the signatures of R3. Design 3 ("Noise shares"), design 4 ("The ledger").

import { InvariantError } from '../errors.ts';
import type { PrivacyEvent } from '../privacy/events.ts';
import { parsePrivacyEvent } from '../privacy/events.ts';
import { eventTerms, honestShares, noisedRoundEvent } from '../review/round-event.ts';
import type { Contract } from '../study/contract.ts';

/** Honest noise shares that are certain whenever a sum opens: t − c; in `local` each institution's own alone. */
export const worstHonestShares = (contract: Contract): number => honestShares(contract, contract.sealing.colluders);

/** Realised shares h = |U3| − c; in `local` always 1. */
export const realisedHonestShares = (contract: Contract, survivors: number): number =>
  honestShares(contract, contract.sealing.colluders, survivors);

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

/** The whole schedule: every attempt charged at the worst case. */
export function scheduleEvent(contract: Contract): PrivacyEvent {
  return { mechanism: 'repeated', event: worstCaseEvent(contract), times: contract.schedule.attempts };
}
