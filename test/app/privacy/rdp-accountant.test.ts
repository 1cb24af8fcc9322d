// The RDP accountant through the common contract, and what only it does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rdpAccountant, rdpOfEvent } from '../../../app/privacy/rdp-accountant.ts';
import { sealedLogRatio, sealedNoiseMultiplier, shareSumRatio } from '../../../app/privacy/sealed-sum-loss.ts';
import { delta } from '../../../app/units.ts';
import { accountantContract, gaussian, sealed } from './accountant-contract.ts';
import { reference, skipWithoutReference } from './reference.ts';

accountantContract((adjacency) => rdpAccountant(adjacency));

test('τ has the reference value, and is nothing for one share', { skip: skipWithoutReference }, () => {
  for (const { v, h, tau } of reference!.sealed_sum.tau) {
    const got = shareSumRatio(h, v);
    assert.ok(Math.abs(got / tau - 1) < 0.02, `${got} is not ${tau}`);
  }
  assert.equal(shareSumRatio(1, 16), 0);
});

test('the density ratio is dτ + 4 d e^{−8π²}', () => {
  const event = sealed({ honestShares: 2, noiseVariance: 16, dimension: 1e6 });
  const expected = 1e6 * (10 * Math.exp(-(Math.PI ** 2) * 16) + 4 * Math.exp(-8 * Math.PI ** 2));
  assert.ok(Math.abs(sealedLogRatio(event) / expected - 1) < 1e-12);
  assert.equal(sealedNoiseMultiplier(event), Math.sqrt(28) / 100);
});

test('the density ratio is charged: it is all that is left when the Gaussian loss is nil', () => {
  for (const honestShares of [1, 4]) {
    const event = sealed({ honestShares, sensitivity: 1e-12, dimension: 9e15, steps: 5 });
    const expected = (5 * sealedLogRatio(event) * 15) / 7;
    assert.ok(expected > 1e-18 && Math.abs(rdpOfEvent(event, 8) / expected - 1) < 1e-3);
  }
});

test('sampling amplifies a sealed sum as it does a Gaussian', () => {
  const [sum, plain] = [rdpAccountant('add-or-remove'), rdpAccountant('add-or-remove')];
  sum.compose(sealed({ samplingRate: 0.01, steps: 1000, honestShares: 1, noiseVariance: 10_004 }));
  plain.compose(gaussian(1, 1000, 0.01));
  assert.ok(Math.abs(sum.epsilon(delta(1e-5)) / plain.epsilon(delta(1e-5)) - 1) < 1e-9);
});

test('a person in several sampling institutions is refused by name, except in mode local', () => {
  const event = sealed({ samplingRate: 0.1, institutionsPerPerson: 2 });
  const account = rdpAccountant('add-or-remove');
  assert.throws(() => account.compose(event), { code: 'person-in-several-institutions-sampled' });
  assert.throws(() => rdpOfEvent(event, 8), { code: 'person-in-several-institutions-sampled' });
  const local = { ...event, honestShares: 1 };
  account.compose(local);
  const once = rdpAccountant('add-or-remove');
  once.compose({ ...local, institutionsPerPerson: 1 }, 2);
  assert.equal(account.epsilon(delta(1e-5)), once.epsilon(delta(1e-5)));
});

test('a guard at one order gets the accountant’s value at it', () => {
  const event = sealed({ samplingRate: 0.05, steps: 7 });
  const account = rdpAccountant('add-or-remove', [6]);
  account.compose(event);
  const rdp = rdpOfEvent(event, 6);
  assert.equal(account.epsilon(delta(1e-5)), Math.max(0, rdp + Math.log1p(-1 / 6) - Math.log(6e-5) / 5));
});
