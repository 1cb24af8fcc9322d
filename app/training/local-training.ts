// Several steps inside one institution. `local`: DP-SGD, where each step sees records only through a noised integer sum;
// `institution`: plain SGD without noise, then one clip of the whole update. Gradients come in as a function, so nothing
// here touches a tensor. Design 4, "Modes".

import { requireInteger } from '../errors.ts';
import { clipMargin } from './float-term.ts';
import type { Pause } from './types.ts';

export type LocalSteps = {
  readonly parameters: Float32Array;
  readonly steps: number;
  readonly learningRate: number;
  /** L2 penalty on the public parameters. */
  readonly weightDecay: number;
  /** q · N_nominal: the expected batch, a public constant. Never the true count. */
  readonly expectedBatch: number;
  /** Draws a fresh batch and returns the (in `local` clipped, quantised and noised) gradient sum at `parameters`. */
  readonly gradientSum: (parameters: Float32Array) => Promise<Float64Array>;
  readonly pause: Pause;
  /** Where an earlier run of the same steps had come to. */
  readonly from?: StepsDone;
  /** Called after each step but the last with a copy of the iterate. */
  readonly onStep?: (done: StepsDone) => void;
};

/** `steps` finished, and the iterate after them. */
export type StepsDone = { readonly steps: number; readonly parameters: Float32Array };

/** The update w_K − w_0 after K steps w ← w − η(sum/(qN) + λw), in float64 from float32 iterates; Float64Array(d). */
export async function localUpdate(request: LocalSteps): Promise<Float64Array> {
  const { parameters, steps, learningRate, weightDecay, expectedBatch, gradientSum, pause, from, onStep } = request;
  requireInteger('steps', steps, 1);
  if (!(expectedBatch > 0)) throw new RangeError('expectedBatch must be > 0');
  if (!(learningRate > 0)) throw new RangeError('learningRate must be > 0');
  if (from !== undefined && from.parameters.length !== parameters.length)
    throw new RangeError('from must be of the same model');
  const first = from?.steps ?? 0;
  requireInteger('from.steps', first, 0, steps - 1);
  const current = Float32Array.from(from?.parameters ?? parameters);
  for (let step = first; step < steps; step++) {
    await pause(step, steps);
    const sum = await gradientSum(current);
    if (sum.length !== current.length) throw new RangeError('gradientSum must return one number per parameter');
    for (let i = 0; i < current.length; i++)
      current[i] = current[i]! - learningRate * (sum[i]! / expectedBatch + weightDecay * current[i]!);
    if (step + 1 < steps) onStep?.({ steps: step + 1, parameters: Float32Array.from(current) });
  }
  return Float64Array.from(current, (value, i) => value - parameters[i]!);
}

/** Euclidean length, without overflow on the way; Infinity where an element is not finite. */
export function lengthOf(vector: Float64Array): number {
  let largest = 0;
  for (const value of vector) largest = Math.max(largest, Math.abs(value));
  if (largest === 0 || !Number.isFinite(largest)) return largest === 0 ? 0 : Infinity;
  let squares = 0;
  for (const value of vector) squares += (value / largest) ** 2;
  return largest * Math.sqrt(squares);
}

/** `update` scaled to norm C(1 − 2^-12) at most; zeros where it is not finite. */
export function clippedUpdate(update: Float64Array, clip: number): Float64Array {
  if (!(clip > 0)) throw new RangeError('clip must be > 0');
  const length = lengthOf(update);
  if (length === Infinity) return new Float64Array(update.length);
  if (length === 0) return Float64Array.from(update);
  const factor = Math.min(1, (clip * clipMargin) / length);
  return Float64Array.from(update, (value) => value * factor);
}
