// RDP without closed forms, zCDP, and the Fourier transform under PLD: against what they must equal.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { multiplyByPower, sequenceOf, spectrumOf } from '../../../app/privacy/fft.ts';
import { gaussianEpsilon } from '../../../app/privacy/gdp-accountant.ts';
import { rdpFixedSize, rdpOfMixture } from '../../../app/privacy/rdp-mixture.ts';
import { rdpSampledGaussian } from '../../../app/privacy/rdp.ts';
import { gaussianRho, pureRho, simpleZcdpEpsilon, zcdpEpsilon, zcdpRho } from '../../../app/privacy/zcdp.ts';
import { delta } from '../../../app/units.ts';
import { reference, skipWithoutReference } from './reference.ts';

const near = (actual: number, expected: number, tolerance: number, what = ''): void =>
  assert.ok(Math.abs(actual / expected - 1) <= tolerance, `${what}: ${actual} is not ${expected}`);

test('a mixture of nothing and one is the Poisson-sampled Gaussian', () => {
  for (const order of [2, 3, 8, 32, 256])
    for (const [q, sigma] of [
      [0.01, 1],
      [0.3, 2],
    ] as const)
      near(rdpOfMixture(sigma, [0, 1], [1 - q, q], order), rdpSampledGaussian(q, sigma, order), 1e-8, `${order}`);
  near(rdpOfMixture(2, [3], [1], 5), (5 * 9) / 8, 1e-10);
  assert.equal(rdpOfMixture(1e-3, [0, 1], [0.5, 0.5], 1024), 1024 / 2e-6);
});

/** The trapezoidal rule over the whole line, with nothing left out and a step eight times finer. */
function plainMixture(
  sigma: number,
  sensitivities: readonly number[],
  probabilities: readonly number[],
  order: number,
) {
  const most = Math.max(...sensitivities);
  const variance = sigma * sigma;
  const step = Math.min(sigma / 4, variance / (2 * most)) / Math.sqrt(1 + (order * most * most) / (4 * variance)) / 8;
  const logs = (values: readonly number[]): number => {
    const largest = values.reduce((left, right) => Math.max(left, right), -Infinity);
    return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  };
  const loss = (x: number): number =>
    logs(sensitivities.map((s, j) => Math.log(probabilities[j]!) + (s * x - (s * s) / 2) / variance));
  const mean = (factor: number): number => {
    const [from, to] = [Math.min(0, factor * most) - 14 * sigma, Math.max(0, factor * most) + 14 * sigma];
    const terms: number[] = [];
    for (let x = from; x <= to; x += step) terms.push(factor * loss(x) - (x * x) / (2 * variance));
    return logs(terms) + Math.log(step / sigma) - Math.log(2 * Math.PI) / 2;
  };
  return Math.max(mean(order), mean(1 - order)) / (order - 1);
}

test('the stretches of the line that are left out hold nothing', () => {
  const binomial = (k: number, q: number): readonly number[] => {
    let ways = 1;
    return Array.from({ length: k + 1 }, (_, j) => {
      if (j > 0) ways = (ways * (k - j + 1)) / j;
      return ways * q ** j * (1 - q) ** (k - j);
    });
  };
  for (const [sigma, k, q] of [
    [0.6, 2, 0.01],
    [1.5, 3, 0.05],
    [4, 8, 0.3],
    [30, 20, 0.5],
  ] as const) {
    const sensitivities = Array.from({ length: k + 1 }, (_, j) => j);
    for (const order of [1.1, 2, 5.5, 24, 63]) {
      const [fast, plain] = [rdpOfMixture, plainMixture].map((of) => of(sigma, sensitivities, binomial(k, q), order));
      near(fast!, plain!, 1e-9 + 1e-12 / plain!, `σ = ${sigma}, k = ${k}, α = ${order}`);
    }
  }
  // Two far humps with nothing between them, either of which may be the larger.
  for (const [rare, order] of [
    [1e-30, 1.5],
    [1e-30, 8],
    [1e-9, 3],
  ] as const) {
    const [fast, plain] = [rdpOfMixture, plainMixture].map((of) => of(1, [0, 12], [1 - rare, rare], order));
    assert.ok(Math.abs(fast! - plain!) <= 1e-9 * plain! + 3e-13, `w = ${rare}, α = ${order}: ${fast} beside ${plain}`);
  }
});

test('more institutions cost more, and never more than all of them together', () => {
  const two = rdpOfMixture(1.5, [0, 1, 2], [0.81, 0.18, 0.01], 6);
  assert.ok(two > 2 * rdpSampledGaussian(0.1, 1.5, 6));
  assert.ok(two < rdpSampledGaussian(0.19, 0.75, 6));
});

test('batches of fixed size: the whole batch is a Gaussian, and smaller ones amplify', () => {
  assert.equal(rdpFixedSize(1, 2, 5), 5 / 8);
  let last = 0;
  for (const ratio of [0.001, 0.01, 0.1]) {
    const rdp = rdpFixedSize(ratio, 2, 5);
    assert.ok(rdp > last && rdp < 5 / 8);
    last = rdp;
  }
  // Theorem 27 at α = 2, written out.
  const term = Math.min(4 * Math.expm1(1 / 4), 2 * Math.exp(1 / 4));
  near(rdpFixedSize(0.02, 2, 2), Math.log1p(0.02 ** 2 * term), 1e-12);
  // Between whole orders (α − 1)·RDP is interpolated.
  near(1.5 * rdpFixedSize(0.02, 2, 2.5), (rdpFixedSize(0.02, 2, 2) + 2 * rdpFixedSize(0.02, 2, 3)) / 2, 1e-12);
});

test('zCDP: the reference, its inverse, and its place above the exact Gaussian', { skip: skipWithoutReference }, () => {
  for (const { rho, delta: d, epsilon } of reference!.zcdp) {
    const best = zcdpEpsilon(rho, delta(d));
    assert.ok(best <= epsilon + 5e-3 && best > epsilon - 0.5, `${best} is not ${epsilon}`);
    assert.ok(best < simpleZcdpEpsilon(rho, delta(d)));
  }
  for (const [epsilon, d] of [
    [1, 1e-5],
    [8, 1e-9],
  ] as const) {
    near(zcdpEpsilon(zcdpRho(epsilon, delta(d)), delta(d)), epsilon, 1e-6);
    assert.ok(zcdpEpsilon(gaussianRho(3), delta(d)) > gaussianEpsilon(1 / 3, delta(d)));
  }
  assert.equal(gaussianRho(2, 8), 1);
  assert.equal(pureRho(0.5), 0.125);
  assert.equal(zcdpEpsilon(0, delta(1e-5)), 0);
});

test('the transform turns convolution into products', () => {
  const values = Float64Array.from({ length: 16 }, (_, i) => (i < 4 ? (i + 1) / 10 : 0));
  const expected = new Float64Array(16);
  for (let i = 0; i < 4; i++)
    for (let j = 0; j < 4; j++)
      for (let k = 0; k < 4; k++) expected[i + j + k]! += values[i]! * values[j]! * values[k]!;
  const product = { re: new Float64Array(9).fill(1), im: new Float64Array(9) };
  multiplyByPower(product, spectrumOf(values), 3);
  sequenceOf(product).forEach((value, at) => assert.ok(Math.abs(value - expected[at]!) < 1e-15, `${at}: ${value}`));
  assert.throws(() => spectrumOf(new Float64Array(6)), /values/);
});
