// The zCDP accountant through the common contract, and beside the accountants between which it stands.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PrivacyEvent } from '../../../app/privacy/events.ts';
import { gdpAccountant } from '../../../app/privacy/gdp-accountant.ts';
import { pldAccountant } from '../../../app/privacy/pld-accountant.ts';
import { sealedLogRatio } from '../../../app/privacy/sealed-sum-loss.ts';
import { zcdpAccountant } from '../../../app/privacy/zcdp-accountant.ts';
import { simpleZcdpEpsilon, zcdpDelta, zcdpEpsilon } from '../../../app/privacy/zcdp.ts';
import { delta } from '../../../app/units.ts';
import { accountantContract, gaussian, sealed } from './accountant-contract.ts';

accountantContract(zcdpAccountant);

test('ε(δ) and δ(ε) of ρ are inverse to each other, and never above the textbook', () => {
  for (const rho of [1e-6, 0.001, 0.1, 1, 30])
    for (const at of [1e-3, 1e-6, 1e-12]) {
      const epsilon = zcdpEpsilon(rho, delta(at));
      assert.ok(epsilon <= simpleZcdpEpsilon(rho, delta(at)));
      if (epsilon > 0) assert.ok(Math.abs(zcdpDelta(rho, epsilon) / at - 1) < 1e-6, `ρ = ${rho}, δ = ${at}`);
    }
});

test('for what is not Gaussian it is never below PLD, which is exact', () => {
  const events: readonly PrivacyEvent[] = [
    { mechanism: 'laplace', noiseMultiplier: 2, samplingRate: 1, steps: 10, adjacency: 'add-or-remove' },
    {
      mechanism: 'discrete-gaussian',
      variance: 9,
      sensitivity: 1,
      samplingRate: 1,
      steps: 6,
      adjacency: 'add-or-remove',
    },
    { mechanism: 'epsilon-delta', epsilon: 0.3, delta: 0, steps: 12, adjacency: 'add-or-remove' },
  ];
  for (const event of events) {
    const [loose, exact] = [zcdpAccountant('add-or-remove'), pldAccountant('add-or-remove')];
    for (const account of [loose, exact]) account.compose(event);
    const [high, low] = [loose.epsilon(delta(1e-6)), exact.epsilon(delta(1e-6))];
    assert.ok(high >= low && high < 2 * low, `${event.mechanism}: ${high} beside ${low}`);
  }
});

test('for Gaussians it is above the exact GDP, by little', () => {
  const [loose, exact] = [zcdpAccountant('add-or-remove'), gdpAccountant('add-or-remove')];
  for (const account of [loose, exact]) account.compose(gaussian(3, 20));
  const ratio = loose.epsilon(delta(1e-5)) / exact.epsilon(delta(1e-5));
  assert.ok(ratio > 1 && ratio < 1.15, `${ratio}`);
});

test('sampled releases are refused by name', () => {
  const account = zcdpAccountant('add-or-remove');
  assert.throws(() => account.compose(gaussian(1, 5, 0.1)), { code: 'sampled-event-unsupported' });
  assert.throws(() => account.compose(sealed({ samplingRate: 0.1 })), { code: 'sampled-event-unsupported' });
});

test('the density ratio of a sealed sum is charged twice, once for each side', () => {
  const event = sealed({ sensitivity: 1e-12, dimension: 9e15, steps: 5 });
  const account = zcdpAccountant('add-or-remove');
  account.compose(event);
  assert.ok(Math.abs(account.epsilon(delta(1e-5)) / (10 * sealedLogRatio(event)) - 1) < 1e-6);
});
