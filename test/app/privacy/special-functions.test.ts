// Tail and sums in log space against a big-number twin and closed forms.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  alternatingSum,
  logAdd,
  logErfc,
  logExpm1,
  logNormalCdf,
  logSum,
} from '../../../app/privacy/special-functions.ts';
import { bigLogErfc } from '../../oracle/big-erfc.ts';

const near = (actual: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${actual} is not ${expected}`);

test('log erfc equals the big-number series over the whole range', () => {
  for (const x of [-8, -2, -0.5, -0.25, 0, 0.125, 0.4375, 0.5, 0.5625, 1, 1.5, 2, 3, 5, 6.25, 6.5, 9, 14, 18])
    near(logErfc(x), bigLogErfc(x), 4e-15);
});

test('log erfc keeps its asymptote where erfc itself is 0', () => {
  for (const x of [1e3, 1e6, 1e150])
    near(logErfc(x), -x * x - Math.log(x * Math.sqrt(Math.PI)) + Math.log1p(-1 / (2 * x * x)), 1e-14);
  assert.equal(logErfc(Infinity), -Infinity);
  near(logErfc(-Infinity), Math.LN2, 1e-16);
});

test('the normal distribution function has the table values', () => {
  near(logNormalCdf(0), -Math.LN2, 1e-16);
  near(Math.exp(logNormalCdf(1.959963984540054)), 0.975, 1e-15);
  near(Math.exp(logNormalCdf(-4.753424308822899)) * 1e6, 1, 1e-9);
});

test('sums in log space survive both ends', () => {
  near(logAdd(Math.log(2), Math.log(3)), Math.log(5), 1e-15);
  assert.equal(logAdd(-Infinity, 7), 7);
  assert.equal(logAdd(7, -Infinity), 7);
  assert.equal(logAdd(Infinity, Infinity), Infinity);
  near(logSum([1000, 1000]), 1000 + Math.LN2, 1e-15);
  assert.equal(logSum([]), -Infinity);
  near(logExpm1(1e-12), Math.log(1e-12), 1e-12);
  near(logExpm1(800), 800, 1e-15);
});

test('an alternating series is summed long before it converges', () => {
  const sizes = (at: (k: number) => number): number[] => Array.from({ length: 24 }, (_, k) => at(k));
  near(alternatingSum(sizes((k) => 1 / (k + 1))), Math.LN2, 1e-15);
  near(alternatingSum(sizes((k) => 1 / (2 * k + 1))), Math.PI / 4, 1e-15);
});
