// PLD against the definition: never below the exact δ, and only by the grid above it. Sealed sums against exact sums of
// their discrete shares.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PrivacyEvent } from '../../../app/privacy/events.ts';
import { gaussianDelta } from '../../../app/privacy/gdp-accountant.ts';
import {
  discreteGaussianPair,
  epsilonDeltaPair,
  gaussianMixturePair,
  laplacePair,
  replacedGaussianPair,
  sampledGaussianPair,
} from '../../../app/privacy/loss-pair.ts';
import type { LossPair } from '../../../app/privacy/loss-pair.ts';
import { gridLosses, losses, reversedLosses } from '../../../app/privacy/loss-grid.ts';
import { pldAccountant } from '../../../app/privacy/pld-accountant.ts';
import { pldDelta, pldEpsilon } from '../../../app/privacy/pld.ts';
import { delta } from '../../../app/units.ts';
import { discreteGaussianProbabilities } from '../../oracle/discrete-gaussian.ts';
import {
  continuousDelta,
  convolved,
  discreteDelta,
  gaussianMixture,
  replacedGaussian,
  shifted,
} from '../../oracle/hockey-stick.ts';
import { sealed } from './accountant-contract.ts';

/** Never below, but for what the oracle's own float64 loses; above by no more than the grid. */
function bounds(actual: number, exact: number, what: string, above = 1e-4): void {
  assert.ok(exact > 1e-60, `${what}: nothing to compare`);
  assert.ok(actual >= exact * (1 - 1e-11), `${what}: ${actual} is below the exact ${exact}`);
  assert.ok(actual <= exact * (1 + above), `${what}: ${actual} is far above the exact ${exact}`);
}

test('the oracle itself: one Gaussian has its closed form', () => {
  for (const epsilon of [0, 1, 5])
    assert.ok(
      Math.abs(continuousDelta([gaussianMixture(1, [1], [1])[0]], epsilon) / gaussianDelta(1, epsilon) - 1) < 1e-9,
    );
});

test('one sampled Gaussian: the exact δ in both directions, far into the tail', () => {
  for (const [q, sigma] of [
    [0.01, 1],
    [0.2, 0.5],
    [0.9, 2],
    [1e-4, 0.7],
  ] as const) {
    const pair = sampledGaussianPair(q, sigma);
    const exactAt = (epsilon: number): number =>
      Math.max(...gaussianMixture(sigma, [0, 1], [1 - q, q]).map((one) => continuousDelta([one], epsilon)));
    for (const epsilon of [0, 0.05, 0.7, 3, 8]) {
      const exact = exactAt(epsilon);
      if (exact < 1e-60) continue;
      const got = pldDelta([{ pair, times: 1 }], epsilon).value;
      assert.ok(got >= exact * (1 - 1e-11), `${q} ${sigma} at ${epsilon}: ${got} is below the exact ${exact}`);
      assert.ok(got <= exactAt(epsilon - 1e-3) * (1 + 1e-9), `${q} ${sigma} at ${epsilon}: ${got} against ${exact}`);
    }
  }
});

test('two releases, alike and different, are integrals in integrals', () => {
  const cases: readonly (readonly { readonly q: number; readonly sigma: number; readonly times: number }[])[] = [
    [{ q: 0.1, sigma: 0.8, times: 2 }],
    [
      { q: 0.02, sigma: 0.7, times: 1 },
      { q: 0.5, sigma: 3, times: 1 },
    ],
    [{ q: 0.3, sigma: 1.5, times: 2 }],
  ];
  for (const parts of cases) {
    const pairs = parts.map(({ q, sigma, times }) => ({ pair: sampledGaussianPair(q, sigma), times }));
    for (const epsilon of [0.1, 1.2]) {
      const exact = [0, 1].map((direction) =>
        continuousDelta(
          parts.flatMap(({ q, sigma, times }) =>
            Array.from({ length: times }, () => gaussianMixture(sigma, [0, 1], [1 - q, q])[direction as 0 | 1]),
          ),
          epsilon,
          1e-7,
        ),
      );
      const got = pldDelta(pairs, epsilon).value;
      assert.ok(got >= Math.max(...exact) * (1 - 1e-7), `${got} is below ${exact.join(' and ')}`);
      assert.ok(got <= Math.max(...exact) * (1 + 1e-4), `${got} is far above ${exact.join(' and ')}`);
    }
  }
});

test('mixtures and replaced records', () => {
  const mixture = gaussianMixture(1.2, [0, 1, 2], [0.5, 0.4, 0.1]);
  const replaced = replacedGaussian(0.8, 0.3);
  for (const epsilon of [0.2, 2]) {
    bounds(
      pldDelta([{ pair: gaussianMixturePair(1.2, [0, 1, 2], [0.5, 0.4, 0.1]), times: 1 }], epsilon).value,
      Math.max(...mixture.map((one) => continuousDelta([one], epsilon))),
      `mixture at ${epsilon}`,
    );
    bounds(
      pldDelta([{ pair: replacedGaussianPair(0.3, 0.8), times: 1 }], epsilon).value,
      continuousDelta([replaced], epsilon),
      `replaced at ${epsilon}`,
    );
  }
});

test('Laplace, plain and sampled: the closed forms of one, and no more than basic composition', () => {
  for (const [scale, epsilon] of [
    [1, 0.3],
    [2, 0.1],
    [0.5, 1.5],
  ] as const)
    bounds(
      pldDelta([{ pair: laplacePair(1, scale), times: 1 }], epsilon).value,
      -Math.expm1((epsilon - 1 / scale) / 2),
      `Laplace ${scale}`,
    );
  // Amplification by sampling of a pure mechanism: ln(1 + q(e^{1/b} − 1)), and δ at half of it, exactly.
  const most = Math.log1p(0.1 * Math.expm1(1));
  assert.ok(pldDelta([{ pair: laplacePair(0.1, 1), times: 1 }], most + 1e-3).value < 1e-15);
  const inner = Math.log1p(Math.expm1(most / 2) / 0.1);
  bounds(
    pldDelta([{ pair: laplacePair(0.1, 1), times: 1 }], most / 2).value,
    0.1 * -Math.expm1((inner - 1) / 2),
    'sampled Laplace',
  );
  assert.ok(pldEpsilon([{ pair: laplacePair(1, 5), times: 4 }], 1e-12).value <= 0.8 + 1e-9);
});

test('discrete Gaussians and (ε, δ) blocks are sums over outcomes', () => {
  const probabilities = discreteGaussianProbabilities(6, 30);
  for (const [rate, times] of [
    [1, 2],
    [0.3, 2],
    [0.05, 3],
  ] as const)
    for (const epsilon of [0.2, 1]) {
      const exact = shifted(probabilities, 2, rate).map((one) =>
        discreteDelta(
          Array.from({ length: times }, () => one.filter(({ upper, lower }) => upper + lower > 1e-14)),
          epsilon,
        ),
      );
      bounds(
        pldDelta([{ pair: discreteGaussianPair(rate, 6, 2), times }], epsilon).value,
        Math.max(...exact),
        `discrete ${rate} at ${epsilon}`,
      );
    }
  const [e, d] = [0.4, 1e-3];
  const outcomes = [
    { upper: d, lower: 0 },
    { upper: ((1 - d) * Math.exp(e)) / (1 + Math.exp(e)), lower: (1 - d) / (1 + Math.exp(e)) },
    { upper: (1 - d) / (1 + Math.exp(e)), lower: ((1 - d) * Math.exp(e)) / (1 + Math.exp(e)) },
    { upper: 0, lower: d },
  ];
  for (const epsilon of [0.3, 0.9])
    bounds(
      pldDelta([{ pair: epsilonDeltaPair(e, d), times: 3 }], epsilon).value,
      discreteDelta([outcomes, outcomes, outcomes], epsilon),
      `blocks at ${epsilon}`,
    );
});

test('the grid keeps both masses, and one direction is the other read backwards', () => {
  const pairs: readonly LossPair[] = [
    sampledGaussianPair(0.05, 0.9),
    laplacePair(0.5, 1),
    replacedGaussianPair(0.1, 2),
  ];
  for (const pair of pairs) {
    const grid = gridLosses(pair, 1e-2, -60);
    const sum = (logs: Float64Array): number => logs.reduce((total, one) => total + Math.exp(one), 0);
    assert.ok(Math.abs(sum(losses(grid).logMass) - 1) < 1e-11, pair.key);
    assert.ok(Math.abs(sum(reversedLosses(grid).logMass) - 1) < 1e-11, pair.key);
    assert.ok(grid.mass.every((mass) => mass >= 0));
  }
});

test('a sealed sum is never charged less than its exact discrete sum, sampled or not; the shortcut is', () => {
  const [variance, shares, sensitivity] = [16, 2, 3];
  const share = discreteGaussianProbabilities(variance, 40);
  const sum = convolved(share, share).map((mass) => (mass < 1e-15 ? 0 : mass));
  let understated = 0;
  for (const rate of [1, 0.2])
    for (const steps of [1, 2]) {
      const event: PrivacyEvent = sealed({
        honestShares: shares,
        noiseVariance: variance,
        sensitivity,
        dimension: 1,
        samplingRate: rate,
        steps,
      });
      const account = pldAccountant('add-or-remove');
      account.compose(event);
      for (const epsilon of [0.1, 0.5, 1.5]) {
        const exact = Math.max(
          ...shifted(sum, sensitivity, rate).map((one) =>
            discreteDelta(
              Array.from({ length: steps }, () => one),
              epsilon,
            ),
          ),
        );
        const charged = account.delta(epsilon);
        assert.ok(charged >= exact, `rate ${rate}, ${steps} at ${epsilon}: ${charged} is below ${exact}`);
        assert.ok(
          exact < 0.02 || charged <= exact * 1.25,
          `rate ${rate}, ${steps} at ${epsilon}: ${charged} is far above ${exact}`,
        );
        const naive = sampledGaussianPair(rate, Math.sqrt(shares * variance) / sensitivity);
        if (pldDelta([{ pair: naive, times: steps }], epsilon).value < exact) understated++;
      }
    }
  assert.ok(understated > 0, 'charging the same variance as continuous was never too little');
});

test('of two directions the worse is taken', () => {
  const pair = sampledGaussianPair(0.3, 1);
  const [remove, add] = gaussianMixture(1, [0, 1], [0.7, 0.3]).map((one) => continuousDelta([one], 0.3));
  assert.ok(remove! > 2 * add!);
  bounds(pldDelta([{ pair, times: 1 }], 0.3).value, remove!, 'remove');
  assert.ok(pldEpsilon([{ pair, times: 1 }], remove! * (1 - 1e-6)).value > 0.3);
  assert.ok(delta(0.5) < 1);
});
