// What one round costs, read from a contract or a draft of one: the rule of the noised grid, L̃, honest shares, and the
// event. The check reads it before anyone consents, `round` charges by it, so both are one. Design 3, "Noise shares".

import { RefusalError } from '../errors.ts';
import type { SealedGaussianSumEvent } from '../privacy/events.ts';
import { leastShareVariance } from '../sealed-sum/noise.ts';
import { sensitivityAfterRounding } from '../sealed-sum/quantise.ts';
import type { QuantisationRule } from '../sealed-sum/quantise.ts';
import { adjacencyOf } from '../study/consent.ts';
import type { ContractDraft } from '../study/contract.ts';
import { clipNorm } from '../units.ts';

/** The grid on which noise is added: scale s, clip C, and the unit that decides the rounding's sensitivity. */
export function noisedRule({ training, sealing }: ContractDraft): QuantisationRule {
  return {
    unit: training.unit,
    scale: sealing.scale,
    clipNorm: clipNorm(training.clippingNorm),
    dimension: sealing.dimension,
  };
}

/** L̃ of one institution's integer vector, in steps; null where the scale is too coarse to say. */
export function sensitivityOf(contract: ContractDraft): number | null {
  try {
    return sensitivityAfterRounding(noisedRule(contract));
  } catch (error) {
    if (error instanceof RefusalError) return null;
    throw error;
  }
}

/**
 * h: noise shares in a sum that an adversary who knows `known` of them does not know; in `local` each institution's own
 * alone. Survivors: as many as are certain whenever a sum opens, unless said otherwise.
 */
export function honestShares(contract: ContractDraft, known: number, survivors = contract.sealing.threshold): number {
  return contract.training.mode === 'local' ? 1 : survivors - known;
}

export type EventTerms = Pick<
  SealedGaussianSumEvent,
  'unit' | 'adjacency' | 'institutionsPerPerson' | 'delta' | 'steps'
>;

/** Whom a round's event is about, with noise or without, and how many steps it has. */
export function eventTerms(contract: ContractDraft): EventTerms {
  const { training, privacy } = contract;
  return {
    unit: training.unit,
    adjacency: adjacencyOf(contract),
    institutionsPerPerson: training.institutionsPerPerson,
    delta: privacy.delta,
    steps: training.mode === 'institution' ? 1 : training.localSteps,
  };
}

/** One noised round as the event that is charged for it; null where there is no noise, too little, or no L̃. */
export function noisedRoundEvent(contract: ContractDraft, shares: number): SealedGaussianSumEvent | null {
  const { training, privacy, sealing } = contract;
  const sensitivity = sensitivityOf(contract);
  if (privacy.noise === 'none' || sensitivity === null || shares < 1) return null;
  if (sealing.noiseVariance < leastShareVariance) return null;
  return {
    mechanism: 'sealed-gaussian-sum',
    honestShares: shares,
    noiseVariance: sealing.noiseVariance,
    sensitivity,
    dimension: sealing.dimension,
    samplingRate: training.mode === 'institution' ? 1 : training.samplingRate,
    ...eventTerms(contract),
  };
}
