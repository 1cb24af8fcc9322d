// Helper threads: real ones, the same bits with none, one and two of them and with one that is lost, on wasm.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sumOfBlocks } from '../../../app/training/blocks.ts';
import { clippedGradientSum } from '../../../app/training/clipped-sum.ts';
import { architectureOf, initialParameters } from '../../../app/training/model.ts';
import type { Records } from '../../../app/training/records.ts';
import { candidates } from '../../../main/trainer/candidates.ts';
import { helpersFor, Helpers } from '../../../main/trainer/helpers.ts';
import { studyContract } from './synthetic.ts';

const { task, training } = await studyContract('heart-mlp');
const architecture = architectureOf(task);
const parameters = initialParameters(task);
const rows = 300;
const width = architecture.layers[0]!.inputs;
const records: Records = {
  rows,
  width,
  features: Float32Array.from({ length: rows * width }, (_, i) => ((i * 7919) % 211) / 105.5 - 1),
  labels: Float32Array.from({ length: rows }, (_, row) => row % 2),
  persons: null,
};
const units = Array.from({ length: rows }, (_, row) => [row]);
const setup = { task, records, units, person: null, clip: training.clippingNorm, counted: true };
const length = parameters.length + 1;
const slots = Int32Array.from({ length: rows }, (_, slot) => (slot % 7 === 0 ? -1 : slot));

test('none, one and two threads give the same bits, and so does one that is lost on the way', async (context) => {
  await candidates.wasm.start();
  const helpers = new Helpers('wasm');
  context.after(() => helpers.close());
  const own = (some: Int32Array, at: Float32Array) =>
    clippedGradientSum({
      architecture,
      records,
      units,
      person: null,
      clip: setup.clip,
      counted: true,
      slots: some,
      parameters: at,
    });
  const sumWith = (count: number) =>
    sumOfBlocks({ parameters, length, slots, block: 32, own, helpers: helpers.prepared(count, setup) });
  const alone = await sumWith(0);
  assert.ok(alone.some((value) => value !== 0));
  const helped: number[] = [];
  for (const count of [1, 2]) {
    const [first, ...rest] = helpers.prepared(count, setup);
    const counted = async (some: Int32Array, at: Float32Array) => {
      const sum = await first!(some, at);
      helped.push(some.length);
      return sum;
    };
    // Enough rounds that a thread is ready and takes its share.
    do
      assert.deepEqual(
        await sumOfBlocks({ parameters, length, slots, block: 32, own, helpers: [counted, ...rest] }),
        alone,
      );
    while (helped.length === 0);
  }
  const lost = sumWith(2);
  await helpers.close();
  assert.deepEqual(await lost, alone);
});

test('helpers are for wasm, for work that is worth them, and never more than blocks', () => {
  const large = { parameters: 1_000_000, slots: 1024, blocks: 4, steps: 1 };
  assert.equal(helpersFor('wasm', large, 8), 3);
  assert.equal(helpersFor('wasm', large, 2), 1);
  assert.equal(helpersFor('wasm', large, 1), 0);
  assert.equal(helpersFor('tfjs-node', large, 8), 0);
  assert.equal(helpersFor('wasm', { ...large, parameters: 16 }, 8), 0);
});
