// Per-example gradients of adapters against slow twins: the naive loop of one unit each, and finite differences of the
// loss; the clipped sum's sensitivity by taking each unit out; and no tensor left behind.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { memory, tidy } from '@tensorflow/tfjs-core';
import {
  adapterLayout,
  adapterOnDevice,
  frozenDowns,
  initialAdapter,
} from '../../../../app/training/language/adapter.ts';
import type { AdapterLayout } from '../../../../app/training/language/adapter.ts';
import { languageGradientSum } from '../../../../app/training/language/clipped-sum.ts';
import type { LanguageGradientRequest, Objective } from '../../../../app/training/language/clipped-sum.ts';
import type { LanguageConfiguration } from '../../../../app/training/language/configuration.ts';
import { classLosses, classPass, nextTokens, tokenLosses } from '../../../../app/training/language/loss.ts';
import { forwardPass } from '../../../../app/training/language/model.ts';
import type { LanguageModel } from '../../../../app/training/language/model.ts';
import { possibleTargets } from '../../../../app/training/language/modules.ts';
import { sequenceOf } from '../../../../app/training/language/sequences.ts';
import { splitMix64 } from '../../../../app/training/split-mix.ts';
import { tinyConfigurations, tinyModel, tinyRecords, useBackend } from './tiny-models.ts';

const shape = { tokens: 7, pieces: 1 };
const records = tinyRecords([7, 5, 2, 6, 7], shape.tokens, shape.pieces);
const each = Array.from({ length: records.rows }, (_, row) => [row]);

type Setting = { readonly name: string; readonly configuration: LanguageConfiguration; readonly objective: Objective };
const settings: readonly Setting[] = tinyConfigurations.flatMap((configuration) =>
  (['next-token', 'class'] as const)
    .filter((objective) => objective === 'class' || configuration.family !== 'bert')
    .map((objective) => ({ name: `${configuration.family}, ${objective}`, configuration, objective })),
);

function layoutOf({ configuration, objective }: Setting, freezeA = false): AdapterLayout {
  const targets = possibleTargets(configuration);
  return adapterLayout(
    configuration,
    { kind: 'lora', rank: 2, alpha: 3, targets, freezeA, seed: 3 },
    objective === 'class' ? 3 : null,
  );
}

/** Not the start: B and head would be zero, and half the gradients with them. */
function parametersOf(layout: AdapterLayout): Float32Array {
  const next = splitMix64(9);
  return initialAdapter(layout).map((value) => value + 0.3 * (2 * next() - 1));
}

function request(setting: Setting, model: LanguageModel, change: Partial<LanguageGradientRequest> = {}) {
  const layout = change.layout ?? layoutOf(setting);
  return {
    model,
    layout,
    parameters: parametersOf(layout),
    downs: frozenDowns(layout),
    objective: setting.objective,
    records,
    shape,
    units: each,
    slots: Int32Array.from(each.keys()),
    person: null,
    clip: 1e9,
    ...change,
  } satisfies LanguageGradientRequest;
}

const norm = (vector: Float64Array): number => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));

function near(found: Float64Array, expected: Float64Array, tolerance: number): void {
  assert.equal(found.length, expected.length);
  const scale = Math.max(1, norm(expected));
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(found[i]! - value) <= tolerance * scale, `number ${i}: ${found[i]} for ${value}`);
}

function added(vectors: readonly Float64Array[]): Float64Array {
  const total = new Float64Array(vectors[0]!.length);
  for (const vector of vectors) for (const [i, value] of vector.entries()) total[i]! += value;
  return total;
}

/** The loss of one row in a plain forward pass. */
function lossOf(setting: Setting, model: LanguageModel, layout: AdapterLayout, parameters: Float32Array, row: number) {
  const adapter = adapterOnDevice(layout, parameters, frozenDowns(layout));
  const ids = new Int32Array(shape.tokens);
  const real = Int32Array.of(sequenceOf(records, shape, row, 0, ids));
  const batch = { sequences: 1, length: shape.tokens, ids, real };
  const losses = tidy(() => {
    const { hidden } = forwardPass(model, batch, { adapter });
    if (setting.objective === 'class')
      return classLosses(
        classPass(model, batch, hidden, adapter.head!).scores,
        Int32Array.of(records.labels[row]!),
        Float32Array.of(1),
      );
    const { targets, follows } = nextTokens(batch);
    return tokenLosses(model, hidden, targets, follows);
  });
  const values = losses.dataSync<'float32'>();
  losses.dispose();
  adapter.dispose();
  return values.reduce((sum, value) => sum + value, 0) / (setting.objective === 'class' ? 1 : real[0]! - 1);
}

for (const backend of ['wasm', 'cpu'] as const)
  describe(`on ${backend}`, () => {
    before(async () => {
      await useBackend(backend);
    });
    for (const setting of settings) {
      test(`${setting.name}: many at once are as one by one`, async () => {
        const model = await tinyModel(setting.configuration);
        const alone: Float64Array[] = [];
        for (const row of each.keys())
          alone.push(await languageGradientSum(request(setting, model, { slots: Int32Array.of(row) })));
        for (const sequencesPerPass of [1, 2, 5])
          near(await languageGradientSum(request(setting, model, { sequencesPerPass })), added(alone), 1e-5);
        near(await languageGradientSum(request(setting, model, { recompute: true })), added(alone), 1e-5);
        near(await languageGradientSum(request(setting, model, { clip: null })), added(alone), 1e-5);
        const clip = 0.5 * norm(alone[0]!);
        const clipped = alone.map((own) =>
          own.map((value) => value * Math.min(1, (clip * (1 - 2 ** -12)) / norm(own))),
        );
        near(await languageGradientSum(request(setting, model, { clip })), added(clipped), 1e-5);
        model.dispose();
      });

      test(`${setting.name}: the gradient is the slope of the loss`, async () => {
        const model = await tinyModel(setting.configuration);
        for (const freezeA of [false, true]) {
          const layout = layoutOf(setting, freezeA);
          const whole = request(setting, model, { layout, slots: Int32Array.of(3) });
          const gradient = await languageGradientSum(whole);
          const next = splitMix64(17);
          for (let tries = 0; tries < 4; tries++) {
            // Along one random direction and the gradient itself: every number takes part.
            const direction = gradient.map((value) => value / norm(gradient) + 0.3 * (2 * next() - 1));
            const step = 1e-2 / norm(direction);
            const at = (sign: number): number =>
              lossOf(
                setting,
                model,
                layout,
                whole.parameters.map((value, i) => value + sign * step * direction[i]!),
                3,
              );
            const slope = (at(1) - at(-1)) / (2 * step);
            const expected = gradient.reduce((sum, value, i) => sum + value * direction[i]!, 0);
            assert.ok(
              Math.abs(slope - expected) <= 5e-3 * Math.max(1, Math.abs(expected)),
              `slope ${slope} for ${expected}`,
            );
          }
        }
        model.dispose();
      });
    }
  });

describe('sensitivity', () => {
  before(async () => {
    await useBackend('wasm');
  });
  for (const clipping of ['flat', 'automatic'] as const)
    for (const setting of settings)
      test(`${setting.name}, ${clipping}: without one unit the sum moves by C at most`, async () => {
        const model = await tinyModel(setting.configuration);
        for (const clip of [1e-3, 0.1]) {
          const all = await languageGradientSum(request(setting, model, { clip, clipping, sequencesPerPass: 2 }));
          for (const row of each.keys()) {
            const slots = Int32Array.from(each.keys(), (one) => (one === row ? -1 : one));
            const rest = await languageGradientSum(
              request(setting, model, { clip, clipping, slots, sequencesPerPass: 2 }),
            );
            const moved = norm(all.map((value, i) => value - rest[i]!));
            assert.ok(moved <= clip, `${moved} for ${clip}`);
            assert.ok(moved > (clipping === 'flat' ? 0.99 * clip : 0), 'the unit takes part');
          }
        }
        model.dispose();
      });

  for (const setting of settings)
    test(`${setting.name}: units within C are counted beside the sum, which stays as it is`, async () => {
      const model = await tinyModel(setting.configuration);
      const norms: number[] = [];
      for (const row of each.keys())
        norms.push(norm(await languageGradientSum(request(setting, model, { slots: Int32Array.of(row) }))));
      const sorted = norms.toSorted((left, right) => left - right);
      // Between the second and the third: two of five are within.
      const clip = (sorted[1]! + sorted[2]!) / 2;
      const base = { clip, sequencesPerPass: 2 };
      const counted = await languageGradientSum(request(setting, model, { ...base, counted: true }));
      const plain = await languageGradientSum(request(setting, model, base));
      assert.equal(counted.length, plain.length + 1);
      assert.deepEqual(counted.subarray(0, plain.length), plain);
      assert.equal(counted.at(-1), 2 * 0.5 - 3 * 0.5);
      // Whoever is in no slot counts as nothing; one unit moves sum and count together by no more than the contract charges.
      const weight = 0.5;
      for (const row of each.keys()) {
        const slots = Int32Array.from(each.keys(), (one) => (one === row ? -1 : one));
        const rest = await languageGradientSum(request(setting, model, { ...base, counted: true, slots }));
        const moved = counted.map((value, i) => (value - rest[i]!) * (i === plain.length ? weight : 1 / clip));
        assert.equal(Math.abs(counted.at(-1)! - rest.at(-1)!), 0.5);
        assert.ok(norm(moved) <= Math.sqrt(1 + weight ** 2 / 4));
      }
      const nobody = Int32Array.from(each.keys(), () => -1);
      const empty = await languageGradientSum(request(setting, model, { ...base, counted: true, slots: nobody }));
      assert.ok(empty.every((value) => value === 0));
      await assert.rejects(languageGradientSum(request(setting, model, { clip: null, counted: true })), RangeError);
      model.dispose();
    });

  test('a person is counted once, however many texts and pieces', async () => {
    const setting = settings[0]!;
    const model = await tinyModel(setting.configuration);
    const pieces = { tokens: 4, pieces: 3 };
    const long = tinyRecords([12, 9, 3, 5, 12, 4], pieces.tokens, pieces.pieces);
    const base = {
      records: long,
      shape: pieces,
      units: [[0, 1], [2], [3, 4], [5]],
      person: { rowCap: 2, combine: 'mean' as const },
      slots: Int32Array.from([2, -1, 0, 3, 1]),
      sequencesPerPass: 4,
      counted: true,
    };
    assert.equal((await languageGradientSum(request(setting, model, { ...base, clip: 1e9 }))).at(-1), 4 * 0.5);
    assert.equal((await languageGradientSum(request(setting, model, { ...base, clip: 1e-9 }))).at(-1), -4 * 0.5);
    model.dispose();
  });

  test('pieces of a document and rows of a person are clipped as one', async () => {
    const setting = settings[0]!;
    const model = await tinyModel(setting.configuration);
    const pieces = { tokens: 4, pieces: 3 };
    const long = tinyRecords([12, 9, 3, 5, 12, 4], pieces.tokens, pieces.pieces);
    const person = { rowCap: 2, combine: 'mean' as const };
    const units = [[0, 1], [2], [3, 4], [5]];
    const base = { records: long, shape: pieces, units, person, sequencesPerPass: 4 };
    const slots = Int32Array.from([2, -1, 0, 3, 1]);
    const clip = 0.05;
    const all = await languageGradientSum(request(setting, model, { ...base, slots, clip }));
    for (const unit of units.keys()) {
      const without = slots.map((one) => (one === unit ? -1 : one));
      const rest = await languageGradientSum(request(setting, model, { ...base, slots: without, clip }));
      assert.ok(norm(all.map((value, i) => value - rest[i]!)) <= clip);
    }
    // Half the sum of the rows' own gradients is the person's.
    const rows = [0, 1].map((row) =>
      languageGradientSum(
        request(setting, model, { ...base, person: null, units: [[row]], slots: Int32Array.of(0), clip: 1e9 }),
      ),
    );
    const own = added([await rows[0]!, await rows[1]!]).map((value) => value / 2);
    near(
      await languageGradientSum(request(setting, model, { ...base, slots: Int32Array.of(0), clip: 1e9 })),
      own,
      1e-5,
    );
    model.dispose();
  });

  test('a unit whose gradient is not finite counts as nothing and touches no other', async () => {
    for (const setting of settings) {
      const model = await tinyModel(setting.configuration);
      const poisoned = { ...model, embedding: Float32Array.from(model.embedding) };
      // Token 22 alone is spoiled, and only row 1 has it.
      const features = records.features.map((id) => (id === 22 ? 21 : id));
      features[shape.tokens] = 22;
      features[shape.tokens + 4] = 22;
      poisoned.embedding.fill(Number.NaN, 22 * 12, 23 * 12);
      const spoiled = { ...records, features };
      const base = { records: spoiled, clip: 0.1, sequencesPerPass: 5 };
      const all = await languageGradientSum(request(setting, poisoned, base));
      const slots = Int32Array.from([0, -1, 2, 3, 4]);
      assert.ok(all.every(Number.isFinite));
      assert.deepEqual(all, await languageGradientSum(request(setting, poisoned, { ...base, slots })), setting.name);
      model.dispose();
    }
  });
});

test('a hundred steps leave no tensor behind', async () => {
  await useBackend('wasm');
  const setting = settings[1]!;
  const model = await tinyModel(setting.configuration);
  const step = (): Promise<Float64Array> => languageGradientSum(request(setting, model, { clip: 0.1 }));
  await step();
  const { numTensors } = memory();
  for (let i = 0; i < 100; i++) await step();
  assert.equal(memory().numTensors, numTensors);
  model.dispose();
});
