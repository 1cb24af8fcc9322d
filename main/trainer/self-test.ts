// What every backend must pass before it may compute, and how fast it is. It runs on whatever backend is current, and the
// same program on the slow cpu backend is the oracle: the real gradient code, the kernels that language models are made
// of, Adam, and whether float32 keeps its 24 bits (float-term.ts counts on it; some hardware rounds them off). Design 5.

import {
  add,
  concat,
  div,
  exp,
  gather,
  matMul,
  mean,
  mul,
  neg,
  randomUniform,
  relu,
  reshape,
  rsqrt,
  scalar,
  sigmoid,
  slice,
  softmax,
  square,
  sub,
  sum,
  tanh,
  tensor,
  tidy,
  train,
  transpose,
  variable,
  where,
} from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { clippedGradientSum } from '../../app/training/clipped-sum.ts';
import { architectureOf, initialParameters } from '../../app/training/model.ts';
import { parametersOnDevice, tracedGradients } from '../../app/training/network.ts';
import { predict } from '../../app/training/predict.ts';
import type { Records } from '../../app/training/records.ts';
import type { TrainingTask } from '../../app/training/types.ts';
import { languageTest } from './self-test-language.ts';

export type SelfTest = {
  /** Summed gradients with and without clipping, and the largest error of the forward pass. */
  readonly sums: readonly Float64Array[];
  readonly forwardError: number;
  /** Whether a row's gradient has the same bits whatever the other rows are: clipped-sum.ts relies on it. */
  readonly rowsApart: boolean;
  /** Kernels of language models, one array each. */
  readonly kernels: { readonly [name: string]: Float32Array };
  /** A parameter after four steps of Adam. */
  readonly adam: Float32Array;
  /** Largest relative error of products with 1 + 2^-20, which shorter formats than float32 lose. */
  readonly roundingError: number;
};

/** What is wrong with a backend's results, or null. */
export function findingOf(found: SelfTest, reference: SelfTest): string | null {
  if (!(found.forwardError < 1e-4)) return 'its forward pass is wrong';
  const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(b));
  const same = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
    a.length === b.length && Array.from(a).every((value, i) => close(value, b[i]!));
  if (!found.sums.every((values, i) => same(values, reference.sums[i]!)))
    return 'its gradients differ from the reference';
  for (const [name, values] of Object.entries(reference.kernels))
    if (!same(found.kernels[name] ?? [], values)) return `its ${name} differs from the reference`;
  if (!same(found.adam, reference.adam)) return 'its Adam steps differ from the reference';
  if (!(found.roundingError < 2 ** -23)) return 'it rounds numbers shorter than float32';
  return found.rowsApart ? null : 'a row gives other bits beside other rows';
}

export async function selfTest(): Promise<SelfTest> {
  return {
    ...(await gradientTest()),
    kernels: { ...(await kernelTest()), 'language model’s gradient': await languageTest() },
    adam: await adamTest(),
    roundingError: await roundingTest(),
  };
}

const task: TrainingTask = {
  kind: 'tabular-classification',
  table: {
    format: 'csv',
    columnNames: null,
    missingTokens: [],
    features: ['a', 'b', 'c', 'd', 'e'].map((column) => ({
      kind: 'number',
      column,
      least: -1,
      most: 1,
      outside: 'refuse',
      whenMissing: { rule: 'refuse' },
    })),
    label: { kind: 'classes', column: 'y', classes: ['0', '1', '2'] },
    personColumn: null,
  },
  model: { kind: 'mlp', hidden: [7, 6], activation: 'tanh', initialisation: { kind: 'seeded', seed: 5 } },
};

/** Fixed numbers in (−1, 1). */
const numbers = (length: number, step: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((i * step) % 211) / 105.5 - 1);

/** The real gradient code on a fixed little network. */
async function gradientTest(): Promise<Pick<SelfTest, 'sums' | 'forwardError' | 'rowsApart'>> {
  const architecture = architectureOf(task);
  const parameters = initialParameters(task);
  const rows = 37;
  const records: Records = {
    rows,
    width: 5,
    features: numbers(rows * 5, 7919),
    labels: Float32Array.from({ length: rows }, (_, row) => row % 3),
    persons: null,
  };
  const units = Array.from({ length: rows }, (_, row) => [row]);
  const sumOf = (slots: Int32Array, clip: number | null): Promise<Float64Array> =>
    clippedGradientSum({ architecture, parameters, records, units, slots, person: null, clip });
  const all = Int32Array.from(units.keys());
  const sums = [await sumOf(all, null), await sumOf(all, 0.3)];
  let forwardError = 0;
  for (const row of [0, 17, 36]) {
    const alone = new Int32Array(rows).fill(-1);
    alone[row] = row;
    const gradient = await sumOf(alone, null);
    // The last layer's bias gradient is p − y.
    const outputs = predict(architecture, parameters, records.features.slice(row * 5, row * 5 + 5), 1);
    const { bias } = architecture.layers.at(-1)!;
    for (let k = 0; k < 3; k++) {
      const expected = outputs[k]! - (records.labels[row] === k ? 1 : 0);
      forwardError = Math.max(forwardError, Math.abs(gradient[bias + k]! - expected));
    }
  }
  return { sums, forwardError, rowsApart: await rowsApart(rows, records, parameters) };
}

/** One row among two sets of others, at the same place. */
async function rowsApart(rows: number, records: Records, parameters: Float32Array): Promise<boolean> {
  const architecture = architectureOf(task);
  const own = [0, 17, 36];
  const tracesBeside = async (others: number): Promise<Float32Array[]> => {
    const features = numbers(rows * 5, others);
    for (const row of own) features.set(records.features.subarray(row * 5, row * 5 + 5), row * 5);
    const traces = tidy(() => {
      const layers = parametersOnDevice(architecture, parameters);
      const targets = tensor(new Float32Array(rows * 3), [rows, 3]) as Tensor2D;
      return tracedGradients(architecture, layers, tensor(features, [rows, 5]), targets).map(
        ({ outputGradients }) => outputGradients,
      );
    });
    return readAll(traces);
  };
  const [first, second] = [await tracesBeside(31), await tracesBeside(104_729)];
  return first.every((values, layer) => {
    const width = values.length / rows;
    return own.every((row) => {
      const [here, there] = [values, second[layer]!].map((all) => all.subarray(row * width, (row + 1) * width));
      return here!.every((value, i) => value === there![i]);
    });
  });
}

async function readAll(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  const values = await Promise.all(tensors.map((one) => one.data<'float32'>()));
  for (const one of tensors) one.dispose();
  return values;
}

/** Two attention heads over five tokens and a gated layer, by the kernels alone. */
async function kernelTest(): Promise<SelfTest['kernels']> {
  const results = tidy((): { [name: string]: Tensor } => {
    const table = tensor(numbers(11 * 8, 37), [11, 8]);
    const tokens = gather(table, tensor([3, 0, 10, 7, 3, 1, 2, 9, 9, 4], [2, 5], 'int32'));
    const scaled = mul(tokens, rsqrt(add(mean(square(tokens), -1, true), 1e-5)));
    const [left, right] = [slice(scaled, [0, 0, 0], [2, 5, 4]), slice(scaled, [0, 0, 4], [2, 5, 4])];
    const rotated = concat([neg(right), left], -1);
    const scores = matMul(scaled, transpose(rotated, [0, 2, 1]));
    const mask = tensor(
      Array.from({ length: 50 }, (_, i) => i % 5 <= Math.floor((i % 25) / 5)),
      [2, 5, 5],
      'bool',
    );
    const attention = softmax(where(mask, scores, scalar(-1e9)));
    const mixed = matMul(attention, scaled);
    const flat = reshape(mixed, [10, 8]) as Tensor2D;
    const weights = tensor(numbers(8 * 13, 53), [8, 13]) as Tensor2D;
    const hidden = matMul(flat, weights);
    const gated = mul(hidden, sigmoid(hidden));
    const centred = sub(gated, mean(gated, -1, true));
    return {
      'matrix product': hidden,
      softmax: attention,
      normalisation: scaled,
      rotation: rotated,
      'gated activation': gated,
      'product by batch': mixed,
      'squared sum': sum(square(centred), -1),
      quotient: div(tanh(hidden), add(exp(neg(relu(gated))), 1)),
    };
  });
  const names = Object.keys(results);
  const values = await readAll(Object.values(results));
  return Object.fromEntries(names.map((name, i) => [name, values[i]!]));
}

async function adamTest(): Promise<Float32Array> {
  const optimiser = train.adam(0.05, 0.9, 0.999, 1e-3);
  const parameter = variable(tensor(numbers(6, 71), [6]), true, `self-test-${performance.now()}`);
  for (let step = 0; step < 4; step++) {
    const gradient = tensor(numbers(6, 101 + step), [6]);
    optimiser.applyGradients([{ name: parameter.name, tensor: gradient }]);
    gradient.dispose();
  }
  const values = await parameter.data<'float32'>();
  parameter.dispose();
  optimiser.dispose();
  return values;
}

async function roundingTest(): Promise<number> {
  const size = 64;
  const fine = 1 + 2 ** -20;
  const product = tidy(() => {
    const diagonal = tensor(
      Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0)),
      [size, size],
    ) as Tensor2D;
    return matMul(tensor(new Float32Array(size * size).fill(fine), [size, size]), diagonal);
  });
  const [values] = await readAll([product]);
  return values!.reduce((worst, value) => Math.max(worst, Math.abs(value - fine)), 0);
}

export type Speed = {
  /** Of the best matrix product, 10⁹ float operations a second. */
  readonly gigaflops: number;
  /** Cost of one small kernel in a row of them, microseconds. */
  readonly kernelMicroseconds: number;
};

/** Measured in about a fifth of a second; sizes grow until one takes long enough to tell. */
export async function measureSpeed(): Promise<Speed> {
  let gigaflops = 0;
  for (let size = 64; size <= 2048; size *= 2) {
    const operand = randomUniform([size, size], -1, 1, 'float32', 7) as Tensor2D;
    let best = Infinity;
    for (let turn = 0; turn < 6; turn++) best = Math.min(best, await timeOf(() => matMul(operand, operand)));
    operand.dispose();
    gigaflops = Math.max(gigaflops, (2 * size ** 3) / (best * 1e6));
    if (best > 10) break;
  }
  const turns = 100;
  const few = (): Tensor =>
    tidy(() => {
      let value: Tensor = tensor([1, 2, 3, 4]);
      for (let i = 0; i < turns; i++) value = add(value, 1);
      return value;
    });
  await timeOf(few);
  return { gigaflops, kernelMicroseconds: ((await timeOf(few)) * 1000) / turns };
}

/** Milliseconds until the result can be read. */
async function timeOf(work: () => Tensor): Promise<number> {
  const from = performance.now();
  const result = work();
  // One number is enough to wait for all of it, and does not measure the reading.
  const one = slice(reshape(result, [result.size]), [0], [1]);
  await one.data();
  const took = performance.now() - from;
  result.dispose();
  one.dispose();
  return took;
}
