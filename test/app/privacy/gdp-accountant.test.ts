// The GDP accountant through the common contract, against Balle and Wang's values and direct integration.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  gaussianDelta,
  gaussianEpsilon,
  gaussianNoiseMultiplier,
  gdpAccountant,
} from '../../../app/privacy/gdp-accountant.ts';
import { rdpAccountant } from '../../../app/privacy/rdp-accountant.ts';
import { sealedLogRatio } from '../../../app/privacy/sealed-sum-loss.ts';
import { delta } from '../../../app/units.ts';
import { accountantContract, gaussian, sealed } from './accountant-contract.ts';
import { reference, skipWithoutReference } from './reference.ts';

accountantContract(gdpAccountant);

// Balle and Wang 2018, as in dp-accounting's tests.
test('the analytic Gaussian both ways', () => {
  assert.ok(Math.abs(gaussianEpsilon(1, delta(1e-5)) - 4.377178096) < 1e-8);
  assert.ok(Math.abs(gaussianNoiseMultiplier(1, delta(1e-5)) - 3.730631635) < 1e-8);
});

test('every analytic Gaussian value of the reference', { skip: skipWithoutReference }, () => {
  for (const [epsilon, d, sigma] of reference!.analytic_gaussian.sigma_for)
    assert.ok(Math.abs(gaussianNoiseMultiplier(epsilon, delta(d)) / sigma - 1) < 1e-8);
  for (const [sigma, d, epsilon] of reference!.analytic_gaussian.epsilon_for)
    assert.ok(Math.abs(gaussianEpsilon(1 / sigma, delta(d)) / epsilon - 1) < 1e-8);
});

test('δ(ε) equals ∫ max(0, p − e^ε q) summed on a fine grid', () => {
  for (const [mu, epsilon] of [
    [1, 1],
    [0.2, 0.3],
    [3, 5],
  ] as const) {
    const density = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
    const step = 1e-4;
    let sum = 0;
    for (let x = -12; x < 12 + mu; x += step)
      sum += step * Math.max(0, density(x - mu) - Math.exp(epsilon) * density(x));
    assert.ok(Math.abs(gaussianDelta(mu, epsilon) / sum - 1) < 1e-5);
  }
});

test('sampled events are refused by name: the central limit is no bound', () => {
  const account = gdpAccountant('add-or-remove');
  assert.throws(() => account.compose(gaussian(0.6, 500, 0.01)), { code: 'sampled-event-unsupported' });
  assert.deepEqual(account.events(), []);
});

test('the density ratio of a sealed sum is charged twice, once for each side', () => {
  const event = sealed({ sensitivity: 1e-12, dimension: 9e15, steps: 5 });
  const account = gdpAccountant('add-or-remove');
  account.compose(event);
  assert.ok(Math.abs(account.epsilon(delta(1e-5)) / (10 * sealedLogRatio(event)) - 1) < 1e-12);
});

test('being exact, it is never above RDP', () => {
  for (const sigma of [0.5, 2, 20]) {
    const [exact, bound] = [gdpAccountant('add-or-remove'), rdpAccountant('add-or-remove')];
    for (const account of [exact, bound]) account.compose(gaussian(sigma, 9));
    assert.ok(exact.epsilon(delta(1e-6)) < bound.epsilon(delta(1e-6)));
  }
});
