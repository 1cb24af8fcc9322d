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
export function noisedRule(contract: ContractDraft): QuantisationRule {
  const { training, sealing } = contract;
  return {
    unit: training.unit,
    scale: sealing.scale,
    clipNorm: clipNorm(noisedLength(training)),
    dimension: noisedDimension(contract),
  };
}

/**
 * Longest vector of one unit before it is scaled: C; with adaptive clipping the gradient in units of C beside the count
 * w(b − ½), together √(1 + w²/4) whatever C is, so that z stays constant. Design 4, "Adaptive clipping".
 */
export function noisedLength({ clippingNorm, adaptiveClipping }: ContractDraft['training']): number {
  return adaptiveClipping === undefined ? clippingNorm : Math.sqrt(1 + adaptiveClipping.countWeight ** 2 / 4);
}

/**
 * Of C the part that metrics may take in the mode `institution`, where one vector carries the update and the metrics of the
 * same unit; the update keeps √(1 − β²) of it. In the other modes a unit fills the one or the other, each up to C.
 */
export const metricsPart = 0.5;

/** C for the metrics of one unit, and C for its update or gradient. */
export function partsOfClip({ training, evaluation }: Pick<ContractDraft, 'training' | 'evaluation'>) {
  const { clippingNorm, mode } = training;
  return mode === 'institution' && evaluation !== undefined
    ? { metrics: clippingNorm * metricsPart, update: clippingNorm * Math.sqrt(1 - metricsPart ** 2) }
    : { metrics: clippingNorm, update: clippingNorm };
}

/** Words of a vector that are parameters of the model: all but what stands beside them. */
export function modelWords(contract: ContractDraft): number {
  return contract.sealing.dimension - furtherWords(contract);
}

/** Parameters of the model, whether they all travel or not. */
export function modelParameters(contract: ContractDraft): number {
  return contract.sealing.subset?.parameters ?? modelWords(contract);
}

/**
 * Coordinates that are noised together: the words that travel; in `local` each step is noised whole, and what travels of
 * the noised update is chosen afterwards.
 */
export function noisedDimension(contract: ContractDraft): number {
  if (contract.training.mode !== 'local') return contract.sealing.dimension;
  return modelParameters(contract) + furtherWords(contract);
}

/** The count of adaptive clipping, and the metrics of the evaluation. */
export function furtherWords({ training, task, evaluation }: Omit<ContractDraft, 'sealing'>): number {
  return (training.adaptiveClipping === undefined ? 0 : 1) + metricWords(task, evaluation);
}

/**
 * Words of the evaluation: units, right ones, capped loss (of a number the absolute and the squared error); with two classes the scores of each label in bins; for each
 * category of a slice its units and its right ones; for each class, where it is told, the right ones, the missed ones and
 * those that are called so wrongly. app/training/evaluation-vector.ts fills them.
 */
export function metricWords({ table }: ContractDraft['task'], evaluation: ContractDraft['evaluation']): number {
  if (evaluation === undefined) return 0;
  let words = 3 + (table.label.kind === 'binary' ? 2 * evaluation.bins : 0);
  for (const feature of table.features)
    if (feature.kind === 'category' && evaluation.slices.includes(feature.column))
      words += 2 * feature.categories.length;
  if (evaluation.perClass === true && table.label.kind === 'classes') words += 3 * table.label.classes.length;
  return words;
}

/** z and v at a level of adaptive noise: z·factor^level and what v becomes with it. Elementary operations only. */
export function noiseAtLevel<Draft extends ContractDraft>(contract: Draft, level: number): Draft {
  const { privacy, sealing } = contract;
  if (privacy.adaptiveNoise === undefined || level === 0) return contract;
  let factor = 1;
  for (let step = 0; step < level; step++) factor *= privacy.adaptiveNoise.factor;
  const noiseVariance = Math.max(leastShareVariance, Math.ceil(sealing.noiseVariance * factor * factor));
  const noiseMultiplier = privacy.noiseMultiplier === null ? null : privacy.noiseMultiplier * factor;
  return { ...contract, privacy: { ...privacy, noiseMultiplier }, sealing: { ...sealing, noiseVariance } };
}

/** The contract at the least noise that any round may have. */
export const withLeastNoise = <Draft extends ContractDraft>(contract: Draft): Draft =>
  noiseAtLevel(contract, contract.privacy.adaptiveNoise?.levels ?? 0);

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
 * The fewest vectors in anything that is opened: the quorum; where regions open their own sums, the smallest threshold of
 * a region. 0 where a draft does not state that yet.
 */
export function leastInSum({ regions, sealing }: ContractDraft): number {
  if (regions?.opening !== 'region') return sealing.threshold;
  return Math.min(...regions.relays.map(({ threshold }) => threshold ?? 0));
}

/** The fewest vectors in anything that is opened of these survivors: all, or those of the smallest region among them. */
export function fewestInSum({ regions }: ContractDraft, survivors: readonly number[]): number {
  if (regions?.opening !== 'region') return survivors.length;
  const there = new Set(survivors);
  const counts = regions.relays.map(({ members }) => members.filter((index) => there.has(index)).length);
  return Math.min(...counts.filter((count) => count > 0));
}

/**
 * h: noise shares in a sum that an adversary who knows `known` of them does not know; in `local` each institution's own
 * alone. Survivors: as many as are certain whenever a sum opens, unless said otherwise.
 */
export function honestShares(contract: ContractDraft, known: number, survivors = leastInSum(contract)): number {
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
    dimension: noisedDimension(contract),
    samplingRate: training.mode === 'institution' ? 1 : training.samplingRate,
    ...eventTerms(contract),
  };
}
