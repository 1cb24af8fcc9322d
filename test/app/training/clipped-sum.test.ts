// Per-unit clipped gradient sums against central differences of a loss written out from its definition, on both
// backends: every head, every layer kind, record and person unit, sensitivity, bad numbers, memory.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { memory } from '@tensorflow/tfjs-core';
import { clippedGradientSum } from '../../../app/training/clipped-sum.ts';
import { architectureOf, initialParameters } from '../../../app/training/model.ts';
import { unitRows } from '../../../app/training/records.ts';
import type { Records } from '../../../app/training/records.ts';
import type { Model, PersonRule } from '../../../app/training/types.ts';
import { candidates } from '../../../main/trainer/candidates.ts';
import { gradientOfRow, linear, madeUpRecords, norm, reluNetwork, tanhNetwork, taskOf } from './examples.ts';

const heads = ['logistic', 'softmax', 'squared'] as const;
const models: readonly (readonly [string, Model])[] = [
  ['linear', linear],
  ['relu', reluNetwork],
  ['tanh', tanhNetwork],
];

function setUp(head: (typeof heads)[number], model: Model, rows: number) {
  const task = taskOf(head, model);
  const records = madeUpRecords(head, rows);
  const units = unitRows(records, 'record', null);
  return {
    architecture: architectureOf(task),
    parameters: initialParameters(task),
    records,
    units,
    slots: Int32Array.from(units.keys()),
    person: null as PersonRule | null,
    clip: null as number | null,
  };
}

/** Σ of gradients of units (rows added, then clipped) from central differences. */
function naiveSum(request: ReturnType<typeof setUp>, clip: number | null): Float64Array {
  const { architecture, parameters, records, units, person } = request;
  const total = new Float64Array(parameters.length);
  for (const unit of units) {
    const gradient = new Float64Array(parameters.length);
    for (const row of unit) {
      const weight = person?.combine === 'mean' ? 1 / unit.length : 1;
      for (const [i, value] of gradientOfRow(architecture, parameters, records, row).entries())
        gradient[i]! += weight * value;
    }
    const factor = clip === null ? 1 : Math.min(1, clip / norm(gradient));
    for (let i = 0; i < total.length; i++) total[i]! += factor * gradient[i]!;
  }
  return total;
}

function assertClose(found: Float64Array, expected: Float64Array, tolerance: number): void {
  for (const [i, value] of expected.entries())
    assert.ok(
      Math.abs(found[i]! - value) <= tolerance * Math.max(1, norm(expected)),
      `place ${i}: ${found[i]} is not ${value}`,
    );
}

for (const backend of ['cpu', 'wasm'] as const) {
  describe(`on ${backend}`, () => {
    before(() => candidates[backend].start());

    for (const head of heads)
      for (const [name, model] of models) {
        test(`${head} ${name}: each row's gradient and the clipped sum are those of the definition`, async () => {
          const request = setUp(head, model, 9);
          for (const row of [0, 4, 8]) {
            const found = await clippedGradientSum({ ...request, slots: Int32Array.of(row) });
            assertClose(found, gradientOfRow(request.architecture, request.parameters, request.records, row), 1e-5);
          }
          assertClose(await clippedGradientSum(request), naiveSum(request, null), 1e-5);
          // Half of the rows are clipped; the margin below C is 3·10^-3 at most.
          const norms = request.units.map(([row]) =>
            norm(gradientOfRow(request.architecture, request.parameters, request.records, row!)),
          );
          const clip = norms.toSorted((a, b) => a - b)[4]!;
          assertClose(await clippedGradientSum({ ...request, clip }), naiveSum(request, clip), 3e-3);
        });
      }

    for (const combine of ['mean', 'sum'] as const)
      test(`person unit, ${combine}: rows are combined first, then clipped once`, async () => {
        const person = { rowCap: 3, combine };
        const base = setUp('logistic', tanhNetwork, 12);
        const units = unitRows(base.records, 'person', person);
        assert.ok(units.some((unit) => unit.length === 3) && units.some((unit) => unit.length === 1));
        const request = { ...base, units, person, slots: Int32Array.from(units.keys()) };
        assertClose(await clippedGradientSum(request), naiveSum(request, null), 1e-5);
        assertClose(await clippedGradientSum({ ...request, clip: 0.3 }), naiveSum(request, 0.3), 1e-3);
      });

    test('taking any one unit away changes the sum by at most C', async () => {
      for (const model of [linear, reluNetwork]) {
        const request = { ...setUp('softmax', model, 20), clip: 0.25 };
        const whole = await clippedGradientSum(request);
        for (let unit = 0; unit < 20; unit++) {
          const slots = request.slots.map((other) => (other === unit ? -1 : other));
          const rest = await clippedGradientSum({ ...request, slots });
          const change = norm(whole.map((value, i) => value - rest[i]!));
          assert.ok(change <= 0.25, `unit ${unit} changes the sum by ${change}`);
          assert.ok(change > 0, `unit ${unit} is not in the sum`);
        }
      }
    });

    test('a row gives the same bits in every place of a batch, also across passes', async () => {
      const request = setUp('softmax', tanhNetwork, 5);
      const only = (place: number): Int32Array => new Int32Array(300).fill(-1).fill(3, place, place + 1);
      const first = await clippedGradientSum({ ...request, slots: only(0) });
      for (const place of [1, 2, 63, 126, 127, 128, 299])
        assert.deepEqual(await clippedGradientSum({ ...request, slots: only(place) }), first);
    });

    test('passes are added in float64, to the last bit', async () => {
      const request = { ...setUp('logistic', tanhNetwork, 12), clip: 0.5 };
      const units = Array.from({ length: 3 * 128 }, (_, unit) => request.units[unit % 12]!);
      const slots = Int32Array.from(units.keys());
      const together = await clippedGradientSum({ ...request, units, slots });
      const passes = await Promise.all(
        [0, 1, 2].map((pass) =>
          clippedGradientSum({ ...request, units, slots: slots.slice(128 * pass, 128 * (pass + 1)) }),
        ),
      );
      assert.deepEqual(
        together,
        together.map((_, i) => passes[0]![i]! + passes[1]![i]! + passes[2]![i]!),
      );
      assert.ok(
        together.some((value) => value !== Math.fround(value)),
        'more than float32 holds',
      );
    });

    test('a unit with a gradient that is not finite counts as zero and spoils no other', async () => {
      const request = { ...setUp('squared', linear, 6), clip: 0.5 };
      const features = request.records.features.slice();
      features[2 * 3] = Number.NaN;
      features[4 * 3 + 1] = 3e38;
      const records: Records = { ...request.records, features };
      const others = Int32Array.of(0, 1, 3, 5);
      const expected = await clippedGradientSum({ ...request, slots: others });
      assertClose(await clippedGradientSum({ ...request, records }), expected, 1e-6);
      // In float64 the fourth unit's gradient is only large, so it is clipped like any other.
      const byPerson = { ...request, records, person: { rowCap: 1, combine: 'sum' } as const };
      const found = await clippedGradientSum(byPerson);
      assert.deepEqual(found, await clippedGradientSum({ ...byPerson, slots: Int32Array.of(0, 1, 3, 4, 5) }));
      assert.ok(found.every(Number.isFinite));
    });

    test('tensors are flat over 100 steps, also when a pass throws', async () => {
      const request = { ...setUp('logistic', reluNetwork, 40), clip: 0.5 };
      await clippedGradientSum(request);
      const { numTensors } = memory();
      for (let step = 0; step < 100; step++) await clippedGradientSum(request);
      await clippedGradientSum({ ...request, person: { rowCap: 2, combine: 'sum' } });
      const pause = (): never => {
        throw new Error('stop');
      };
      await assert.rejects(clippedGradientSum({ ...request, pause }), /stop/);
      assert.equal(memory().numTensors, numTensors);
    });
  });
}

test('both backends agree', async () => {
  const request = { ...setUp('softmax', reluNetwork, 150), clip: 0.4 };
  await candidates.cpu.start();
  const slow = await clippedGradientSum(request);
  await candidates.wasm.start();
  assertClose(await clippedGradientSum(request), slow, 1e-6);
});

test('arguments of the wrong size are the caller’s mistake', async () => {
  const request = setUp('logistic', linear, 3);
  await assert.rejects(clippedGradientSum({ ...request, parameters: new Float32Array(3) }), RangeError);
  await assert.rejects(clippedGradientSum({ ...request, clip: 0 }), RangeError);
  await assert.rejects(clippedGradientSum({ ...request, units: [[0, 1], [2], [1]] }), /at most 1 rows/);
});
