// Probabilities from scores: sums, shifts, and scores beyond what e^x can hold.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { softmax, surpriseOf } from '../../../app/training/softmax.ts';

test('probabilities sum to one, follow from differences alone, and agree with the surprise', () => {
  const scores = [0.3, -2, 1.7];
  const said = softmax(scores);
  assert.ok(Math.abs(said.reduce((sum, one) => sum + one, 0) - 1) < 1e-15);
  const shifted = softmax(Float64Array.from(scores, (score) => score + 40));
  for (const [k, one] of said.entries()) {
    assert.ok(Math.abs(one - Math.exp(scores[k]!) / scores.reduce((sum, score) => sum + Math.exp(score), 0)) < 1e-15);
    assert.ok(Math.abs(one - shifted[k]!) < 1e-14);
    assert.ok(Math.abs(surpriseOf(scores, k) + Math.log(one)) < 1e-14);
  }
});

test('scores far apart overflow nothing', () => {
  assert.deepEqual([...softmax([2000, -2000])], [1, 0]);
  assert.equal(surpriseOf([2000, -2000], 0), 0);
  assert.equal(surpriseOf([2000, -2000], 1), 4000);
});
