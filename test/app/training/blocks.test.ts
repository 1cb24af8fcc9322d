// A batch in blocks: the same bits however many workers there are, whoever is fastest and whoever fails; bounded memory;
// failures of the own worker and a cancel end it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { sumOfBlocks } from '../../../app/training/blocks.ts';
import type { BlockSum } from '../../../app/training/blocks.ts';

const parameters = Float32Array.of(1, 2, 3);
/** Values whose sum depends on the order of addition. */
const sumOf = (slots: Int32Array): Float64Array =>
  Float64Array.from(parameters, (value, i) =>
    slots.reduce((sum, slot) => sum + value * Math.sin(slot + i) * 1e3 ** (slot % 5), 0),
  );
const own: BlockSum = (slots) => Promise.resolve(sumOf(slots));
const slow: BlockSum = async (slots) => {
  await setTimeout(slots[0]! % 3);
  return sumOf(slots);
};
const failing: BlockSum = async () => {
  await setTimeout(1);
  throw new Error('lost');
};

test('any helpers give the bits of none', async () => {
  const helper = fc.constantFrom(own, slow, failing);
  await fc.assert(
    fc.asyncProperty(
      fc.array(helper, { maxLength: 4 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 9 }),
      async (helpers, length, block) => {
        const slots = Int32Array.from({ length }, (_, i) => i);
        const alone = await sumOfBlocks({ parameters, slots, block, own, helpers: [] });
        assert.deepEqual(await sumOfBlocks({ parameters, slots, block, own: slow, helpers }), alone);
      },
    ),
    { numRuns: 60 },
  );
});

test('a block that waits for its turn holds the others back', async () => {
  let finished = 0;
  const gate = Promise.withResolvers<void>();
  const counted: BlockSum = async (slots) => {
    if (slots[0] === 0) await gate.promise;
    await setTimeout(0);
    finished++;
    return sumOf(slots);
  };
  const slots = Int32Array.from({ length: 100 }, (_, i) => i);
  const result = sumOfBlocks({ parameters, slots, block: 1, own: counted, helpers: [counted] });
  await setTimeout(100);
  assert.ok(finished <= 6, `${finished} blocks were computed while the first was missing`);
  gate.resolve();
  assert.deepEqual(await result, await sumOfBlocks({ parameters, slots, block: 1, own, helpers: [] }));
});

test('a helper has its next block before it is done with one, and leaves this thread a first', async () => {
  const asked: number[] = [];
  const gate = Promise.withResolvers<void>();
  const waiting: BlockSum = async (slots) => {
    asked.push(slots[0]!);
    await gate.promise;
    return sumOf(slots);
  };
  const run = (length: number) =>
    sumOfBlocks({
      parameters,
      slots: Int32Array.from({ length }, (_, i) => i),
      block: 1,
      own: slow,
      helpers: [waiting],
    });
  const many = run(6);
  await setTimeout(20);
  assert.deepEqual(asked, [0, 2]);
  const two = run(2);
  await setTimeout(20);
  assert.deepEqual(asked, [0, 2, 0]);
  gate.resolve();
  await Promise.all([many, two]);
});

test('the own worker’s failure and a cancel end it', async () => {
  const slots = Int32Array.from({ length: 20 }, (_, i) => i);
  await assert.rejects(sumOfBlocks({ parameters, slots, block: 2, own: failing, helpers: [slow] }), /lost/);
  const pause = (done: number): void => {
    if (done >= 6) throw new Error('cancelled');
  };
  await assert.rejects(sumOfBlocks({ parameters, slots, block: 2, own, helpers: [], pause }), /cancelled/);
});
