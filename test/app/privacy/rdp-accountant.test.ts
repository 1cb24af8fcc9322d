// The RDP accountant through the common contract, and what only it does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rdpAccountant, rdpOfEvent, rdpOfSkellam } from '../../../app/privacy/rdp-accountant.ts';
import type { PrivacyEvent } from '../../../app/privacy/events.ts';
import { rdpOfSampledTimes } from '../../../app/privacy/rdp-mixture.ts';
import { epsilonOfRdp } from '../../../app/privacy/rdp.ts';
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

test('a person in several sampling institutions is the mixture of how many of them sample', () => {
  const event = sealed({ samplingRate: 0.1, institutionsPerPerson: 2, steps: 3 });
  const mixture: PrivacyEvent = {
    mechanism: 'gaussian-mixture',
    standardDeviation: sealedNoiseMultiplier(event),
    sensitivities: [0, 1, 2],
    probabilities: [0.81, 0.18, 0.01],
    steps: 3,
    adjacency: 'add-or-remove',
  };
  for (const order of [1.7, 4, 9]) {
    const [one, other] = [rdpOfEvent(event, order), rdpOfEvent(mixture, order)];
    assert.ok(Math.abs(one / other - 1) < 1e-9, `${one}, not ${other}`);
    assert.ok(one > rdpOfEvent({ ...event, institutionsPerPerson: 1 }, order));
    assert.ok(one < rdpOfEvent({ ...event, samplingRate: 1 }, order));
  }
  const account = rdpAccountant('add-or-remove');
  const many = sealed({ samplingRate: 0.1, institutionsPerPerson: 65 });
  assert.throws(() => account.compose(many), { code: 'person-in-too-many-institutions' });
  assert.throws(() => rdpOfEvent(many, 8), { code: 'person-in-too-many-institutions' });
  const local = { ...event, steps: 1, honestShares: 1 };
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

test(
  'Skellam: the reference at whole orders, near the Gaussian, and never below an exact sum',
  { skip: skipWithoutReference },
  () => {
    for (const { z, clip, scale, d, rounds, delta: at, epsilon, gaussian: noisier } of reference!.skellam) {
      const plain = scale * clip;
      // The rounded vector is conditioned on its length (β = e^−½), as in app/sealed-sum/quantise.ts.
      const squared = Math.min((plain + Math.sqrt(d)) ** 2, plain ** 2 + d / 4 + plain + Math.sqrt(d) / 2);
      const sensitivity = Math.sqrt(squared);
      const account = rdpAccountant('add-or-remove');
      account.compose({
        mechanism: 'skellam',
        variance: (z * scale) ** 2,
        sensitivity,
        absoluteSensitivity: Math.min(Math.sqrt(d) * sensitivity, squared),
        samplingRate: 1,
        steps: rounds,
        adjacency: 'add-or-remove',
      });
      const got = account.epsilon(delta(at));
      assert.ok(got <= epsilon + 1e-6 && got > noisier, `${got}, not ${epsilon}`);
      const whole = Array.from({ length: 63 }, (_, i) => i + 2);
      const byWhole = rdpAccountant('add-or-remove', whole);
      byWhole.compose(account.events()[0]!);
      assert.ok(Math.abs(byWhole.epsilon(delta(at)) - epsilon) < 1e-6);
    }
  },
);

test('persons in k institutions: never below the exact reference, and near it', { skip: skipWithoutReference }, () => {
  const orders = [1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8, 12];
  for (const { q, sigma, steps, delta: at, epsilon } of reference!.person_in_k_institutions)
    for (const [k, exact] of Object.entries(epsilon)) {
      const rdp = orders.map((order) => steps * rdpOfSampledTimes(sigma, Number(k), q, order));
      const got = epsilonOfRdp({ orders, rdp }, delta(at)).epsilon;
      assert.ok(got >= exact && got < 1.25 * exact, `k = ${k}: ${got} beside ${exact}`);
    }
});

test('Skellam in one dimension: the bound is above the divergence of the exact probabilities', () => {
  const poisson = (rate: number, most: number): number[] => {
    const out = [Math.exp(-rate)];
    for (let k = 1; k <= most; k++) out.push((out[k - 1]! * rate) / k);
    return out;
  };
  for (const [variance, moved] of [
    [4, 1],
    [20, 1],
    [20, 3],
    [90, 5],
  ] as const) {
    const most = Math.ceil(variance / 2 + 30 * Math.sqrt(variance) + 30);
    const one = poisson(variance / 2, most);
    const reach = Math.ceil(12 * Math.sqrt(variance)) + 10;
    const at = (m: number): number => {
      let sum = 0;
      for (let k = Math.max(0, -m); k <= most && k + m <= most; k++) sum += one[k]! * one[k + m]!;
      return sum;
    };
    const probabilities = new Map<number, number>();
    for (let m = -reach - moved; m <= reach + moved; m++) probabilities.set(m, at(m));
    for (const order of [2, 3, 8, 2.5]) {
      let sum = 0;
      for (let m = -reach; m <= reach; m++)
        sum += probabilities.get(m - moved)! ** order * probabilities.get(m)! ** (1 - order);
      const exact = Math.log(sum) / (order - 1);
      const bound = rdpOfSkellam(variance, moved, moved, order);
      assert.ok(bound >= exact, `v = ${variance}, moved ${moved}, order ${order}: ${bound} below ${exact}`);
      if (variance >= 20 && Number.isInteger(order)) assert.ok(bound < 1.6 * exact, 'and not far above');
    }
  }
});
