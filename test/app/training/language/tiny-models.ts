// Small models of each family with weights from a fixed stream, so that gradients can be held to slow twins.

import { candidates } from '../../../../main/trainer/candidates.ts';
import { loadLanguageModel } from '../../../../app/training/language/model.ts';
import type { LanguageModel } from '../../../../app/training/language/model.ts';
import type { LanguageConfiguration } from '../../../../app/training/language/configuration.ts';
import { storedTensors } from '../../../../app/training/language/modules.ts';
import type { Records } from '../../../../app/training/records.ts';
import { splitMix64 } from '../../../../app/training/split-mix.ts';

export const tinyConfigurations: readonly LanguageConfiguration[] = [
  {
    family: 'llama',
    vocabulary: 23,
    width: 12,
    layers: 2,
    heads: 4,
    keyValueHeads: 2,
    headWidth: 4,
    inner: 10,
    context: 32,
    normEpsilon: 1e-5,
    ropeTheta: 100,
    ropeScaling: {
      kind: 'llama3',
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalContext: 16,
    },
    tied: false,
    attentionBias: true,
    innerBias: true,
  },
  {
    family: 'gpt2',
    vocabulary: 23,
    width: 12,
    layers: 2,
    heads: 3,
    inner: 20,
    context: 32,
    normEpsilon: 1e-5,
    tied: true,
  },
  {
    family: 'bert',
    vocabulary: 23,
    width: 12,
    layers: 2,
    heads: 3,
    inner: 20,
    context: 32,
    normEpsilon: 1e-12,
    segments: 2,
  },
];

/** The cpu backend is the oracle; wasm is what runs. */
export const useBackend = (name: 'wasm' | 'cpu'): Promise<unknown> => candidates[name].start();

export function tinyModel(configuration: LanguageConfiguration, training = true): Promise<LanguageModel> {
  const next = splitMix64(11);
  const stored = new Map(
    storedTensors(configuration).map(({ name, shape }) => {
      const size = shape.reduce((total, side) => total * side, 1);
      const norm = /norm|ln_/i.test(name) && name.endsWith('weight');
      const values = Float32Array.from({ length: size }, () => (norm ? 1 : 0) + 0.5 * (2 * next() - 1));
      return [name, { shape, values }] as const;
    }),
  );
  return loadLanguageModel(
    configuration,
    { shapeOf: (name) => stored.get(name)?.shape, read: (name) => Promise.resolve(stored.get(name)!) },
    { training },
  );
}

/** Rows of random ids; row r has `lengths[r]` tokens over its pieces. */
export function tinyRecords(lengths: readonly number[], tokens: number, pieces: number, classes = 3): Records {
  const next = splitMix64(5);
  const width = tokens * pieces;
  const features = new Float32Array(lengths.length * width).fill(-1);
  for (const [row, length] of lengths.entries())
    for (let i = 0; i < length; i++) features[row * width + i] = Math.floor(next() * 23);
  return {
    rows: lengths.length,
    width,
    features,
    labels: Float32Array.from(lengths, (_, row) => row % classes),
    persons: null,
  };
}
