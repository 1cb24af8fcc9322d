// Noise for a target ε, and the rule for δ.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  calibrateNoiseMultiplier,
  calibrateSamplingRate,
  calibrateSteps,
  scheduleEpsilon,
} from '../../../app/privacy/calibrate.ts';
import { deltaFinding } from '../../../app/privacy/delta-finding.ts';
import { rdpAccountant } from '../../../app/privacy/rdp-accountant.ts';
import { delta } from '../../../app/units.ts';
import { gaussian } from './accountant-contract.ts';
import { reference, skipWithoutReference } from './reference.ts';

test('the calibrated noise meets its target, and a hair less does not', () => {
  for (const [epsilon, d, q, steps] of [
    [1, 1e-5, 0.01, 1000],
    [8, 1e-5, 1, 100],
    [0.1, 1e-6, 0.2, 30],
    [60, 1e-3, 0.5, 3],
  ] as const) {
    const noise = calibrateNoiseMultiplier({ epsilon, delta: d, samplingRate: q, steps });
    const spent = (multiplier: number): number => {
      const account = rdpAccountant('add-or-remove');
      account.compose(gaussian(multiplier, steps, q));
      return account.epsilon(delta(d));
    };
    assert.ok(spent(noise) <= epsilon, `${spent(noise)} is above ${epsilon}`);
    assert.ok(spent(noise * (1 - 1e-5)) > epsilon, `${noise} is too much`);
  }
});

test('the inverse of a published value', () => {
  const noise = calibrateNoiseMultiplier({
    epsilon: 0.7242234026109595,
    delta: 1e-5,
    samplingRate: 0.0025,
    steps: 6000,
  });
  assert.ok(Math.abs(noise - 1.3) < 1e-5);
});

test('noise, steps and rate by every accountant: what is returned meets the target, a little more does not', () => {
  const d = delta(1e-5);
  for (const accountant of ['rdp', 'pld'] as const) {
    const target = { epsilon: 1.5, delta: d, accountant };
    const noise = calibrateNoiseMultiplier({ ...target, samplingRate: 0.05, steps: 60 });
    const by = (samplingRate: number, noiseMultiplier: number, steps: number): number =>
      scheduleEpsilon(accountant, { samplingRate, noiseMultiplier, steps }, d);
    assert.ok(by(0.05, noise, 60) <= 1.5 && by(0.05, noise * (1 - 1e-4), 60) > 1.5, accountant);
    const steps = calibrateSteps({ ...target, samplingRate: 0.05, noiseMultiplier: 1.2 });
    assert.ok(by(0.05, 1.2, steps) <= 1.5 && by(0.05, 1.2, steps + 1) > 1.5, accountant);
    const rate = calibrateSamplingRate({ ...target, steps: 60, noiseMultiplier: 1.2 });
    assert.ok(by(rate, 1.2, 60) <= 1.5 && by(rate * (1 + 1e-4), 1.2, 60) > 1.5, accountant);
  }
  assert.equal(calibrateSamplingRate({ epsilon: 9, delta: d, steps: 1, noiseMultiplier: 5 }), 1);
  assert.throws(() => calibrateSteps({ epsilon: 0.1, delta: d, samplingRate: 1, noiseMultiplier: 1 }), {
    code: 'no-step-fits',
  });
  assert.throws(() => calibrateSamplingRate({ epsilon: 0.1, delta: d, steps: 1e9, noiseMultiplier: 0.01 }), {
    code: 'no-rate-fits',
  });
  assert.throws(
    () => calibrateNoiseMultiplier({ epsilon: 1, delta: d, samplingRate: 0.5, steps: 2, accountant: 'gdp' }),
    { code: 'sampled-event-unsupported' },
  );
});

test('the analytic Gaussian exactly, and the reference’s smallest σ by PLD', { skip: skipWithoutReference }, () => {
  for (const [epsilon, d, sigma] of reference!.analytic_gaussian.sigma_for)
    for (const accountant of ['pld', 'gdp'] as const) {
      const got = calibrateNoiseMultiplier({ epsilon, delta: d, samplingRate: 1, steps: 4, accountant });
      assert.ok(Math.abs(got / (2 * sigma) - 1) < 1e-8);
    }
  for (const { epsilon, delta: d, q, sigma } of reference!.smallest_sigma_pld) {
    const got = calibrateNoiseMultiplier({ epsilon, delta: d, samplingRate: q, steps: 1, accountant: 'pld' });
    assert.ok(Math.abs(got - sigma) < 1e-4, `${got} is not ${sigma}`);
  }
});

test('targets that make no sense, or that no noise meets', () => {
  const target = { epsilon: 1, delta: 1e-5, samplingRate: 0.1, steps: 10 };
  assert.throws(() => calibrateNoiseMultiplier({ ...target, epsilon: 0 }), /epsilon/);
  assert.throws(() => calibrateNoiseMultiplier({ ...target, delta: 1 }), /Delta/);
  assert.throws(() => calibrateNoiseMultiplier({ ...target, samplingRate: 0 }), /SamplingRate/);
  assert.throws(() => calibrateNoiseMultiplier({ ...target, steps: 1.5 }), /steps/);
  assert.throws(() => calibrateNoiseMultiplier({ epsilon: 1e-9, delta: 1e-300, samplingRate: 1, steps: 1e9 }), {
    code: 'no-noise-suffices',
  });
  assert.equal(calibrateNoiseMultiplier({ ...target, epsilon: 1e9, least: 0.25 }), 0.25);
});

test('δ: refused above 1/(10·units), warned above 1/(100·units)', () => {
  const level = (d: number, units: number): string => deltaFinding(d, units).level;
  assert.equal(level(1e-4, 1000), 'warn');
  assert.equal(level(1.01e-4, 1000), 'refuse');
  assert.equal(level(1e-5, 1000), 'pass');
  assert.equal(level(1.01e-5, 1000), 'warn');
  assert.match(deltaFinding(0.5, 1000).sentence, /0\.000100/);
  assert.equal(deltaFinding(0.5, 1000).most, 1e-4);
  assert.throws(() => deltaFinding(1e-5, 0), /units/);
  assert.throws(() => deltaFinding(0, 5), /Delta/);
});
