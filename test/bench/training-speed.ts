// How fast a private step is: against the same step without clipping, on each backend; against the fastest matrix product on
// wasm (both in this process's processor time, which other programs do not add to); and with a helper thread against none.
// Ratios within one run; null where this machine lacks the backend. Design 5, "Numbers".

import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { matMul, randomUniform } from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { sumOfBlocks } from '../../app/training/blocks.ts';
import { initialAdapter } from '../../app/training/language/adapter.ts';
import { sumOfProducts } from '../../app/training/language/products.ts';
import { architectureOf, initialParameters } from '../../app/training/model.ts';
import type { LanguageTask } from '../../app/training/types.ts';
import { tryHere } from '../../main/trainer/backend.ts';
import { blockGradient, blockUnits } from '../../main/trainer/block-gradient.ts';
import { candidates } from '../../main/trainer/candidates.ts';
import type { BackendName } from '../../main/trainer/candidates.ts';
import { Helpers } from '../../main/trainer/helpers.ts';
import type { HelperSetup } from '../../main/trainer/helpers.ts';
import { openLanguage } from '../../main/trainer/language.ts';
import type { OpenedLanguage } from '../../main/trainer/language.ts';
import { studyContract } from '../main/trainer/synthetic.ts';
import {
  numbers,
  sequences,
  speedParameters,
  speedRecords,
  stepOperations,
  tokens,
  withSpeedModel,
} from './speed-model.ts';

const turns = 5;

/** Milliseconds of processor time, of all threads of this process. */
async function processorTime(work: () => Promise<unknown>): Promise<number> {
  const from = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1000;
}

/** GFLOP/s of square matrix products, repeated for as long as it takes to time them well. */
async function productRate(size: number, multiply: (a: Tensor2D, b: Tensor2D) => Tensor2D): Promise<number> {
  const operand = randomUniform([size, size], -1, 1, 'float32', 7) as Tensor2D;
  const products = Math.ceil(2 ** 32 / (2 * size ** 3));
  const took = await processorTime(async () => {
    for (let i = 0; i < products; i++) {
      const product = multiply(operand, operand);
      if (i + 1 === products) await product.data();
      product.dispose();
    }
  });
  operand.dispose();
  return (products * 2 * size ** 3) / (took * 1e6);
}

const units = Array.from({ length: sequences }, (_, row) => [row]);
const slots = Int32Array.from(units.keys());
const setupOf = (task: LanguageTask, clip: number | null): HelperSetup => ({
  task,
  records: speedRecords,
  units,
  person: null,
  clip,
  counted: false,
});

async function stepTimes(language: OpenedLanguage) {
  const parameters = initialAdapter(language.layout);
  const step = (clip: number | null): Promise<number> =>
    processorTime(() => blockGradient(setupOf(language.task, clip), language)(slots, parameters));
  await step(1);
  await step(null);
  // In turn, so that a busy machine meets both alike; the best of each.
  let [withClip, plain, tfjs, own] = [Infinity, Infinity, 0, 0];
  for (let turn = 0; turn < turns; turn++) {
    withClip = Math.min(withClip, await step(1));
    plain = Math.min(plain, await step(null));
    for (const size of [256, 512]) {
      tfjs = Math.max(tfjs, await productRate(size, (a, b) => matMul(a, b)));
      own = Math.max(own, await productRate(size, (left, right) => sumOfProducts([{ left, right }])));
    }
  }
  return { withClip, plain, tfjs, own };
}

async function on(name: BackendName, task: LanguageTask, folder: string) {
  const trial = await tryHere(candidates[name], candidates.cpu);
  if (trial.state !== 'works') return null;
  const language = await openLanguage(task, folder);
  try {
    const { withClip, plain, tfjs, own } = await stepTimes(language);
    const gigaflops = stepOperations() / (plain * 1e6);
    return {
      privateOverPlain: withClip / plain,
      milliseconds: { private: withClip, plain },
      gigaflops,
      /** Of square products: tfjs's own kernel, and the one that language models use. */
      peak: { tfjs, own },
    };
  } finally {
    language.model.dispose();
  }
}

type Alone = { readonly parameters: Float32Array; readonly slots: Int32Array; readonly block: number };

type Gain = {
  /** Time alone over time with one helper thread, the best of each: other programs spoil it. */
  readonly elapsed: number;
  /** The same of the processor time of the thread that computed longest: what elapses where two cores are free. */
  readonly busiestThread: number;
};

async function gainOfHelper(setup: HelperSetup, language: OpenedLanguage | null, batch: Alone): Promise<Gain> {
  const helpers = new Helpers('wasm');
  const own = blockGradient(setup, language);
  /** Milliseconds that passed, and processor time of this thread and of all others. */
  const time = async (count: number) => {
    const [from, all, here] = [performance.now(), process.cpuUsage(), process.threadCpuUsage()];
    await sumOfBlocks({ ...batch, own, helpers: helpers.prepared(count, setup), pause: () => setImmediate() });
    const [total, main] = [process.cpuUsage(all), process.threadCpuUsage(here)].map(
      ({ user, system }) => (user + system) / 1000,
    ) as [number, number];
    return { elapsed: performance.now() - from, main, others: total - main };
  };
  try {
    await time(1);
    await time(1);
    let [elapsed, together] = [Infinity, Infinity];
    let [main, busiest] = [Infinity, Infinity];
    for (let turn = 0; turn < turns; turn++) {
      const one = await time(0);
      const two = await time(1);
      [elapsed, together] = [Math.min(elapsed, one.elapsed), Math.min(together, two.elapsed)];
      main = Math.min(main, one.main);
      // The engine has threads of its own, for garbage and for compiling, as it has without a helper.
      busiest = Math.min(busiest, Math.max(two.main, two.others - one.others));
    }
    return { elapsed: elapsed / together, busiestThread: main / busiest };
  } finally {
    await helpers.close();
  }
}

/** A private step of the language model; null on one core. */
async function languageGain(task: LanguageTask, folder: string): Promise<Gain | null> {
  if (availableParallelism() < 2) return null;
  await candidates.wasm.start();
  const language = await openLanguage(task, folder);
  try {
    const parameters = initialAdapter(language.layout);
    const block = blockUnits({ units: sequences }, tokens);
    return await gainOfHelper({ ...setupOf(task, 1), checkpointFolder: folder }, language, {
      parameters,
      slots,
      block,
    });
  } finally {
    language.model.dispose();
  }
}

/** A large batch of a tabular network. */
async function tableGain(): Promise<Gain | null> {
  if (availableParallelism() < 2) return null;
  await candidates.wasm.start();
  const contract = await studyContract('heart-mlp');
  const { model } = contract.task;
  if (model.kind !== 'mlp') throw new TypeError('heart-mlp must be a network');
  const task = { ...contract.task, model: { ...model, hidden: [1024, 1024] } };
  const { inputs } = architectureOf(task).layers[0]!;
  const rows = 2048;
  const setup = {
    task,
    records: {
      rows,
      width: inputs,
      features: numbers(rows * inputs, 1),
      labels: Float32Array.from({ length: rows }, (_, row) => row % 2),
      persons: null,
    },
    units: Array.from({ length: rows }, (_, row) => [row]),
    person: null,
    clip: 1,
    counted: false,
  };
  const all = Int32Array.from(setup.units.keys());
  return gainOfHelper(setup, null, { parameters: initialParameters(task), slots: all, block: 128 });
}

export async function trainingSpeedBench(): Promise<object> {
  return withSpeedModel(async (task, folder) => {
    const wasm = await on('wasm', task, folder);
    const native = (await on('tfjs-node-gpu', task, folder)) ?? (await on('tfjs-node', task, folder));
    const gain = await languageGain(task, folder);
    return {
      parameters: speedParameters,
      privateOverPlain: { wasm: wasm?.privateOverPlain ?? null, native: native?.privateOverPlain ?? null },
      wasmPeakShare: wasm === null ? null : wasm.gigaflops / Math.max(wasm.peak.tfjs, wasm.peak.own),
      twoProcesses: gain?.elapsed ?? null,
      details: { wasm, native, twoThreads: gain, twoThreadsOnTable: await tableGain() },
    };
  });
}
