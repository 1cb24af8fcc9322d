// The self-test's language model: the clipped gradient of a tiny Llama, by the same code as in a round, so that what a
// backend fuses (app/training/language/fused.ts) is tested too.

import { adapterLayout, initialAdapter } from '../../app/training/language/adapter.ts';
import { languageGradientSum } from '../../app/training/language/clipped-sum.ts';
import type { LlamaConfiguration } from '../../app/training/language/configuration.ts';
import { loadLanguageModel } from '../../app/training/language/model.ts';
import { possibleTargets, storedTensors } from '../../app/training/language/modules.ts';
import type { Records } from '../../app/training/records.ts';

const configuration: LlamaConfiguration = {
  family: 'llama',
  vocabulary: 21,
  width: 16,
  layers: 2,
  heads: 2,
  keyValueHeads: 1,
  headWidth: 8,
  inner: 24,
  context: 32,
  normEpsilon: 1e-5,
  ropeTheta: 100,
  ropeScaling: null,
  tied: true,
  attentionBias: false,
  innerBias: false,
};

/** Fixed numbers in (−1, 1). */
const numbers = (length: number, step: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((i * step) % 211) / 105.5 - 1);

/** Two sequences of 27 tokens, each clipped to 1; their sum, times 16. */
export async function languageTest(): Promise<Float32Array> {
  const [tokens, sequences] = [27, 2];
  const shapes = new Map(storedTensors(configuration).map(({ name, shape }) => [name, shape]));
  const model = await loadLanguageModel(
    configuration,
    {
      shapeOf: (name) => shapes.get(name),
      read: (name) => {
        const shape = shapes.get(name)!;
        const size = shape.reduce((product, side) => product * side, 1);
        const drawn = numbers(size, 7919 + name.length);
        return Promise.resolve({ shape, values: name.includes('norm') ? drawn.map((one) => 1 + one / 4) : drawn });
      },
    },
    { training: true },
  );
  try {
    const targets = possibleTargets(configuration);
    const layout = adapterLayout(configuration, { kind: 'lora', rank: 2, alpha: 4, targets, freezeA: false, seed: 1 });
    const drawn = numbers(layout.parameters, 101);
    const records: Records = {
      rows: sequences,
      width: tokens,
      features: Float32Array.from(
        { length: sequences * tokens },
        (_, i) => (i * 13 + (i % 4)) % configuration.vocabulary,
      ),
      labels: new Float32Array(sequences),
      persons: null,
    };
    const sum = await languageGradientSum({
      model,
      layout,
      parameters: initialAdapter(layout).map((value, i) => value + 0.2 * drawn[i]!),
      downs: null,
      objective: 'next-token',
      records,
      shape: { tokens, pieces: 1 },
      units: [[0], [1]],
      slots: Int32Array.of(0, 1),
      person: null,
      clip: 1,
    });
    // Larger, so that the tolerance is small beside its numbers.
    return Float32Array.from(sum, (value) => 16 * value);
  } finally {
    model.dispose();
  }
}
