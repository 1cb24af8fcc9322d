// The forecast against the guard itself: charged round by round as it was so far, the study stops exactly where it said.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { emptyBudget, reserve, settle, withCeiling, wouldExceed } from '../../../app/privacy/budget.ts';
import type { BudgetState } from '../../../app/privacy/budget.ts';
import { setCeiling } from '../../../app/privacy/ceiling.ts';
import { parsePrivacyEvent } from '../../../app/privacy/events.ts';
import { forecast } from '../../../app/privacy/forecast.ts';

const [study, dataset] = ['ab'.repeat(32), 'records'];

const round = (honestShares: number) =>
  parsePrivacyEvent({
    mechanism: 'sealed-gaussian-sum',
    honestShares,
    noiseVariance: 1000,
    sensitivity: 40,
    dimension: 5,
    samplingRate: 1,
    steps: 1,
    delta: 1e-5,
    unit: 'record',
    adjacency: 'add-or-remove',
    institutionsPerPerson: 1,
  });

function budget(consentEpsilon: number | null, datasetEpsilon: number | null): BudgetState {
  const shared = { datasets: [dataset], unit: 'record', delta: 1e-5 } as const;
  const consent = { kind: 'consent', id: study, studies: [study], epsilon: consentEpsilon, ...shared } as const;
  const records = { kind: 'dataset', id: dataset, studies: null, epsilon: datasetEpsilon, ...shared } as const;
  return withCeiling(withCeiling(emptyBudget, setCeiling(consent, null)), setCeiling(records, null));
}

const asked = { study, dataset, worstCase: round(4), attemptsLeft: 10_000, firstRound: 1 };
const noPace = { now: 0, charged: [] };

/** Reserves the worst case and settles it, from round `from` on, until the guard refuses. @returns the refused round. */
function refusedRound(state: BudgetState, shares: number, from: number): number {
  for (let number = from, seq = 1000; ; number++, seq += 2) {
    const charge = { study, round: number, dataset, event: round(4) };
    if (wouldExceed(state, charge) !== null) return number;
    state = reserve(state, seq, charge);
    state = settle(state, seq + 1, seq, round(shares));
  }
}

test('the guard refuses the very round that the forecast names', () => {
  const numbers = fc.record({
    consent: fc.double({ min: 6, max: 30, noNaN: true }),
    records: fc.double({ min: 6, max: 30, noNaN: true }),
    shares: fc.integer({ min: 4, max: 9 }),
    done: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(numbers, ({ consent, records, shares, done }) => {
      let state = budget(consent, records);
      for (let number = 1; number <= done; number++) {
        const charge = { study, round: number, dataset, event: round(4) };
        if (wouldExceed(state, charge) !== null) break;
        state = settle(reserve(state, 2 * number, charge), 2 * number + 1, 2 * number, round(shares));
      }
      const begun = state.charges.length;
      const said = forecast(state, asked, noPace)!;
      assert.equal(said.round, refusedRound(state, begun === 0 ? 4 : shares, begun + 1));
      assert.equal(said.round, begun + said.rounds + 1);
      assert.equal(said.at, null);
    }),
    { numRuns: 60 },
  );
});

test('it names the ceiling that ends first, and none where all attempts fit', () => {
  const said = forecast(budget(30, 9), asked, noPace)!;
  assert.deepEqual([said.ceiling, said.id], ['dataset', dataset]);
  assert.equal(forecast(budget(30, 9), { ...asked, attemptsLeft: said.rounds }, noPace), null);
  assert.notEqual(forecast(budget(30, 9), { ...asked, attemptsLeft: said.rounds + 1 }, noPace), null);
  assert.equal(forecast(budget(null, null), asked, noPace), null);
  // Ceilings of other studies and datasets say nothing about this one.
  assert.equal(forecast(budget(30, 9), { ...asked, study: 'cd'.repeat(32), dataset: 'others' }, noPace), null);
});

test('the day follows the pace of what was charged', () => {
  const day = 86_400_000;
  const said = forecast(budget(30, 9), asked, { now: 5 * day, charged: [day, 3 * day, 5 * day] })!;
  assert.equal(said.at, 5 * day + (said.rounds + 1) * 2 * day);
  const late = forecast(budget(30, 9), asked, { now: 900 * day, charged: [day, 3 * day] })!;
  assert.equal(late.at, 900 * day);
});
