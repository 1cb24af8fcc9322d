// The GDP filter: its cost adds up, is never below the exact composition, and holds however the releases were chosen.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { budgetReadings, emptyBudget, reserve, withCeiling, wouldExceed } from '../../../app/privacy/budget.ts';
import type { BudgetState, Charge } from '../../../app/privacy/budget.ts';
import { setCeiling, setGdpCeiling } from '../../../app/privacy/ceiling.ts';
import type { PrivacyEvent } from '../../../app/privacy/events.ts';
import { gdpAccountant } from '../../../app/privacy/gdp-accountant.ts';
import { gdpCostCapacity, gdpCostOfEvent, gdpEpsilonOfCost } from '../../../app/privacy/gdp-filter.ts';
import { delta } from '../../../app/units.ts';
import { sealed, unbounded } from './accountant-contract.ts';

const d = delta(1e-5);
const terms = {
  kind: 'dataset',
  id: 'ward',
  studies: null,
  datasets: ['ward'],
  unit: 'person',
  epsilon: 4,
  delta: d,
} as const;
const consent = setCeiling({ ...terms, kind: 'consent', id: 'c', epsilon: 1e4 }, null);
const start = (): BudgetState => [setGdpCeiling(terms), consent].reduce(withCeiling, emptyBudget);
const charge = (round: number, event: PrivacyEvent): Charge => ({ study: 'a', round, dataset: 'ward', event });

test('whatever was chosen after whatever was seen: what the filter lets pass is (ε, δ) by the exact accountant', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 50_000, max: 2_000_000 }), { minLength: 1, maxLength: 60 }),
      fc.boolean(),
      (variances, manyCoordinates) => {
        let state = start();
        const exact = gdpAccountant('add-or-remove');
        let refused = false;
        variances.forEach((noiseVariance, round) => {
          // The log ratio of a sum of h = 2 shares of variance 16 is no longer nothing at this dimension.
          const event = sealed({ noiseVariance, dimension: manyCoordinates ? 4_000_000_000 : 1000 });
          if (wouldExceed(state, charge(round, event)) !== null) {
            refused = true;
            return;
          }
          state = reserve(state, round + 1, charge(round, event));
          exact.compose(event);
        });
        if (state.charges.length === 0) return;
        const reading = budgetReadings(state)[0]!;
        assert.ok(exact.epsilon(d) <= reading.used * (1 + 1e-9));
        assert.ok(reading.used <= 4 * (1 + 1e-9) && reading.share! <= 1 + 1e-9);
        if (!refused) assert.ok(reading.used <= exact.epsilon(d) * (1 + 1e-6) + 1e-6, 'and no looser than that');
      },
    ),
    { numRuns: 40 },
  );
});

test('it admits more unsampled releases than the RDP filter at its best order, and refuses sampled ones by name', () => {
  const rounds = (ceiling: ReturnType<typeof setCeiling>): number => {
    let state = [ceiling, consent].reduce(withCeiling, emptyBudget);
    let round = 0;
    while (wouldExceed(state, charge(round, sealed())) === null) {
      state = reserve(state, round + 1, charge(round, sealed()));
      round++;
    }
    return round;
  };
  assert.ok(rounds(setGdpCeiling(terms)) > rounds(setCeiling(terms, sealed())));
  assert.throws(() => wouldExceed(start(), charge(1, sealed({ samplingRate: 0.1 }))), {
    code: 'sampled-event-unsupported',
  });
  assert.equal(wouldExceed(start(), charge(1, unbounded))?.by, Infinity);
});

test('the log density ratio is counted with μ², and the capacity is where the ceiling is met', () => {
  const coarse = sealed({ noiseVariance: 16, sensitivity: 1, honestShares: 3, dimension: 4_000_000_000 });
  const fine = sealed({ noiseVariance: 16, sensitivity: 1, honestShares: 3, dimension: 1 });
  assert.ok(gdpCostOfEvent(coarse) > gdpCostOfEvent(fine));
  assert.ok(Math.abs(gdpCostOfEvent(fine) - 1 / (3 * 16 - 4)) < 1e-15);
  for (const epsilon of [0.1, 1, 8, 50]) {
    const capacity = gdpCostCapacity(epsilon, d);
    assert.ok(gdpEpsilonOfCost(capacity, d) <= epsilon && gdpEpsilonOfCost(capacity * (1 + 1e-9), d) > epsilon);
  }
  assert.throws(() => setGdpCeiling({ ...terms, epsilon: null }), { code: 'unbounded-gdp-filter' });
  assert.throws(() => setGdpCeiling({ ...terms, epsilon: -1 }), RangeError);
});

test('an institution’s unsampled sum counts below as replace-one: twice its clip, four times its μ²', () => {
  const whole = sealed({ unit: 'institution', adjacency: 'zero-out' });
  const used = (event: PrivacyEvent): number => budgetReadings(reserve(start(), 1, charge(1, event)))[0]!.used;
  assert.equal(used(whole), used(sealed({ sensitivity: 200 })));
});
