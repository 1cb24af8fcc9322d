// Sampling rate and placement. Statistics are seeded; each bound is passed with probability above 1 − 10^-6.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptySlot, sampledSlots } from '../../../app/training/poisson.ts';
import { scriptedRandom, seededRandom } from '../seeded-random.ts';

test('each unit enters at the rate, independently, and at most once', () => {
  for (const rate of [0.05, 0.3, 0.9]) {
    const random = seededRandom(`poisson ${rate}`);
    const counts = new Float64Array(50);
    let pairs = 0;
    const draws = 4000;
    for (let draw = 0; draw < draws; draw++) {
      const units = Array.from(sampledSlots(random, 50, rate, 60)).filter((unit) => unit !== emptySlot);
      assert.equal(new Set(units).size, units.length);
      for (const unit of units) counts[unit]!++;
      if (units.includes(0) && units.includes(1)) pairs++;
    }
    for (const count of counts) assert.ok(Math.abs(count - rate * draws) < 6 * Math.sqrt(draws * rate * (1 - rate)));
    const both = rate * rate;
    assert.ok(Math.abs(pairs - both * draws) < 6 * Math.sqrt(draws * both * (1 - both)));
  }
});

test('rate 1 takes every unit; units beyond the capacity are left out', () => {
  const random = seededRandom('all');
  assert.deepEqual(sampledSlots(random, 7, 1, 7).toSorted(), Int32Array.of(0, 1, 2, 3, 4, 5, 6));
  assert.deepEqual(sampledSlots(random, 9, 1, 4).toSorted(), Int32Array.of(0, 1, 2, 3));
  assert.deepEqual(sampledSlots(random, 0, 0.5, 3), new Int32Array(3).fill(emptySlot));
});

test('places are a uniformly random injection', () => {
  const random = seededRandom('places');
  const counts = new Map<string, number>();
  const draws = 24_000;
  for (let draw = 0; draw < draws; draw++) {
    const key = sampledSlots(random, 2, 1, 4).join();
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  assert.equal(counts.size, 12);
  for (const count of counts.values()) assert.ok(Math.abs(count - draws / 12) < 6 * Math.sqrt(draws / 12));
});

test('the rate is compared exactly: 53 bits, and 53 more on a tie', () => {
  const rest = (bytes: readonly number[]): Uint8Array => {
    const page = new Uint8Array(7 * 1024);
    page.set(bytes);
    return page;
  };
  // 2^-53 · 1.5: the first digits are 1, the next 2^52.
  const rate = 1.5 * 2 ** -53;
  const one = [0, 0, 0, 0, 0, 0, 1];
  const taken = (...bytes: readonly number[]) => sampledSlots(scriptedRandom(rest(bytes)), 1, rate, 1)[0] === 0;
  assert.equal(taken(0, 0, 0, 0, 0, 0, 0), true);
  assert.equal(taken(0, 0, 0, 0, 0, 0, 2), false);
  assert.equal(taken(...one, 15, 255, 255, 255, 255, 255, 255), true);
  assert.equal(taken(...one, 16, 0, 0, 0, 0, 0, 0), false);
  assert.throws(() => sampledSlots(seededRandom(1), 1, 0, 1), RangeError);
});
