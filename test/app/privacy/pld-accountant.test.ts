// The PLD accountant through the common contract, and against every outside value.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PrivacyEvent } from '../../../app/privacy/events.ts';
import { gaussianDelta, gaussianEpsilon } from '../../../app/privacy/gdp-accountant.ts';
import { binomialPair, pldAccountant } from '../../../app/privacy/pld-accountant.ts';
import { rdpAccountant } from '../../../app/privacy/rdp-accountant.ts';
import { samplerDistance, sealedLogRatio, sealedNoiseMultiplier } from '../../../app/privacy/sealed-sum-loss.ts';
import { delta } from '../../../app/units.ts';
import { accountantContract, gaussian, mixture, sealed } from './accountant-contract.ts';
import { reference, skipWithoutReference } from './reference.ts';

accountantContract(pldAccountant);

const spent = (...events: readonly PrivacyEvent[]) => {
  const account = pldAccountant('add-or-remove');
  for (const event of events) account.compose(event);
  return account;
};

const within = (actual: number, expected: number, tolerance: number, what: string): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual} is not within ${tolerance} of ${expected}`);

test('every PLD value of the reference, add-or-remove and replace-one', { skip: skipWithoutReference }, () => {
  for (const { q, sigma, steps, delta: d, epsilon, replace_one } of reference!.pld_poisson_subsampled_gaussian) {
    within(spent(gaussian(sigma, steps, q)).epsilon(delta(d)), epsilon, 1e-3, `${q} ${sigma} ${steps}`);
    if (replace_one === undefined) continue;
    const account = pldAccountant('replace-one');
    account.compose({ ...gaussian(sigma, steps, q), adjacency: 'replace-one' });
    within(account.epsilon(delta(d)), replace_one, 1e-3, `replace-one ${q} ${sigma} ${steps}`);
  }
});

test('every PRV tuple: an exact value lies in [v − 0.012, v]', { skip: skipWithoutReference }, () => {
  const { delta: d, tuples_sigma_q_steps_epsilon } = reference!.prv_upper_bounds;
  assert.ok(tuples_sigma_q_steps_epsilon.length >= 15);
  for (const [sigma, q, steps, v] of tuples_sigma_q_steps_epsilon) {
    const epsilon = spent(gaussian(sigma, steps, q)).epsilon(delta(d));
    assert.ok(
      epsilon >= v - 0.012 && epsilon <= v,
      `${sigma} ${q} ${steps}: ${epsilon} is not in [${v} − 0.012, ${v}]`,
    );
  }
});

test('δ at ε of the reference', { skip: skipWithoutReference }, () => {
  for (const { sigma, q = 1, compositions, epsilon, delta: d } of reference!.pld_delta)
    within(spent(gaussian(sigma, compositions, q)).delta(epsilon), d, 1e-5, `${sigma} ${q}`);
});

test(
  'a person in k sampling institutions: the mixture’s values, as events and as sealed sums',
  {
    skip: skipWithoutReference,
  },
  () => {
    for (const { q, sigma, steps, delta: d, epsilon } of reference!.person_in_k_institutions)
      for (const [k, expected] of Object.entries(epsilon)) {
        // L̃ = √(hv − 4) / σ makes z′ = σ.
        const event = sealed({
          honestShares: 2,
          noiseVariance: 1e6,
          dimension: 1,
          sensitivity: Math.sqrt(2e6 - 4) / sigma,
          samplingRate: q,
          steps,
          institutionsPerPerson: Number(k),
        });
        within(spent(event).epsilon(delta(d)), expected, 1e-3, `k = ${k}, q = ${q}`);
      }
  },
);

test('a mixture that always moves the same is a Gaussian; Binomial(1, q) is Poisson sampling', () => {
  const one = spent({ ...mixture, sensitivities: [1], probabilities: [1] });
  within(one.epsilon(delta(1e-5)), gaussianEpsilon(Math.sqrt(20) / 2, delta(1e-5)), 1e-3, 'Gaussian');
  const poisson = spent({ ...mixture, sensitivities: [0, 1], probabilities: [0.9, 0.1] });
  within(poisson.epsilon(delta(1e-5)), spent(gaussian(2, 20, 0.1)).epsilon(delta(1e-5)), 1e-6, 'Poisson');
  assert.equal(binomialPair(1, 3, 0.5).infinity, 0);
  const rare = binomialPair(1, 64, 1e-6);
  assert.ok(rare.infinity > 0 && rare.infinity < 1e-38);
  assert.equal(spent({ ...mixture, sensitivities: [0], probabilities: [1] }).epsilon(delta(1e-5)), 0);
});

test('unsampled Gaussians are exact, alone and beside sampled ones that cost next to nothing', () => {
  assert.equal(spent(gaussian(3, 4)).epsilon(delta(1e-5)), gaussianEpsilon(2 / 3, delta(1e-5)));
  assert.equal(spent(gaussian(3, 4)).delta(1), gaussianDelta(2 / 3, 1));
  const beside = spent(gaussian(3, 4), gaussian(1000, 1, 1e-6)).epsilon(delta(1e-5));
  assert.ok(beside >= gaussianEpsilon(2 / 3, delta(1e-5)) * (1 - 1e-9));
  within(beside, gaussianEpsilon(2 / 3, delta(1e-5)), 1e-4, 'beside');
});

test('mixed compositions: any order, never above RDP, never below their parts', () => {
  const part = fc.record({
    z: fc.double({ min: 0.7, max: 5, noNaN: true }),
    q: fc.constantFrom(0.003, 0.05, 0.4, 1),
    steps: fc.integer({ min: 1, max: 40 }),
  });
  fc.assert(
    fc.property(fc.array(part, { minLength: 2, maxLength: 3 }), (parts) => {
      const events = parts.map(({ z, q, steps }) => gaussian(z, steps, q));
      const epsilon = spent(...events).epsilon(delta(1e-6));
      assert.equal(spent(...events.toReversed()).epsilon(delta(1e-6)), epsilon);
      const bound = rdpAccountant('add-or-remove');
      for (const event of events) bound.compose(event);
      assert.ok(epsilon <= bound.epsilon(delta(1e-6)) + 3e-4, 'above RDP');
      for (const event of events) assert.ok(spent(event).epsilon(delta(1e-6)) <= epsilon + 3e-4, 'below a part');
      // Each is read on a grid of its own, so they are inverse in ε up to what the grids are loose by.
      const back = spent(...events).epsilon(delta(spent(...events).delta(epsilon)));
      assert.ok(Math.abs(back - epsilon) <= 3e-4 || epsilon === 0, 'inverse');
    }),
    { numRuns: 8 },
  );
});

test('very small and very large δ: right where the masses are far out, 0 where nothing is lost', () => {
  // The closed form of one Gaussian, reached through four sampled at rate (almost) 1.
  const almost = spent(gaussian(4, 4, 1 - 1e-12));
  for (const d of [0.3, 1e-3, 1e-12, 1e-30, 1e-100, 1e-250]) {
    const exact = gaussianEpsilon(0.5, delta(d));
    const epsilon = almost.epsilon(delta(d));
    assert.ok(epsilon >= exact * (1 - 1e-9) && epsilon <= exact + 1e-3, `δ = ${d}: ${epsilon} against ${exact}`);
  }
  assert.equal(almost.epsilon(delta(0.9)), 0);
  assert.ok(spent(gaussian(1, 10, 0.01)).delta(50) < 1e-200);
  assert.equal(spent(gaussian(1, 10, 0.01)).delta(1000), 0);
  assert.ok(spent(gaussian(1, 10, 0.01)).delta(0) < 0.2);
});

test('extreme schedules end, say their grid, and stay below RDP', () => {
  for (const event of [gaussian(1, 1e6, 1e-4), gaussian(0.01, 3, 0.5), gaussian(50, 1e6, 0.01), gaussian(5, 3, 1e-9)]) {
    const { epsilon, grid } = spent(event).answer(delta(1e-6));
    const bound = rdpAccountant('add-or-remove');
    bound.compose(event);
    assert.ok(grid !== null && grid.discretisation > 0);
    assert.ok(epsilon > 0 || event.samplingRate === 1e-9, `${event.noiseMultiplier} ${event.samplingRate}: ${epsilon}`);
    assert.ok(epsilon <= bound.epsilon(delta(1e-6)) + grid.looseness, `${event.noiseMultiplier}: ${epsilon}`);
  }
});

test('a sealed sum is charged its density ratio on either side and its sampler’s distance', () => {
  const event = sealed({
    samplingRate: 0.1,
    dimension: 1e12,
    noiseVariance: 16,
    honestShares: 2,
    sensitivity: 3,
    steps: 50,
  });
  const plain = spent(gaussian(sealedNoiseMultiplier(event), 50, 0.1)).epsilon(delta(1e-5));
  const x = 50 * sealedLogRatio(event);
  assert.ok(x > 1e-20);
  assert.ok(spent(event).epsilon(delta(1e-5)) >= plain + 2 * x);
  const huge = sealed({ dimension: 1e15, steps: 1e9, honestShares: 65535 });
  assert.ok(1e9 * samplerDistance(huge) > 1e-8);
  assert.equal(spent(huge).delta(30), 1);
  assert.throws(() => spent(sealed({ samplingRate: 0.5, institutionsPerPerson: 65 })), {
    code: 'person-in-too-many-institutions',
  });
});
