// How well samples fit the discrete Gaussian of the definition.

import assert from 'node:assert/strict';
import { discreteGaussianProbabilities } from '../../oracle/discrete-gaussian.ts';

/** Pearson's statistic minus its degrees of freedom, in standard deviations; cells hold 50 or more. */
export function chiSquareExcess(samples: Int32Array, variance: number): number {
  const reach = Math.ceil(8 * Math.sqrt(variance));
  const wanted = discreteGaussianProbabilities(variance, reach);
  const width = Math.max(1, Math.round(Math.sqrt(variance) / 8));
  const observed = new Map<number, number>();
  const expected = new Map<number, number>();
  const add = (to: Map<number, number>, x: number, amount: number): void => {
    const limit = Math.ceil((3 * Math.sqrt(variance)) / width);
    const cell = Math.max(-limit, Math.min(limit, Math.floor(x / width)));
    to.set(cell, (to.get(cell) ?? 0) + amount);
  };
  wanted.forEach((p, at) => add(expected, at - reach, p * samples.length));
  for (const x of samples) add(observed, x, 1);
  let statistic = 0;
  for (const [cell, count] of expected) {
    assert.ok(count >= 50);
    statistic += ((observed.get(cell) ?? 0) - count) ** 2 / count;
  }
  const freedom = expected.size - 1;
  return (statistic - freedom) / Math.sqrt(2 * freedom);
}
