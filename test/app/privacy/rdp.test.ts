// RDP of the sampled Gaussian: outside values, a numerical-integration twin, edges, monotonicity, both conversions.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  defaultOrders,
  deltaOfRdp,
  epsilonAtOrder,
  epsilonOfRdp,
  exactFractionalRdp,
  rdpCapacity,
  rdpOfDensityRatio,
  rdpSampledGaussian,
} from '../../../app/privacy/rdp.ts';
import { delta } from '../../../app/units.ts';
import { integratedRdp } from '../../oracle/renyi-integral.ts';
import { reference, skipWithoutReference } from './reference.ts';

const relative = (actual: number, expected: number): number => Math.abs(actual / expected - 1);

function account(q: number, sigma: number, steps: number, d: number): { epsilon: number; order: number } {
  const rdp = defaultOrders.map((order) => steps * rdpSampledGaussian(q, sigma, order));
  return epsilonOfRdp({ orders: defaultOrders, rdp }, delta(d));
}

// dp-accounting's tests (Apache-2.0), so that the values hold where the reference folder is absent.
test('the published TF-Privacy values', () => {
  const first = account(0.0025, 1.3, 6000, 1e-5);
  assert.ok(relative(first.epsilon, 0.7242234026109595) < 1e-9);
  assert.equal(first.order, 19);
  const second = account(0.001, 1, 30000, 1e-7);
  assert.ok(relative(second.epsilon, 1.4154988495444842) < 1e-9);
  assert.equal(second.order, 13);
});

test('every RDP value of the reference to 1e-6', { skip: skipWithoutReference }, () => {
  const cases = reference!.rdp_poisson_subsampled_gaussian;
  assert.ok(cases.length >= 7);
  for (const { q, sigma, steps, delta: d, epsilon, order, tolerance } of cases) {
    const got = account(q, sigma, steps, d);
    // Six published decimals are themselves no closer than this.
    assert.ok(relative(got.epsilon, epsilon) < 1e-6, `${q} ${sigma} ${steps}: ${got.epsilon} is not ${epsilon}`);
    if (tolerance !== undefined) assert.ok(Math.abs(got.epsilon - 7.32911117143) < tolerance, 'the Opacus tuple');
    if (order !== undefined) assert.equal(got.order, order);
  }
  const { q, sigma, steps, orders, rdp, rtol } = reference!.rdp_vector;
  orders.forEach((order, index) =>
    assert.ok(relative(steps * rdpSampledGaussian(q, sigma, order), rdp[index]!) < rtol, `order ${order}`),
  );
});

test('an RDP ε is never below the exact one', { skip: skipWithoutReference }, () => {
  for (const { q, sigma, steps, delta: d, epsilon } of reference!.pld_poisson_subsampled_gaussian)
    assert.ok(account(q, sigma, steps, d).epsilon > epsilon);
});

test('Opacus keeps the signs of the fractional series: its value is the exact curve', () => {
  const rdp = defaultOrders.map((order) => 2250 * exactFractionalRdp(0.04, 1.5, order));
  assert.ok(relative(epsilonOfRdp({ orders: defaultOrders, rdp }, delta(1e-5)).epsilon, 7.32911117143) < 1e-10);
});

const grid: readonly (readonly [q: number, sigma: number])[] = [
  [0.01, 1],
  [0.2, 2],
  [0.5, 0.8],
  [0.9, 3],
  [1e-4, 0.7],
  [0.3, 8],
];

test('whole orders equal the numerical integral', () => {
  for (const [q, sigma] of grid)
    for (const order of [2, 3, 7, 20])
      assert.ok(
        relative(rdpSampledGaussian(q, sigma, order), integratedRdp(q, sigma, order)) < 1e-9,
        `${q} ${sigma} ${order}`,
      );
});

test('tiny sampling rates lose nothing at whole orders', () => {
  for (const order of [2, 5, 30])
    assert.ok(relative(rdpSampledGaussian(1e-9, 5, order), integratedRdp(1e-9, 5, order)) < 1e-9);
});

test('fractional orders: the exact value equals the integral, the accounted one is an upper bound near it', () => {
  for (const [q, sigma] of grid)
    for (const order of [1.1, 1.5, 2.5, 4.3, 10.9]) {
      const integral = integratedRdp(q, sigma, order);
      const named = `${q} ${sigma} ${order}`;
      // log A itself is known to some 1e-14, which is much of a value near 0.
      const floor = 1e-13 / (order - 1);
      assert.ok(Math.abs(exactFractionalRdp(q, sigma, order) - integral) < 1e-8 * integral + floor, named);
      const accounted = rdpSampledGaussian(q, sigma, order);
      assert.ok(accounted >= integral * (1 - 1e-11), named);
      if (order > 4) assert.ok(accounted < integral * 1.01 + floor, named);
    }
});

test('fractional orders never understate a loss too small for float64', () => {
  for (const q of [1e-9, 1e-8, 1e-7, 1e-6])
    for (const order of [1.1, 1.5, 3.7, 9.9])
      for (const value of [rdpSampledGaussian(q, 5, order), exactFractionalRdp(q, 5, order)])
        assert.ok(value >= integratedRdp(q, 5, order), `${q} ${order}`);
});

test('edges: nothing sampled, everything sampled, next to either, little and much noise', () => {
  for (const order of [1.5, 2, 64]) {
    assert.equal(rdpSampledGaussian(0, 1, order), 0);
    assert.equal(rdpSampledGaussian(1, 2, order), order / 8);
    assert.ok(relative(rdpSampledGaussian(1 - 1e-9, 2, order), order / 8) < 1e-6);
    assert.ok(rdpSampledGaussian(0.5, 1e-3, order) > 1e5);
    assert.ok(rdpSampledGaussian(0.5, 1e6, order) < 1e-10);
  }
  for (const bad of [-0.1, 1.1, Number.NaN]) assert.throws(() => rdpSampledGaussian(bad, 1, 2), /samplingRate/);
  for (const bad of [0, -1, Number.NaN]) assert.throws(() => rdpSampledGaussian(0.1, bad, 2), /noiseMultiplier/);
  for (const bad of [1, 0, Infinity, Number.NaN]) assert.throws(() => rdpSampledGaussian(0.1, 1, bad), /order/);
});

test('more noise, less sampling, a lower order never cost more (exact curve)', () => {
  const log = (from: number, to: number): fc.Arbitrary<number> =>
    fc.double({ min: Math.log(from), max: Math.log(to), noNaN: true }).map(Math.exp);
  fc.assert(
    fc.property(
      log(1e-4, 0.95),
      log(0.3, 20),
      fc.constantFrom(...defaultOrders.filter((order) => order < 200)),
      (q, sigma, order) => {
        const here = exactFractionalRdp(q, sigma, order);
        const allowed = here * (1 + 1e-9) + 1e-12;
        assert.ok(exactFractionalRdp(q, sigma * 1.05, order) <= allowed);
        assert.ok(exactFractionalRdp(q * 0.95, sigma, order) <= allowed);
        assert.ok(order === 1.1 || exactFractionalRdp(q, sigma, 1 + (order - 1) * 0.95) <= allowed);
        assert.ok(here <= (order / (2 * sigma * sigma)) * (1 + 1e-9), 'sampling amplifies');
        assert.ok(rdpSampledGaussian(q, sigma, order) >= here * (1 - 1e-12) - 1e-13 / (order - 1));
      },
    ),
    { numRuns: 150 },
  );
});

test('ε at δ and δ at ε undo each other, and the capacity is where the ceiling is met', () => {
  const curve = { orders: defaultOrders, rdp: defaultOrders.map((order) => order / 8) };
  for (const d of [1e-3, 1e-5, 1e-9]) {
    const { epsilon } = epsilonOfRdp(curve, delta(d));
    assert.ok(relative(deltaOfRdp(curve, epsilon).delta, d) < 1e-9);
    for (const order of [1.5, 8, 40]) {
      const capacity = rdpCapacity(order, 60, delta(d));
      assert.ok(relative(epsilonAtOrder(order, capacity, delta(d)), 60) < 1e-12);
    }
  }
  assert.equal(epsilonOfRdp({ orders: [2], rdp: [0] }, delta(1e-5)).epsilon, 0);
  assert.equal(epsilonOfRdp({ orders: [2], rdp: [Infinity] }, delta(1e-5)).epsilon, Infinity);
  assert.equal(deltaOfRdp({ orders: [2], rdp: [Infinity] }, 3).delta, 1);
  assert.throws(() => epsilonOfRdp({ orders: [], rdp: [] }, delta(1e-5)), /curve/);
});

test('a density ratio within e^±x costs at most x(2α−1)/(α−1): checked on two-point distributions', () => {
  const divergence = (p: number, q: number, order: number): number =>
    Math.log(p ** order * q ** (1 - order) + (1 - p) ** order * (1 - q) ** (1 - order)) / (order - 1);
  fc.assert(
    fc.property(
      fc.double({ min: 0.05, max: 0.9, noNaN: true }),
      fc.double({ min: 0.05, max: 0.9, noNaN: true }),
      fc.double({ min: 1.1, max: 20, noNaN: true }),
      (p, q, order) => {
        const [movedP, movedQ] = [p * 1.02, q * 0.98];
        const x = Math.max(
          ...[movedP / p, (1 - movedP) / (1 - p), movedQ / q, (1 - movedQ) / (1 - q)].map((r) => Math.abs(Math.log(r))),
        );
        const bound = divergence(p, q, order) + rdpOfDensityRatio(x, order);
        assert.ok(divergence(movedP, movedQ, order) <= bound + 1e-12);
      },
    ),
  );
});
