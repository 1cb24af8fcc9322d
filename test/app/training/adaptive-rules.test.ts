// The rules that adapt clip and noise: the reference's golden sequences, the ends, and where they settle.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nextClip, withCount } from '../../../app/training/adaptive-clip.ts';
import type { ClipRule } from '../../../app/training/adaptive-clip.ts';
import { firstNoise, nextNoise } from '../../../app/training/adaptive-noise.ts';
import { reference, skipWithoutReference } from '../privacy/reference.ts';

const free = { quantile: 0, least: 1e-9, most: 1e9 } as const;
const shareWithin = (records: readonly number[], clip: number): number =>
  records.filter((value) => Math.abs(value) <= clip).length / records.length;

test('the golden sequences of clips, linear and geometric', { skip: skipWithoutReference }, () => {
  for (const { records, clip, target, learning_rate: given, update, clips } of reference!.adaptive_clip) {
    const learningRate = given === 'ln 2' ? Math.LN2 : given;
    const rule: ClipRule = { ...free, quantile: target ?? 0, update, learningRate };
    let at = clip;
    for (const expected of clips) {
      at = nextClip(at, shareWithin(records, at), rule);
      assert.ok(Math.abs(at - expected) < 1e-6, `${update}: ${at}, not ${expected}`);
    }
  }
});

test('a geometric step is C e^{−η(b − γ)}, whatever b the noise made of it', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
      fc.double({ min: -3, max: 4, noNaN: true }),
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      fc.double({ min: 0.01, max: 40, noNaN: true }),
      (clip, within, quantile, learningRate) => {
        const next = nextClip(clip, within, {
          ...free,
          least: 1e-300,
          most: 1e300,
          quantile,
          update: 'geometric',
          learningRate,
        });
        const share = Math.min(1, Math.max(0, within));
        const expected = clip * Math.exp(-learningRate * (share - quantile));
        assert.ok(Math.abs(next / expected - 1) < 1e-12);
      },
    ),
  );
});

test('the clip stays within its public ends and settles at the quantile', () => {
  const norms = Array.from({ length: 1000 }, (_, i) => (i + 0.5) / 100);
  const rule: ClipRule = { quantile: 0.3, update: 'geometric', learningRate: 0.2, least: 0.5, most: 8 };
  let clip = 8;
  for (let round = 0; round < 200; round++) clip = nextClip(clip, shareWithin(norms, clip), rule);
  assert.ok(Math.abs(clip - 3) < 0.1, String(clip));
  assert.equal(nextClip(0.5, 5, rule), 0.5);
  assert.equal(nextClip(8, -5, rule), 8);
  assert.equal(nextClip(1, 1, { ...rule, update: 'linear', learningRate: 100 }), 0.5, 'never to zero or below');
  assert.throws(() => nextClip(0, 0.5, rule), RangeError);
  assert.throws(() => nextClip(1, Number.NaN, rule), RangeError);
  assert.deepEqual(withCount(Float64Array.of(1, 2), -3), Float64Array.of(1, 2, -3));
});

test('noise falls after as many quiet sums in a row as agreed, level by level, never below the last', () => {
  const rule = { levels: 2, quietBelow: 0.5, patience: 2 };
  let state = firstNoise;
  const levels: number[] = [];
  for (const energy of [1.4, 1.6, 1.4, 1.4, 0.9, 1, 1, 1, 1]) {
    state = nextNoise(state, energy, 1, rule);
    levels.push(state.level);
  }
  assert.deepEqual(levels, [0, 0, 0, 1, 1, 2, 2, 2, 2]);
  assert.throws(() => nextNoise(state, 1, 0, rule), RangeError);
  assert.deepEqual(nextNoise(firstNoise, Number.NaN, 1, rule), firstNoise);
});
