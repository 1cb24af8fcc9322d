// Opened sum → new model, by every participant itself and to the same bits: float32 operations only, each rounded by
// Math.fround, none of them library functions but the correctly rounded square root. FedAvg, momentum, FedAdam, FedYogi
// and FedAdagrad of Reddi et al. 2021 (algorithm 2, no bias correction, second moments start at τ²). Design 4, "Modes".

import { concat, u32, utf8 } from '../encoding/bytes.ts';
import type { ServerOptimiserSpec, TrainingSpec } from './types.ts';

const f = Math.fround;

export type ModelState = {
  /** Sums applied so far. */
  readonly updates: number;
  readonly parameters: Float32Array;
  /** First and second moments; empty where the optimiser has none. */
  readonly first: Float32Array;
  readonly second: Float32Array;
  /** Running mean of the iterates that are averaged; empty until there is one. */
  readonly mean: Float32Array;
};

export function initialState(parameters: Float32Array, server: ServerOptimiserSpec): ModelState {
  const { length } = parameters;
  const adaptive = 'adaptivity' in server;
  return {
    updates: 0,
    parameters: Float32Array.from(parameters),
    first: new Float32Array(server.kind === 'fedavg' ? 0 : length),
    second: adaptive
      ? new Float32Array(length).fill(f(f(server.adaptivity) * f(server.adaptivity)))
      : new Float32Array(0),
    mean: new Float32Array(0),
  };
}

/**
 * By what the opened sum is divided to give the average that `applyUpdate` takes: public numbers only. `union`: q·ΣN over
 * the survivors, the expected batch. `local`: Σ of the survivors' weights. `institution`: the number of survivors.
 * @param nominal nominal units of every institution, in roster order @param survivors roster positions in the sum
 */
export function sumDivisor(
  training: Pick<TrainingSpec, 'mode' | 'samplingRate'>,
  nominal: readonly number[],
  survivors: readonly number[],
): number {
  if (survivors.length === 0) throw new RangeError('survivors must name at least one institution');
  let total = 0;
  for (const index of survivors) {
    if (nominal[index] === undefined) throw new RangeError('survivors must be positions in the roster');
    total +=
      training.mode === 'union' ? training.samplingRate * nominal[index] : contributionWeight(training, nominal, index);
  }
  return total;
}

/** Factor on an institution's update before it is summed: in `local` N over the roster's largest N, else 1. */
export function contributionWeight(
  training: Pick<TrainingSpec, 'mode'>,
  nominal: readonly number[],
  index: number,
): number {
  const own = nominal[index];
  if (own === undefined) throw new RangeError('index must be a position in the roster');
  return training.mode === 'local' ? own / nominal.reduce((most, units) => Math.max(most, units), 0) : 1;
}

/**
 * @param average the opened sum divided by `sumDivisor`: mean gradient in `union`, else mean update
 * @throws RangeError on another length
 */
export function applyUpdate(state: ModelState, average: Float64Array, training: TrainingSpec): ModelState {
  const { server, mode } = training;
  const d = state.parameters.length;
  if (average.length !== d) throw new RangeError(`average must be ${d} numbers, not ${average.length}`);
  const decay = f(training.weightDecay);
  const direction = new Float32Array(d);
  for (let i = 0; i < d; i++) {
    const value = f(average[i]!);
    direction[i] = mode === 'union' ? -f(value + f(decay * state.parameters[i]!)) : value;
  }
  const parameters = Float32Array.from(state.parameters);
  const first = Float32Array.from(state.first);
  const second = Float32Array.from(state.second);
  const rate = f(server.learningRate);
  for (let i = 0; i < d; i++) {
    const step = direction[i]!;
    let move = step;
    if (server.kind === 'momentum') move = first[i] = f(f(f(server.momentum) * first[i]!) + step);
    else if (server.kind !== 'fedavg') {
      first[i] = mixed(f(server.firstDecay), first[i]!, step);
      second[i] = secondMoment(server, second[i]!, f(step * step));
      move = f(first[i]! / f(f(Math.sqrt(second[i]!)) + f(server.adaptivity)));
    }
    parameters[i] = f(parameters[i]! + f(rate * move));
  }
  const updates = state.updates + 1;
  return { updates, parameters, first, second, mean: newMean(state.mean, parameters, updates, training) };
}

/** β·old + (1 − β)·new. */
function mixed(beta: number, old: number, value: number): number {
  return f(f(beta * old) + f(f(1 - beta) * value));
}

function secondMoment(
  server: Extract<ServerOptimiserSpec, { adaptivity: number }>,
  old: number,
  squared: number,
): number {
  if (server.kind === 'fedadagrad') return f(old + squared);
  const beta = f(server.secondDecay);
  if (server.kind === 'fedadam') return mixed(beta, old, squared);
  return f(old - f(f(f(1 - beta) * squared) * Math.sign(f(old - squared))));
}

/** Mean of the iterates from update number `averageFromRound` on. */
function newMean(
  mean: Float32Array,
  parameters: Float32Array,
  updates: number,
  { averageFromRound }: Pick<TrainingSpec, 'averageFromRound'>,
): Float32Array {
  if (averageFromRound === null || updates < averageFromRound) return mean;
  if (updates === averageFromRound) return Float32Array.from(parameters);
  const count = f(updates - averageFromRound + 1);
  return Float32Array.from(mean, (old, i) => f(old + f(f(parameters[i]! - old) / count)));
}

/** What the study releases: the averaged iterate where there is one, else the last. Post-processing of released sums. */
export function releasedParameters(state: ModelState): Float32Array {
  return state.mean.length > 0 ? state.mean : state.parameters;
}

/** Canonical bytes, whose SHA-256 is H(model): tag, u32 updates, then four vectors, each u32 length and little-endian float32. */
export function modelStateBytes(state: ModelState): Uint8Array {
  const vectors = [state.parameters, state.first, state.second, state.mean];
  return concat(
    utf8('consilience/model-state/1\0'),
    u32(state.updates),
    ...vectors.flatMap((vector) => [u32(vector.length), floatBytes(vector)]),
  );
}

/** @throws RangeError where the bytes are not those of modelStateBytes. */
export function readModelState(bytes: Uint8Array): ModelState {
  const tag = utf8('consilience/model-state/1\0');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = tag.length;
  if (bytes.length < at + 4 || tag.some((byte, i) => bytes[i] !== byte))
    throw new RangeError('bytes are no model state');
  const word = (): number => {
    if (at + 4 > bytes.length) throw new RangeError('bytes of the model state are cut off');
    at += 4;
    return view.getUint32(at - 4);
  };
  const vector = (): Float32Array => {
    const length = word();
    if (at + 4 * length > bytes.length) throw new RangeError('bytes of the model state are cut off');
    const out = new Float32Array(length);
    for (let i = 0; i < length; i++) out[i] = view.getFloat32(at + 4 * i, true);
    at += 4 * length;
    return out;
  };
  const state = { updates: word(), parameters: vector(), first: vector(), second: vector(), mean: vector() };
  if (at !== bytes.length) throw new RangeError('bytes go on after the model state');
  return state;
}

export function floatBytes(vector: Float32Array): Uint8Array {
  const out = new Uint8Array(4 * vector.length);
  const view = new DataView(out.buffer);
  for (let i = 0; i < vector.length; i++) view.setFloat32(4 * i, vector[i]!, true);
  return out;
}
