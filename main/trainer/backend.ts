// Chooses the tensor backend: the first in order that loads and passes a self-test against plain float64 arithmetic and
// the slow cpu backend. What was refused, and why, is told, never hidden. Design 5, "Backends".

import { dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { env, scalar, setBackend } from '@tensorflow/tfjs-core';
import { InvariantError } from '../../app/errors.ts';
import { clippedGradientSum } from '../../app/training/clipped-sum.ts';
import { architectureOf, initialParameters } from '../../app/training/model.ts';
import { predict } from '../../app/training/predict.ts';
import type { Records } from '../../app/training/records.ts';
import type { TrainingTask } from '../../app/training/types.ts';

export type BackendName = 'wasm' | 'cpu';

export type Candidate = {
  readonly name: string;
  /** Makes the backend the current one; throws where it cannot run here. */
  readonly start: () => Promise<void>;
};

export type BackendChoice = {
  readonly name: string;
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
};

async function use(name: string): Promise<void> {
  if (!(await setBackend(name))) throw new Error(`backend ${name} did not start`);
}

/**
 * The cpu backend advertises tfjs-node through console.warn at its first tensor. tfjs-core's flag for it silences every
 * warning, so it stands for that one tensor only.
 */
async function withoutBanner(start: () => Promise<void>): Promise<void> {
  const before = env().getBool('PROD');
  env().set('PROD', true);
  try {
    await start();
    scalar(0).dispose();
  } finally {
    env().set('PROD', before);
  }
}

export const candidates: { readonly [name in BackendName]: Candidate } = {
  wasm: {
    name: 'wasm',
    start: async () => {
      const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
      setWasmPaths(dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm'))) + sep);
      await use('wasm');
    },
  },
  cpu: {
    name: 'cpu',
    start: async () => {
      await import('@tensorflow/tfjs-backend-cpu');
      await withoutBanner(() => use('cpu'));
    },
  },
};

/**
 * Leaves the chosen backend as the current one.
 * @throws InvariantError `no-backend` where none of them works, with each reason.
 */
export async function chooseBackend(
  order: readonly Candidate[] = [candidates.wasm, candidates.cpu],
): Promise<BackendChoice> {
  const refused: { name: string; reason: string }[] = [];
  for (const candidate of order) {
    const reason = await reasonAgainst(candidate);
    if (reason === null) return { name: candidate.name, refused };
    refused.push({ name: candidate.name, reason });
  }
  const reasons = refused.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  throw new InvariantError('no-backend', `No way to compute works on this machine (${reasons}). Please report this.`);
}

async function reasonAgainst(candidate: Candidate): Promise<string | null> {
  try {
    await candidates.cpu.start();
    const reference = await selfTestSums();
    await candidate.start();
    return findingOf(await selfTestSums(), reference);
  } catch (error) {
    return `it did not start (${error instanceof Error ? error.message : String(error)})`;
  }
}

export type SelfTestSums = {
  /** Summed gradients with and without clipping, and the largest error of the forward pass. */
  readonly sums: readonly Float64Array[];
  readonly forwardError: number;
  /** Whether a row's gradient has the same bits wherever it stands in a batch: clipped-sum.ts relies on it. */
  readonly placeIndependent: boolean;
};

/** What is wrong with a backend's sums, or null. */
export function findingOf(found: SelfTestSums, reference: SelfTestSums): string | null {
  if (!(found.forwardError < 1e-4)) return 'its forward pass is wrong';
  const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(b));
  if (!found.sums.every((sum, i) => sum.every((value, k) => close(value, reference.sums[i]![k]!))))
    return 'its gradients differ from the reference';
  return found.placeIndependent ? null : 'a row gives other bits in another place of a batch';
}

const selfTestTask: TrainingTask = {
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

/** Runs the real gradient code on a fixed little network, on whatever backend is current. */
export async function selfTestSums(): Promise<SelfTestSums> {
  const architecture = architectureOf(selfTestTask);
  const parameters = initialParameters(selfTestTask);
  const rows = 37;
  const records: Records = {
    rows,
    width: 5,
    features: Float32Array.from({ length: rows * 5 }, (_, i) => ((i * 7919) % 211) / 105.5 - 1),
    labels: Float32Array.from({ length: rows }, (_, row) => row % 3),
    persons: null,
  };
  const units = Array.from({ length: rows }, (_, row) => [row]);
  const sumOf = (slots: Int32Array, clip: number | null): Promise<Float64Array> =>
    clippedGradientSum({ architecture, parameters, records, units, slots, person: null, clip });
  const all = Int32Array.from(units.keys());
  const sums = [await sumOf(all, null), await sumOf(all, 0.3)];
  let forwardError = 0;
  let placeIndependent = true;
  for (const row of [0, 17, 36]) {
    const alone = new Int32Array(rows).fill(-1);
    alone[0] = row;
    const moved = new Int32Array(rows).fill(-1);
    moved[rows - 2] = row;
    const [first, second] = [await sumOf(alone, null), await sumOf(moved, null)];
    placeIndependent &&= first.every((value, i) => Object.is(value, second[i]) || value === second[i]);
    // The last layer's bias gradient is p − y.
    const outputs = predict(architecture, parameters, records.features.slice(row * 5, row * 5 + 5), 1);
    const { bias } = architecture.layers.at(-1)!;
    for (let k = 0; k < 3; k++) {
      const expected = outputs[k]! - (records.labels[row] === k ? 1 : 0);
      forwardError = Math.max(forwardError, Math.abs(first[bias + k]! - expected));
    }
  }
  return { sums, forwardError, placeIndependent };
}
