// What released sums decide about the next round: its clipping norm and its noise. Every participant and the coordinator
// derive it from the same opened sums by the same elementary operations; it is part of H(model) and of H(config). Absent
// where a contract adapts nothing. Design 4, "Adaptive clipping", "Adaptive noise".

import { modelWords, noiseAtLevel } from '../review/round-event.ts';
import type { Contract } from '../study/contract.ts';
import { nextClip } from '../training/adaptive-clip.ts';
import { firstNoise, nextNoise } from '../training/adaptive-noise.ts';
import type { NoiseState } from '../training/adaptive-noise.ts';
import { contributionWeight, sumDivisor } from '../training/server-optimiser.ts';

export type Adaptation = {
  /** C of the next round. */
  readonly clip?: number;
  readonly noise?: NoiseState;
};

/** Before the first round; null for a contract that adapts nothing. */
export function firstAdaptation({ training, privacy }: Contract): Adaptation | null {
  if (training.adaptiveClipping === undefined && privacy.adaptiveNoise === undefined) return null;
  return {
    ...(training.adaptiveClipping === undefined ? {} : { clip: training.clippingNorm }),
    ...(privacy.adaptiveNoise === undefined ? {} : { noise: firstNoise }),
  };
}

/** The contract as it stands for one round: C_t, z_t and v_t in their places. The agreed contract where nothing adapts. */
export function roundTerms(contract: Contract, adaptation: Adaptation | null): Contract {
  if (adaptation === null) return contract;
  const { clip, noise } = adaptation;
  const noised = noiseAtLevel(contract, noise?.level ?? 0);
  return clip === undefined ? noised : { ...noised, training: { ...noised.training, clippingNorm: clip } };
}

/** What an opened sum says, in the units of the update. */
export type ReadSum = {
  /** Mean gradient (`union`) or mean update, Float64Array of the model's parameters that travelled. */
  readonly average: Float64Array;
  /** Share of units (`institution`: of institutions) within C, as released; null where it is not counted. */
  readonly within: number | null;
  /** Words of the evaluation, in the units of a unit's vector; empty without one. */
  readonly metrics: Float64Array;
};

/**
 * @param terms of the round @param values the opened sum in steps over scale, all words
 * @param survivors roster positions in the sum
 */
export function readSum(terms: Contract, values: Float64Array, survivors: readonly number[]): ReadSum {
  const { training, roster } = terms;
  const nominal = roster.map((entry) => entry.nominalUnits);
  const divisor = sumDivisor(training, nominal, survivors);
  if (training.adaptiveClipping === undefined) {
    const words = modelWords(terms);
    // Of the expected batch this share was tested on and not trained on; an update has allowed for it already.
    const trained = training.mode === 'union' ? divisor * (1 - (terms.evaluation?.share ?? 0)) : divisor;
    const average = values.subarray(0, words).map((value) => value / trained);
    const unit = metricsInSum(terms);
    return { average, within: null, metrics: values.slice(words).map((value) => value / unit) };
  }
  const last = values.length - 1;
  // In `local` the update has left the units of C behind when it is summed.
  const unit = training.mode === 'local' ? 1 : training.clippingNorm;
  const average = values.subarray(0, last).map((value) => (value / divisor) * unit);
  return { average, within: 0.5 + values[last]! / divisor / countLength(terms), metrics: new Float64Array(0) };
}

/**
 * How long a count of ±½ for every unit is in the sum, twice over: w on the noised grid; in `local`, where the sum has the
 * update's grid, the longest plain update.
 */
export function countLength({ training }: Contract): number {
  const { adaptiveClipping, localLearningRate, localSteps, mode } = training;
  if (adaptiveClipping === undefined) throw new TypeError('terms must adapt their clipping');
  return mode === 'local' ? localLearningRate! * localSteps * adaptiveClipping.most : adaptiveClipping.countWeight;
}

/**
 * By what metrics are multiplied before they are summed. In `local` they travel as if they were coordinates of the update,
 * η/(qN) times the weight N over the roster's largest, so that one grid and one clamp fit both.
 */
export function metricsInSum({ training, roster }: Contract): number {
  if (training.mode !== 'local') return 1;
  const most = roster.reduce((largest, { nominalUnits }) => Math.max(largest, nominalUnits), 0);
  return training.localLearningRate! / (training.samplingRate * most);
}

/** Expected squared length of the noise in `ReadSum.average`, from public numbers. */
export function noiseEnergy(terms: Contract, survivors: readonly number[]): number {
  const { training, sealing, roster } = terms;
  const nominal = roster.map((entry) => entry.nominalUnits);
  const divisor = sumDivisor(training, nominal, survivors);
  const unit = training.adaptiveClipping === undefined ? 1 : training.clippingNorm;
  const coordinate = sealing.noiseVariance * (unit / sealing.scale) ** 2;
  const words = sealing.dimension - (training.adaptiveClipping === undefined ? 0 : 1);
  if (training.mode !== 'local') return (words * coordinate * survivors.length) / divisor ** 2;
  let total = 0;
  for (const index of survivors) {
    const step = training.localLearningRate! / (training.samplingRate * nominal[index]!);
    total += training.localSteps * (step * contributionWeight(training, nominal, index)) ** 2;
  }
  return (words * coordinate * total) / divisor ** 2;
}

/** Expected length of the noise in `ReadSum.average`, where that holds the model's words alone; 0 without noise. */
export function noiseLength(terms: Contract, survivors: readonly number[]): number {
  const all = terms.sealing.dimension - (terms.training.adaptiveClipping === undefined ? 0 : 1);
  const part = modelWords(terms) / all;
  // Fewer units are trained on than the expected batch of the noise's own measure; a whole update has no batch.
  const tested = terms.training.mode === 'institution' ? 0 : (terms.evaluation?.share ?? 0);
  return Math.sqrt(noiseEnergy(terms, survivors) * part) / (1 - tested);
}

/** After the sum of a round under `terms`. */
export function nextAdaptation(
  adaptation: Adaptation | null,
  terms: Contract,
  { average, within }: ReadSum,
  survivors: readonly number[],
): Adaptation | null {
  if (adaptation === null) return null;
  const { adaptiveClipping } = terms.training;
  const { adaptiveNoise } = terms.privacy;
  const next: { clip?: number; noise?: NoiseState } = {};
  if (adaptiveClipping !== undefined)
    next.clip = within === null ? adaptation.clip! : nextClip(adaptation.clip!, within, adaptiveClipping);
  if (adaptiveNoise !== undefined) {
    let energy = 0;
    for (const value of average) energy += value * value;
    next.noise = nextNoise(adaptation.noise!, energy, noiseEnergy(terms, survivors), adaptiveNoise);
  }
  return next;
}
