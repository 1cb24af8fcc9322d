// What a round costs, from the contract alone: the worst case that is reserved before anything leaves, and the realised
// charge that may replace it against the signatures of R3. Design 3 ("Noise shares"), design 4 ("The ledger").

import { InvariantError } from '../errors.ts';
import type { PrivacyEvent } from '../privacy/events.ts';
import { parsePrivacyEvent } from '../privacy/events.ts';
import type { Contract } from '../study/contract.ts';
import { sensitivityOf } from './vector-rules.ts';

/** Honest noise shares that are certain whenever a sum opens: t − c; in `local` each institution's own alone. */
export function worstHonestShares(contract: Contract): number {
  return contract.training.mode === 'local' ? 1 : contract.sealing.threshold - contract.sealing.colluders;
}

/** Realised shares h = |U3| − c; in `local` always 1. */
export function realisedHonestShares(contract: Contract, survivors: number): number {
  return contract.training.mode === 'local' ? 1 : survivors - contract.sealing.colluders;
}

/** One round as a privacy event with `honestShares` shares of noise. */
export function roundEvent(contract: Contract, honestShares: number): PrivacyEvent {
  const { training, privacy, sealing } = contract;
  const whose = {
    unit: training.unit,
    adjacency: training.unit === 'institution' ? ('zero-out' as const) : ('add-or-remove' as const),
    institutionsPerPerson: training.institutionsPerPerson,
    delta: privacy.delta,
    steps: training.mode === 'institution' ? 1 : training.localSteps,
  };
  if (privacy.noise === 'none') return parsePrivacyEvent({ mechanism: 'unbounded', ...whose });
  if (honestShares < worstHonestShares(contract))
    throw new InvariantError('charge-above-worst', 'A round would be charged more than its worst case.');
  return parsePrivacyEvent({
    mechanism: 'sealed-gaussian-sum',
    honestShares,
    noiseVariance: sealing.noiseVariance,
    sensitivity: sensitivityOf(contract),
    dimension: sealing.dimension,
    samplingRate: training.mode === 'institution' ? 1 : training.samplingRate,
    ...whose,
  });
}

export const worstCaseEvent = (contract: Contract): PrivacyEvent => roundEvent(contract, worstHonestShares(contract));

/** The whole schedule: every attempt charged at the worst case. */
export function scheduleEvent(contract: Contract): PrivacyEvent {
  return { mechanism: 'repeated', event: worstCaseEvent(contract), times: contract.schedule.attempts };
}
