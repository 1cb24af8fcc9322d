// The project's own kernels on wasm: products of every size and layout against a loop, with and without fused multiply-add,
// and whole passes of each family of models against the slow cpu backend, which computes them by plain kernels.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { backend, memory, tensor, tidy } from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { adapterLayout, frozenDowns, initialAdapter } from '../../../app/training/language/adapter.ts';
import { languageGradientSum } from '../../../app/training/language/clipped-sum.ts';
import type { LanguageGradientRequest } from '../../../app/training/language/clipped-sum.ts';
import type { LanguageConfiguration } from '../../../app/training/language/configuration.ts';
import { fusedGatedUnit, fusedRmsNorm, isFused } from '../../../app/training/language/fused.ts';
import { possibleTargets } from '../../../app/training/language/modules.ts';
import { gatedUnit, rmsNorm } from '../../../app/training/language/operations.ts';
import { splitMix64 } from '../../../app/training/split-mix.ts';
import { candidates } from '../../../main/trainer/candidates.ts';
import { kernelModule } from '../../../main/trainer/wasm/kernel-module.ts';
import type { HostModule } from '../../../main/trainer/wasm/kernel-module.ts';
import { Products } from '../../../main/trainer/wasm/products.ts';
import { tinyConfigurations, tinyModel, tinyRecords } from '../../app/training/language/tiny-models.ts';

for (const fused of [true, false])
  test(`products of every size and layout, ${fused ? 'with' : 'without'} fused multiply-add`, async () => {
    await candidates.wasm.start();
    const module = kernelModule((backend() as unknown as { readonly wasm: HostModule }).wasm, fused);
    const products = new Products(module);
    const next = splitMix64(5);
    const sizes = [
      [1, 1, 1],
      [6, 8, 8],
      [7, 5, 9],
      [13, 17, 23],
      // Few rows of a right operand that is read as it lies.
      [12, 3, 16],
      [1, 8, 21],
      // More than one piece in every direction.
      [245, 515, 1030],
    ] as const;
    for (const [m, k, n] of sizes)
      for (const turned of [false, true])
        for (const adds of [false, true]) {
          // Rows lie further apart than they are long, and what is between them stays.
          const [lda, ldb, ldc] = [k + 3, (turned ? k : n) + 1, n + 2];
          const bRows = turned ? n : k;
          const lengths = [m * lda, bRows * ldb, m * ldc];
          const places = lengths.map((length) => module.allocate(length)) as [number, number, number];
          const [a, b, c] = places.map((at, i) => module.floats().subarray(at / 4, at / 4 + lengths[i]!)) as [
            Float32Array,
            Float32Array,
            Float32Array,
          ];
          for (const values of [a, b, c]) for (let i = 0; i < values.length; i++) values[i] = 2 * next() - 1;
          const before = c.slice();
          products.multiply({
            a: { at: places[0], ld: 4 * lda },
            b: { at: places[1], ld: 4 * ldb },
            c: { at: places[2], ld: 4 * ldc },
            turned,
            adds,
            alpha: 0.5,
            m,
            k,
            n,
          });
          // Of the largest size some rows; all of the others.
          for (let row = 0; row < m; row += m > 100 ? 61 : 1)
            for (let column = 0; column < ldc; column++) {
              const at = row * ldc + column;
              if (column >= n) assert.equal(c[at], before[at]);
              else {
                let sum = 0;
                for (let i = 0; i < k; i++)
                  sum += a[row * lda + i]! * (turned ? b[column * ldb + i]! : b[i * ldb + column]!);
                const expected = 0.5 * sum + (adds ? before[at]! : 0);
                assert.ok(Math.abs(c[at]! - expected) < 1e-6 * (k + 2), `${m} × ${k} × ${n}: ${c[at]} for ${expected}`);
              }
            }
          for (const place of places) module.free(place);
        }
    const [source, target] = [module.allocate(7 * 10), module.allocate(7 * 10)];
    module
      .floats()
      .subarray(source / 4, source / 4 + 70)
      .set(Float32Array.from({ length: 70 }, (_, i) => i));
    products.transpose({ at: source, ld: 40 }, { at: target, ld: 28 }, 7, 10);
    for (let row = 0; row < 7; row++)
      for (let column = 0; column < 10; column++)
        assert.equal(module.floats()[target / 4 + column * 7 + row], row * 10 + column);
  });

const [, gpt2, bert] = tinyConfigurations;
const llama = tinyConfigurations[0]!;
// Heads of 8, so that attention fits the kernel; a vocabulary that is no multiple of 4.
const configurations = [
  { ...llama, width: 16, heads: 4, keyValueHeads: 2, headWidth: 8, inner: 20, context: 64 },
  { ...gpt2!, width: 24, heads: 3, context: 64 },
  { ...bert!, width: 24, heads: 3, context: 64 },
] as readonly LanguageConfiguration[];
// Not multiples of 8, of the rows that attention takes together, nor all of one length.
const shape = { tokens: 37, pieces: 1 };
const records = tinyRecords([37, 5, 30, 26], shape.tokens, shape.pieces);

const norm = (values: Float64Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

for (const configuration of configurations)
  describe(`${configuration.family}: gradients are those of plain kernels`, () => {
    const objective = configuration.family === 'bert' ? 'class' : 'next-token';
    const targets = possibleTargets(configuration);
    for (const [name, freezeA, chosen, change] of [
      ['summed', false, targets, { clip: null }],
      ['of each, all maps', false, targets, {}],
      ['of each, some maps, A frozen', true, targets.slice(1, 2), {}],
      ['computed again on the way back', false, targets, { recompute: true, sequencesPerPass: 1 }],
    ] as const)
      test(name, async () => {
        const spec = { kind: 'lora', rank: 3, alpha: 6, targets: chosen, freezeA, seed: 1 } as const;
        const layout = adapterLayout(configuration, spec, objective === 'class' ? 3 : null);
        const next = splitMix64(9);
        const parameters = initialAdapter(layout).map((value) => value + 0.3 * (2 * next() - 1));
        const gradientOn = async (name: 'wasm' | 'cpu'): Promise<Float64Array> => {
          await candidates[name].start();
          assert.equal(isFused(), name === 'wasm');
          const model = await tinyModel(configuration);
          const before = memory().numTensors;
          const sum = await languageGradientSum({
            model,
            layout,
            parameters,
            downs: frozenDowns(layout),
            objective,
            records,
            shape,
            units: [[0], [1], [2], [3]],
            // With an empty slot among them.
            slots: Int32Array.of(0, 1, -1, 2, 3),
            person: null,
            clip: 0.5,
            ...(change as Partial<LanguageGradientRequest>),
          });
          assert.equal(memory().numTensors, before);
          model.dispose();
          return sum;
        };
        const [found, expected] = [await gradientOn('wasm'), await gradientOn('cpu')];
        const scale = norm(expected);
        assert.ok(scale > 0.1);
        for (const [i, value] of expected.entries())
          assert.ok(Math.abs(found[i]! - value) <= 1e-5 * Math.max(1, scale), `number ${i}: ${found[i]} for ${value}`);
      });
  });

for (const configuration of configurations)
  test(`${configuration.family}: a unit has the same bits beside others, and one that is not finite touches none`, async () => {
    await candidates.wasm.start();
    const objective = configuration.family === 'bert' ? 'class' : 'next-token';
    const spec = {
      kind: 'lora',
      rank: 3,
      alpha: 6,
      targets: possibleTargets(configuration),
      freezeA: false,
      seed: 1,
    } as const;
    const layout = adapterLayout(configuration, spec, objective === 'class' ? 3 : null);
    const model = await tinyModel(configuration);
    // Token 22 alone is spoiled, and only row 1 has it.
    const { width } = configuration;
    const embedding = Float32Array.from(model.embedding).fill(Number.NaN, 22 * width, 23 * width);
    const features = records.features.map((id) => (id === 22 ? 21 : id));
    features[shape.tokens + 3] = 22;
    const sumOf = (slots: readonly number[]): Promise<Float64Array> =>
      languageGradientSum({
        model: { ...model, embedding },
        layout,
        parameters: initialAdapter(layout).map((value, i) => value + 0.3 * Math.sin(i)),
        downs: null,
        objective,
        records: { ...records, features },
        shape,
        units: [[0], [1], [2], [3]],
        slots: Int32Array.from(slots),
        person: null,
        clip: 0.5,
        sequencesPerPass: 4,
      });
    const alone = await Promise.all([sumOf([0, -1, -1, -1]), sumOf([-1, -1, 2, -1]), sumOf([-1, -1, -1, 3])]);
    const together = await sumOf([0, 1, 2, 3]);
    assert.ok(norm(together) > 0.1);
    assert.deepEqual(
      together,
      alone[0].map((value, i) => value + alone[1][i]! + alone[2][i]!),
    );
    assert.ok((await sumOf([-1, 1, -1, -1])).every((value) => value === 0));
    model.dispose();
  });

test('norms and gates at extremes are as by plain kernels, and what is not a number stays so', async () => {
  const rows = [
    [0, 1e-30, -90, 90, -200, 200, 1e15, -1e15],
    [Number.NaN, 1, 2, 3, 4, 5, 6, 7],
    [-1, -2, -3, -4, 0.5, 0.25, 8, 16],
    [1e-3, 2e-3, -1e-3, 5, 7, 9, -11, 13],
  ];
  const input = (): Tensor2D => tensor(rows.map((row) => [...row, ...row.map((value) => value / 2)]).flat(), [4, 16]);
  const on = async (name: 'wasm' | 'cpu'): Promise<Float32Array[]> => {
    await candidates[name].start();
    const results = tidy(() => {
      const x = input();
      const weight = tensor(
        Array.from({ length: 16 }, (_, i) => 1 + i / 16),
        [1, 16],
      );
      const [normed, backNorm] = rmsNorm(x, weight, 1e-5);
      const [gated, backGated] = gatedUnit(x);
      if (name === 'wasm') {
        assert.deepEqual(fusedRmsNorm(x, weight, 1e-5)[0].dataSync(), normed.dataSync());
        assert.deepEqual(fusedGatedUnit(x).dataSync(), gated.dataSync());
      }
      const gradient = tensor(
        Array.from({ length: 64 }, (_, i) => Math.sin(i)),
        [4, 16],
      ) as Tensor2D;
      const half = tensor(
        Array.from({ length: 32 }, (_, i) => Math.cos(i)),
        [4, 8],
      ) as Tensor2D;
      return [normed, backNorm(gradient), gated, backGated(half)];
    });
    const values = await Promise.all(results.map((one) => one.data<'float32'>()));
    for (const one of results) one.dispose();
    return values;
  };
  const [found, expected] = [await on('wasm'), await on('cpu')];
  for (const [i, values] of expected.entries())
    for (const [at, value] of values.entries()) {
      const row = Math.floor(at / (values.length / 4));
      if (row === 1) {
        // The norm mixes a row; a gate meets one number at a time.
        assert.equal(Number.isNaN(found[i]![at]!), Number.isNaN(value), `${i}, ${at}`);
        continue;
      }
      // Beside 1e15 the norm’s slope is all rounding.
      if (row === 0 && i === 1) continue;
      assert.ok(
        Math.abs(found[i]![at]! - value) <= 1e-5 * Math.max(1, Math.abs(value)),
        `${i}, ${at}: ${found[i]![at]} for ${value}`,
      );
    }
});
