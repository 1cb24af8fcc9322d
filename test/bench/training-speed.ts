// How fast a private step is: against the same step without clipping, on each backend; against wasm's own matrix product
// (both in this process's processor time, which other programs do not add to); and with a helper thread against none. A Llama of about 10M parameters with random weights, rank 8 on every linear map, 16
// sequences of 128 tokens. Ratios within one run; null where this machine lacks the backend. Design 5, "Numbers".

import { availableParallelism } from 'node:os';
import { matMul, randomUniform } from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { sumOfBlocks } from '../../app/training/blocks.ts';
import { clippedGradientSum } from '../../app/training/clipped-sum.ts';
import { adapterLayout, initialAdapter } from '../../app/training/language/adapter.ts';
import { languageGradientSum } from '../../app/training/language/clipped-sum.ts';
import type { LlamaConfiguration } from '../../app/training/language/configuration.ts';
import { loadLanguageModel } from '../../app/training/language/model.ts';
import { baseParameterCount, possibleTargets, storedTensors } from '../../app/training/language/modules.ts';
import { architectureOf, initialParameters } from '../../app/training/model.ts';
import type { Records } from '../../app/training/records.ts';
import { tryHere } from '../../main/trainer/backend.ts';
import { candidates } from '../../main/trainer/candidates.ts';
import type { BackendName } from '../../main/trainer/candidates.ts';
import { Helpers } from '../../main/trainer/helpers.ts';
import { studyContract } from '../main/trainer/synthetic.ts';

const configuration: LlamaConfiguration = {
  family: 'llama',
  vocabulary: 4096,
  width: 320,
  layers: 6,
  heads: 5,
  keyValueHeads: 5,
  headWidth: 64,
  inner: 864,
  context: 128,
  normEpsilon: 1e-5,
  ropeTheta: 10_000,
  ropeScaling: null,
  tied: true,
  attentionBias: false,
  innerBias: false,
};
const [sequences, tokens] = [16, 128];
const turns = 5;

/** Fixed numbers of about the size of a trained model's. */
const numbers = (length: number, scale: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => scale * (((i * 7919) % 211) / 105.5 - 1));

/** Milliseconds of processor time, of all threads of this process. */
async function processorTime(work: () => Promise<unknown>): Promise<number> {
  const from = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1000;
}

/** GFLOP/s of square matrix products, repeated for as long as it takes to time them well. */
async function productRate(size: number): Promise<number> {
  const operand = randomUniform([size, size], -1, 1, 'float32', 7) as Tensor2D;
  const products = Math.ceil(2 ** 32 / (2 * size ** 3));
  const took = await processorTime(async () => {
    for (let i = 0; i < products; i++) {
      const product = matMul(operand, operand);
      if (i + 1 === products) await product.data();
      product.dispose();
    }
  });
  operand.dispose();
  return (products * 2 * size ** 3) / (took * 1e6);
}

async function stepTimes() {
  const shapes = new Map(storedTensors(configuration).map(({ name, shape }) => [name, shape]));
  const read = (name: string) => {
    const shape = shapes.get(name)!;
    const size = shape.reduce((product, side) => product * side, 1);
    return Promise.resolve({
      shape,
      values: name.includes('norm') ? new Float32Array(size).fill(1) : numbers(size, 0.05),
    });
  };
  const model = await loadLanguageModel(
    configuration,
    { shapeOf: (name) => shapes.get(name), read },
    { training: true },
  );
  const targets = possibleTargets(configuration);
  const layout = adapterLayout(configuration, { kind: 'lora', rank: 8, alpha: 16, targets, freezeA: false, seed: 1 });
  const parameters = initialAdapter(layout);
  const records: Records = {
    rows: sequences,
    width: tokens,
    features: Float32Array.from({ length: sequences * tokens }, (_, i) => (i * 104_729) % configuration.vocabulary),
    labels: new Float32Array(sequences),
    persons: null,
  };
  const units = Array.from({ length: sequences }, (_, row) => [row]);
  const step = (clip: number | null): Promise<number> =>
    processorTime(() =>
      languageGradientSum({
        model,
        layout,
        parameters,
        downs: null,
        objective: 'next-token',
        records,
        shape: { tokens, pieces: 1 },
        units,
        slots: Int32Array.from(units.keys()),
        person: null,
        clip,
      }),
    );
  try {
    await step(1);
    await step(null);
    // In turn, so that a busy machine meets both alike; the best of each.
    let [withClip, plain, peak] = [Infinity, Infinity, 0];
    for (let turn = 0; turn < turns; turn++) {
      withClip = Math.min(withClip, await step(1));
      plain = Math.min(plain, await step(null));
      peak = Math.max(peak, await productRate(256), await productRate(512));
    }
    return { withClip, plain, peak };
  } finally {
    model.dispose();
  }
}

/** Of a plain step: 2 forward and 2 on the way back to the inputs for each weight and token, and attention's products. */
function stepOperations(): number {
  const { heads, headWidth, layers } = configuration;
  const linear = baseParameterCount(configuration);
  return sequences * tokens * (4 * linear + layers * 12 * tokens * heads * headWidth);
}

async function on(name: BackendName) {
  const trial = await tryHere(candidates[name], candidates.cpu);
  if (trial.state !== 'works') return null;
  const { withClip, plain, peak } = await stepTimes();
  const reached = stepOperations() / (plain * 1e6);
  return { privateOverPlain: withClip / plain, milliseconds: { private: withClip, plain }, gigaflops: reached, peak };
}

/** Time of a large batch of a tabular network alone over that with one helper thread; null on one core. */
async function twoThreads(): Promise<number | null> {
  if (availableParallelism() < 2) return null;
  await candidates.wasm.start();
  const contract = await studyContract('heart-mlp');
  const { model } = contract.task;
  if (model.kind !== 'mlp') throw new TypeError('heart-mlp must be a network');
  const task = { ...contract.task, model: { ...model, hidden: [1024, 1024] } };
  const architecture = architectureOf(task);
  const parameters = initialParameters(task);
  const { inputs } = architecture.layers[0]!;
  const rows = 2048;
  const records: Records = {
    rows,
    width: inputs,
    features: numbers(rows * inputs, 1),
    labels: Float32Array.from({ length: rows }, (_, row) => row % 2),
    persons: null,
  };
  const units = Array.from({ length: rows }, (_, row) => [row]);
  const setup = { task, records, units, person: null, clip: 1, counted: false };
  const slots = Int32Array.from(units.keys());
  const helpers = new Helpers('wasm');
  const own = (some: Int32Array, at: Float32Array) =>
    clippedGradientSum({ ...setup, architecture, slots: some, parameters: at });
  const time = async (count: number): Promise<number> => {
    const from = performance.now();
    await sumOfBlocks({ parameters, slots, block: 128, own, helpers: helpers.prepared(count, setup) });
    return performance.now() - from;
  };
  try {
    await time(1);
    let [alone, together] = [Infinity, Infinity];
    for (let turn = 0; turn < turns; turn++) {
      alone = Math.min(alone, await time(0));
      together = Math.min(together, await time(1));
    }
    return alone / together;
  } finally {
    await helpers.close();
  }
}

export async function trainingSpeedBench(): Promise<object> {
  const wasm = await on('wasm');
  const native = (await on('tfjs-node-gpu')) ?? (await on('tfjs-node'));
  return {
    parameters: baseParameterCount(configuration),
    privateOverPlain: { wasm: wasm?.privateOverPlain ?? null, native: native?.privateOverPlain ?? null },
    wasmPeakShare: wasm === null ? null : wasm.gigaflops / wasm.peak,
    twoProcesses: await twoThreads(),
    details: { wasm, native },
  };
}
