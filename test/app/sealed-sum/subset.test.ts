// The parameters that travel in a round: golden positions from an independent program, a textbook twin, every position
// equally likely, and an estimate whose mean over all subsets is the whole vector.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex, u32, wordsToBytes } from '../../../app/encoding/bytes.ts';
import { restricted, spread, subsetPositions, subsetSeed, subsetSize } from '../../../app/sealed-sum/subset.ts';
import { nodeCipher } from '../../../main/host/machine.ts';

const seed = subsetSeed(nodeCipher, new Uint8Array(32).fill(0x11), new Uint8Array(32).fill(0x22));
const positionsOf = (parameters: number, size: number, of = seed): Uint32Array =>
  subsetPositions(nodeCipher, of, parameters, size);

// By forty lines of Python with hashlib, hmac and the command `openssl enc -aes-256-ctr`.
test('golden positions of a seed', () => {
  assert.equal(toHex(seed), '0e566f2c4e365c023b2a5c1f4e7f8d6e007351e9940c6e33860097d953568d00');
  assert.deepEqual([...positionsOf(100, 12)], [2, 12, 17, 33, 38, 51, 70, 72, 77, 78, 92, 99]);
  const many = positionsOf(1_000_000, 50_000);
  assert.deepEqual([...many.slice(0, 5), ...many.slice(-2)], [8, 17, 60, 61, 76, 999947, 999961]);
  assert.equal(
    createHash('sha256').update(wordsToBytes(many)).digest('hex'),
    'c36eaf5212bb89b488b7de0e9ab40f0ec134909b80000b7b06191fa696d87db8',
  );
});

test('as many as asked for, ascending, within the model, and all of them where k = d', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 400 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (parameters, share) => {
        const size = subsetSize(parameters, share);
        const positions = positionsOf(parameters, size);
        assert.equal(positions.length, size);
        assert.ok(
          positions.every((position, at) => position < parameters && (at === 0 || position > positions[at - 1]!)),
        );
      },
    ),
  );
  assert.deepEqual(
    positionsOf(77, 77),
    Uint32Array.from({ length: 77 }, (_, at) => at),
  );
  assert.deepEqual([subsetSize(100, 0.07), subsetSize(9, 0.001), subsetSize(9, 1)], [7, 1, 9]);
  for (const share of [0, -1, 1.1, Number.NaN]) assert.throws(() => subsetSize(9, share), RangeError);
  assert.throws(() => positionsOf(9, 10), RangeError);
});

test('another model or another study chooses others; each pair of positions is equally likely', () => {
  const [d, k, draws] = [12, 5, 20_000];
  const pairs = new Float64Array(d * d);
  for (let draw = 0; draw < draws; draw++) {
    const positions = positionsOf(d, k, nodeCipher.sha256(u32(draw)));
    for (const left of positions) for (const right of positions) pairs[left * d + right]!++;
  }
  const single = k / d;
  const both = (k * (k - 1)) / (d * (d - 1));
  // 12 singles and 66 pairs at six standard deviations: a false alarm in 10^7 runs of other draws; these are fixed.
  for (let left = 0; left < d; left++)
    for (let right = left; right < d; right++) {
      const expected = left === right ? single : both;
      const spreadOf = Math.sqrt(draws * expected * (1 - expected));
      assert.ok(Math.abs(pairs[left * d + right]! - draws * expected) < 6 * spreadOf, `${left}, ${right}`);
    }
  const other = (study: number, model: number) =>
    toHex(subsetSeed(nodeCipher, new Uint8Array(32).fill(study), new Uint8Array(32).fill(model)));
  assert.equal(new Set([other(1, 2), other(2, 1), other(1, 1), other(2, 2)]).size, 4);
});

test('restricting never lengthens a vector, keeps what stands behind it, and spreading undoes it on average', () => {
  const [d, k] = [10, 4];
  const vector = Float64Array.from({ length: d + 2 }, (_, at) => Math.sin(at + 1));
  const whole = vector.subarray(0, d);
  const mean = new Float64Array(d);
  const draws = 30_000;
  for (let draw = 0; draw < draws; draw++) {
    const positions = positionsOf(d, k, nodeCipher.sha256(u32(draw), u32(7)));
    const kept = restricted(vector, positions, d);
    assert.deepEqual(kept.subarray(k), vector.subarray(d));
    assert.ok(Math.hypot(...kept.subarray(0, k)) <= Math.hypot(...whole));
    spread(kept.subarray(0, k), positions, d).forEach((value, at) => (mean[at]! += value / draws));
  }
  // Standard deviation of one estimate: |value|·√(d/k − 1).
  for (const [at, value] of whole.entries())
    assert.ok(Math.abs(mean[at]! - value) <= (6 * Math.abs(value) * Math.sqrt(d / k - 1)) / Math.sqrt(draws));
  const all = positionsOf(d, d);
  assert.deepEqual(spread(restricted(whole, all, d), all, d), whole);
});
