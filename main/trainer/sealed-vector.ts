// What leaves the trainer: real numbers → integers → + discrete noise → ring words, by the contract's own numbers. No
// tensors here, so the host too can make the vector of an institution whose training failed. Design 3, "Quantisation",
// "Noise shares"; design 4, "Nothing but charged releases".

import { fromHex } from '../../app/encoding/bytes.ts';
import { InvariantError } from '../../app/errors.ts';
import type { Random } from '../../app/ports.ts';
import {
  furtherWords,
  modelParameters,
  modelWords,
  noisedDimension,
  noisedRule,
  partsOfClip,
} from '../../app/review/round-event.ts';
import { countLength, metricsInSum } from '../../app/round/adaptation.ts';
import { sumRule } from '../../app/round/vector-rules.ts';
import { noiseShare } from '../../app/sealed-sum/noise.ts';
import { clampBound, noisedWords, quantise } from '../../app/sealed-sum/quantise.ts';
import { restricted, subsetPositions } from '../../app/sealed-sum/subset.ts';
import type { Contract } from '../../app/study/contract.ts';
import { withCount } from '../../app/training/adaptive-clip.ts';
import { clippedUpdate, lengthOf, localUpdate } from '../../app/training/local-training.ts';
import type { LocalSteps, StepsDone } from '../../app/training/local-training.ts';
import { contributionWeight } from '../../app/training/server-optimiser.ts';
import type { Pause } from '../../app/training/types.ts';
import { clipNorm, noiseVariance } from '../../app/units.ts';
import { nodeCipher } from '../host/machine.ts';
import type { DrawNoise } from './noise-threads.ts';

/**
 * The clipped gradient sum of a fresh batch at these parameters, Float64Array of the model's d parameters; where units are
 * clipped to an adaptive norm one number more, Σ (b − ½) (clipped-sum.ts).
 */
export type GradientSum = (parameters: Float32Array) => Promise<Float64Array>;

/** In `institution`, where a contract evaluates: the mean metrics of the units tested on, of length partsOfClip at most. */
export type Metrics = () => Promise<Float64Array>;

export type VectorRequest = {
  /** As it stands for this round (app/round/adaptation.ts). */
  readonly contract: Contract;
  /** Position in the roster. */
  readonly index: number;
  /** The model that the round starts from, Float32Array(d). */
  readonly parameters: Float32Array;
  /** Seed of the parameters that travel, hex; null or absent where all do. */
  readonly subset?: string | null;
  readonly random: Random;
  /** Draws noise shares where that is faster than from `random` here (noise-threads.ts). */
  readonly drawNoise?: DrawNoise | undefined;
  readonly gradientSum: GradientSum;
  readonly metrics?: Metrics | null;
  readonly pause: Pause;
  /** `local` alone: where a trainer that died had come to, and what tells it. */
  readonly resume?: Checkpoint | null;
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void;
};

/**
 * Steps of a round in the mode `local` that are finished: each saw records only through its whole noise, so what stands here
 * may leave the trainer, and a step that was not finished released nothing. The other modes have nothing such before the end.
 */
export type Checkpoint = StepsDone & {
  /** What stood beside the noised gradients so far, added up: the counts of adaptive clipping, or the metrics. */
  readonly beside: Float64Array;
};

/** One institution's vector before masks: d words, q + e mod 2^32. @throws RefusalError as quantise. */
export async function sealedVector(request: VectorRequest): Promise<Uint32Array> {
  const { contract, parameters, gradientSum, pause } = request;
  if (parameters.length !== modelParameters(contract))
    throw new InvariantError(
      'dimension-differs',
      'The model has another size than the contract says. Please report this.',
    );
  const chosen = chosenOf(request);
  switch (contract.training.mode) {
    case 'union': {
      await pause(0, 1);
      return summedWords(request, chosen(inClips(contract, await gradientSum(parameters))));
    }
    case 'institution': {
      const update = await updateOf(request, gradientSum);
      const { adaptiveClipping, clippingNorm } = contract.training;
      const parts = partsOfClip(contract);
      const clipped = clippedUpdate(update, parts.update);
      if (contract.evaluation !== undefined) {
        const metrics = (await request.metrics?.()) ?? new Float64Array(furtherWords(contract));
        return summedWords(request, chosen(joined(clipped, clippedUpdate(metrics, parts.metrics))));
      }
      if (adaptiveClipping === undefined) return summedWords(request, chosen(clipped));
      // An update that is not finite was replaced by zeros, and zeros are what is counted.
      const within = lengthOf(update) <= clippingNorm || lengthOf(clipped) === 0;
      return summedWords(request, chosen(inClips(contract, withCount(clipped, within ? 0.5 : -0.5))));
    }
    case 'local': {
      const { resume = null, onCheckpoint } = request;
      const words = modelParameters(contract);
      const beside = Float64Array.from(resume?.beside ?? new Float64Array(furtherWords(contract)));
      const step = async (current: Float32Array): Promise<Float64Array> => {
        const noised = await noisedSum(request, inClips(contract, await gradientSum(current)));
        for (let i = 0; i < beside.length; i++) beside[i]! += noised[words + i]!;
        return noised.subarray(0, words);
      };
      const update = await updateOf(request, step, {
        ...(resume === null ? {} : { from: resume }),
        onStep: (done) => onCheckpoint?.({ ...done, beside: beside.slice() }),
      });
      return weightedWords(request, chosen(update), beside);
    }
  }
}

/** The vector of an institution whose training gave nothing: zeros in place of every gradient, noise as ever. */
export function zeroPlusNoise(request: Omit<VectorRequest, 'gradientSum' | 'pause'>): Promise<Uint32Array> {
  const { contract } = request;
  const beside = contract.training.mode === 'institution' ? 0 : furtherWords(contract);
  const length = modelParameters(contract) + beside;
  return sealedVector({ ...request, gradientSum: () => Promise.resolve(new Float64Array(length)), pause: () => {} });
}

/**
 * What travels of a clipped (`local`: noised) vector. Leaving coordinates out makes it no longer, so C bounds it as before;
 * which ones says nothing of the records (docs/PRIVACY.md, "A part of the parameters").
 */
function chosenOf({ contract, subset = null }: VectorRequest): (vector: Float64Array) => Float64Array {
  const rule = contract.sealing.subset;
  if (rule === undefined) return (vector) => vector;
  if (subset === null)
    throw new InvariantError('subset-seed-missing', 'Nothing says which parameters travel. Please report this.');
  const positions = subsetPositions(nodeCipher, fromHex(subset, 32), rule.parameters, modelWords(contract));
  return (vector) => restricted(vector, positions, rule.parameters);
}

function updateOf(
  { contract, index, parameters, pause }: VectorRequest,
  gradientSum: GradientSum,
  progress: Pick<LocalSteps, 'from' | 'onStep'> = {},
): Promise<Float64Array> {
  const { training, roster } = contract;
  if (training.localLearningRate === null)
    throw new InvariantError(
      'local-rate-missing',
      `A contract in mode "${training.mode}" lacks its local learning rate.`,
    );
  const institution = roster[index];
  if (institution === undefined) throw new RangeError('index must be a position in the roster');
  return localUpdate({
    parameters,
    steps: training.localSteps,
    learningRate: training.localLearningRate,
    weightDecay: training.weightDecay,
    expectedBatch: training.samplingRate * institution.nominalUnits * (1 - (contract.evaluation?.share ?? 0)),
    gradientSum,
    pause,
    ...progress,
  });
}

export function joined(left: Float64Array, right: Float64Array): Float64Array {
  const out = new Float64Array(left.length + right.length);
  out.set(left);
  out.set(right, left.length);
  return out;
}

/** With adaptive clipping in units of C, the count times its weight; else as it is. */
function inClips({ training }: Contract, counted: Float64Array): Float64Array {
  const { adaptiveClipping, clippingNorm } = training;
  if (adaptiveClipping === undefined) return counted;
  const last = counted.length - 1;
  return counted.map((value, i) => (i === last ? value * adaptiveClipping.countWeight : value / clippingNorm));
}

/** union, institution: on the noised grid, with this institution's noise share. */
async function summedWords(request: NoiseRequest, vector: Float64Array): Promise<Uint32Array> {
  const { contract, random } = request;
  const quantised = quantise(random, vector, noisedRule(contract), sumRule(contract).bound);
  return noisedWords(quantised, await noiseOf(request));
}

/** local: one step's sum with the whole noise, back in units of the gradient and of units counted. */
async function noisedSum(request: NoiseRequest, sum: Float64Array): Promise<Float64Array> {
  const { contract, random } = request;
  const { scale, noiseVariance: variance } = contract.sealing;
  const { adaptiveClipping, clippingNorm } = contract.training;
  const quantised = quantise(random, sum, noisedRule(contract), clampBound({ institutions: 1, variance }));
  const noised = noisedWords(quantised, await noiseOf(request));
  const real = Float64Array.from(noised, (word) => (word | 0) / scale);
  if (adaptiveClipping === undefined) return real;
  const last = real.length - 1;
  return real.map((value, i) => (i === last ? value / adaptiveClipping.countWeight : value * clippingNorm));
}

/**
 * local: the update, already noised, rounded to the grid on which updates are summed; with adaptive clipping and the mean
 * over all steps of the noised share of units within C, or with the metrics, as coordinates like those of the update.
 * @param beside Σ (b − ½), or Σ of the metrics, over all steps, noised
 */
function weightedWords(
  { contract, index, random }: VectorRequest,
  update: Float64Array,
  beside: Float64Array,
): Uint32Array {
  const { training, sealing, roster } = contract;
  const weight = contributionWeight(
    training,
    roster.map((entry) => entry.nominalUnits),
    index,
  );
  const { scale, bound } = sumRule(contract);
  // No clip any more: the clamp's own reach stands where the rule wants a norm, and a grid too coarse is refused.
  const rule = { unit: training.unit, scale, clipNorm: clipNorm(bound / scale), dimension: sealing.dimension };
  const values = Float64Array.from(update, (value) => value * weight);
  const expected = training.samplingRate * roster[index]!.nominalUnits * training.localSteps;
  const unit = metricsInSum(contract);
  const counted =
    training.adaptiveClipping === undefined
      ? joined(
          values,
          beside.map((value) => value * unit),
        )
      : withCount(values, (beside[0]! / expected) * countLength(contract) * weight);
  const quantised = quantise(random, counted, rule, bound);
  return noisedWords(quantised, new Int32Array(sealing.dimension));
}

type NoiseRequest = Pick<VectorRequest, 'contract' | 'random' | 'drawNoise'>;

async function noiseOf({ contract, random, drawNoise }: NoiseRequest): Promise<Int32Array> {
  const { sealing, privacy } = contract;
  const dimension = noisedDimension(contract);
  if (privacy.noise === 'none') return new Int32Array(dimension);
  const variance = noiseVariance(sealing.noiseVariance);
  return drawNoise === undefined ? noiseShare(random, variance, dimension) : drawNoise(variance, dimension);
}
