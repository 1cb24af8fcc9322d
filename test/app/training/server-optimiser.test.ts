// The five server optimisers against formulas written out independently in float64, golden bytes, averaging, divisors.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  applyUpdate,
  contributionWeight,
  initialState,
  modelStateBytes,
  readModelState,
  releasedParameters,
  sumDivisor,
} from '../../../app/training/server-optimiser.ts';
import type { ServerOptimiserSpec, TrainingSpec } from '../../../app/training/types.ts';

function specOf(server: ServerOptimiserSpec, change: Partial<TrainingSpec> = {}): TrainingSpec {
  return {
    mode: 'local',
    unit: 'record',
    samplingRate: 1,
    localSteps: 1,
    localLearningRate: null,
    clippingNorm: 1,
    weightDecay: 0,
    person: null,
    microbatch: { units: 1, count: 1 },
    server,
    averageFromRound: null,
    ...change,
  };
}

const rates = { firstDecay: 0.9, secondDecay: 0.99, adaptivity: 0.001 };
const servers: readonly ServerOptimiserSpec[] = [
  { kind: 'fedavg', learningRate: 0.5 },
  { kind: 'momentum', learningRate: 0.5, momentum: 0.9 },
  { kind: 'fedadam', learningRate: 0.1, ...rates },
  { kind: 'fedyogi', learningRate: 0.1, ...rates },
  { kind: 'fedadagrad', learningRate: 0.1, firstDecay: 0.5, adaptivity: 0.01 },
];

// H(model) after the four updates below, from a separate Python program that rounds each operation with struct 'f'.
const goldenHashes: { readonly [kind: string]: string } = {
  fedavg: 'ce2fcdf9a2c6a292ac322e4cb1c59cd31bc1bc8b031475a0f580b7d251d3be33',
  momentum: 'b3bac2bdfb6a0761882db89b91b7740cbdc4be13a67535630ec5940644180b35',
  fedadam: 'd471bb4499fa69e2bac7da0f3dfa13b13b5f1af3251ac44d1dbf876791f15b2a',
  fedyogi: 'de56a643c96bfc6c22ea1710406e56663fc21b2d1099f0e2d583fb6e74808946',
  fedadagrad: 'a4237c231ed605e89150ecd5ac0d3fe27b32357e000ef7b8fe82d9a24606609a',
};

/** Reddi et al. 2021, algorithm 2, one coordinate, in float64 and closed form over the whole history of updates. */
function byTheBook(server: ServerOptimiserSpec, start: number, history: readonly number[]): number {
  let x = start;
  for (let t = 0; t < history.length; t++) {
    const past = history.slice(0, t + 1);
    const weighted = (beta: number, values: readonly number[]): number =>
      values.reduce((total, value, i) => total + (1 - beta) * beta ** (t - i) * value, 0);
    if (server.kind === 'fedavg') x += server.learningRate * history[t]!;
    else if (server.kind === 'momentum')
      x += server.learningRate * past.reduce((total, value, i) => total + server.momentum ** (t - i) * value, 0);
    else {
      const squares = past.map((value) => value * value);
      let v = server.adaptivity ** 2;
      if (server.kind === 'fedadagrad') v += squares.reduce((total, value) => total + value, 0);
      else if (server.kind === 'fedadam') v = v * server.secondDecay ** (t + 1) + weighted(server.secondDecay, squares);
      else
        for (const square of squares)
          v = v > square ? v - (1 - server.secondDecay) * square : v + (1 - server.secondDecay) * square;
      x += (server.learningRate * weighted(server.firstDecay, past)) / (Math.sqrt(v) + server.adaptivity);
    }
  }
  return x;
}

test('each optimiser is the published one', () => {
  const history = [0.3, -0.1, 0.25, 0.02, -0.4];
  for (const server of servers) {
    let state = initialState(Float32Array.of(0.5, -2), server);
    for (const update of history) state = applyUpdate(state, Float64Array.of(update, 10 * update), specOf(server));
    for (const [i, start] of [0.5, -2].entries()) {
      const expected = byTheBook(
        server,
        start,
        history.map((update) => update * 10 ** i),
      );
      assert.ok(
        Math.abs(state.parameters[i]! - expected) < 1e-5 * Math.abs(expected),
        `${server.kind}: ${state.parameters[i]}`,
      );
    }
    assert.equal(state.updates, 5);
  }
});

test('in union the average is a gradient, descended with weight decay from the public parameters', () => {
  const spec = specOf({ kind: 'fedavg', learningRate: 0.5 }, { mode: 'union', weightDecay: 0.25 });
  const state = applyUpdate(initialState(Float32Array.of(2, 0), spec.server), Float64Array.of(1, -4), spec);
  assert.deepEqual(state.parameters, Float32Array.of(2 - 0.5 * (1 + 0.5), 2));
});

test('every number of a state is a float32, and the bytes are the same for all', () => {
  for (const server of servers) {
    const spec = specOf(server, { averageFromRound: 2, weightDecay: 0.01, mode: 'union' });
    let state = initialState(Float32Array.of(0.1, -0.2, 3e-9), server);
    for (let round = 1; round <= 4; round++)
      state = applyUpdate(state, Float64Array.of(1 / 3, -round / 7, 1e-12 * round), spec);
    const hash = createHash('sha256').update(modelStateBytes(state)).digest('hex');
    assert.equal(hash, goldenHashes[server.kind], server.kind);
  }
});

test('the released parameters are the mean of the iterates from the stated update on', () => {
  const spec = specOf({ kind: 'fedavg', learningRate: 1 }, { averageFromRound: 2 });
  let state = initialState(Float32Array.of(0), spec.server);
  assert.equal(releasedParameters(state), state.parameters);
  const released: number[] = [];
  for (const update of [1, 2, 3, 4]) {
    state = applyUpdate(state, Float64Array.of(update), spec);
    released.push(releasedParameters(state)[0]!);
  }
  // Iterates 1, 3, 6, 10.
  for (const [i, expected] of [1, 3, 4.5, 19 / 3].entries()) assert.ok(Math.abs(released[i]! - expected) < 1e-6);
  assert.equal(state.parameters[0], 10);
});

test('divisors are made of public numbers', () => {
  const nominal = [100, 50, 25, 25];
  assert.equal(sumDivisor({ mode: 'union', samplingRate: 0.5 }, nominal, [0, 1, 3]), 0.5 * 175);
  assert.equal(sumDivisor({ mode: 'institution', samplingRate: 0.5 }, nominal, [0, 2]), 2);
  assert.equal(sumDivisor({ mode: 'local', samplingRate: 0.5 }, nominal, [0, 1]), 1.5);
  assert.equal(contributionWeight({ mode: 'local' }, nominal, 2), 0.25);
  assert.equal(contributionWeight({ mode: 'union' }, nominal, 2), 1);
  assert.throws(() => sumDivisor({ mode: 'union', samplingRate: 1 }, nominal, []), RangeError);
  assert.throws(() => sumDivisor({ mode: 'union', samplingRate: 1 }, nominal, [4]), RangeError);
});

test('a state survives its bytes; cut or altered bytes are refused', () => {
  const vector = fc.float32Array({ noNaN: true, maxLength: 9 });
  fc.assert(
    fc.property(fc.nat(), vector, vector, vector, vector, fc.nat(), (updates, parameters, first, second, mean, cut) => {
      const state = { updates, parameters, first, second, mean };
      const bytes = modelStateBytes(state);
      assert.deepEqual(readModelState(bytes), state);
      assert.throws(() => readModelState(bytes.slice(0, cut % bytes.length)), RangeError);
      assert.throws(() => readModelState(Uint8Array.from([...bytes, 0])), RangeError);
    }),
  );
});
