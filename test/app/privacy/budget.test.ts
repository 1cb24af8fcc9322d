// The budget guard: ceilings, reservations, settlements, rebuilding from the ledger, and the properties that hold for
// any history.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  applyBudgetEntry,
  budgetReadings,
  emptyBudget,
  rebuildBudget,
  reserve,
  settle,
  withCeiling,
  withoutConsent,
  wouldExceed,
} from '../../../app/privacy/budget.ts';
import type { BudgetEntry, BudgetState, Charge } from '../../../app/privacy/budget.ts';
import { setCeiling } from '../../../app/privacy/ceiling.ts';
import type { Ceiling } from '../../../app/privacy/ceiling.ts';
import type { PrivacyEvent } from '../../../app/privacy/events.ts';
import { rdpAccountant } from '../../../app/privacy/rdp-accountant.ts';
import { defaultOrders, rdpCapacity } from '../../../app/privacy/rdp.ts';
import { delta } from '../../../app/units.ts';
import { gaussian, sealed, unbounded } from './accountant-contract.ts';

const event = sealed({ samplingRate: 0.1 });

const ceiling = (changes: Partial<Omit<Ceiling, 'order'>>, planned: PrivacyEvent | null = null): Ceiling =>
  setCeiling(
    {
      kind: 'dataset',
      id: 'ward',
      studies: null,
      datasets: ['ward-1', 'ward-2'],
      unit: 'person',
      epsilon: 8,
      delta: 1e-5,
      ...changes,
    },
    planned,
  );

const consent = (study: string, epsilon: number | null = 4, planned: PrivacyEvent | null = null): Ceiling =>
  ceiling({ kind: 'consent', id: `consent-${study}`, studies: [study], datasets: ['ward-1'], epsilon }, planned);

const charge = (round: number, changes: Partial<Charge> = {}): Charge => ({
  study: 'a',
  round,
  dataset: 'ward-1',
  event,
  ...changes,
});

const start = (...ceilings: readonly Ceiling[]): BudgetState => ceilings.reduce(withCeiling, emptyBudget);

function fill(state: BudgetState, study = 'a', of: PrivacyEvent = event): { state: BudgetState; rounds: number } {
  let rounds = 0;
  const first = state.charges.length + 1;
  while (wouldExceed(state, charge(rounds, { study, event: of })) === null) {
    state = reserve(state, first + rounds, charge(rounds, { study, event: of }));
    rounds++;
    assert.ok(rounds < 5000, 'the ceiling never closes');
  }
  return { state, rounds };
}

test('α* is the order that leaves most room: for Gaussians when nothing is planned, else for the plan', () => {
  const free = ceiling({ epsilon: 8 });
  for (const order of defaultOrders)
    assert.ok(
      rdpCapacity(order, 8, delta(1e-5)) / order <= rdpCapacity(free.order!, 8, delta(1e-5)) / free.order! + 1e-12,
    );
  const plan: PrivacyEvent = { mechanism: 'repeated', event, times: 200 };
  const account = rdpAccountant('add-or-remove');
  account.compose(plan);
  const epsilon = account.epsilon(delta(1e-5));
  const planned = consent('a', epsilon, plan);
  const { rounds } = fill(start(ceiling({ epsilon: 100 }), planned));
  assert.equal(rounds, 200, 'a consent at the plan’s own ε admits exactly the plan');
});

test('the ceiling that would be exceeded most is named, with by how much', () => {
  const state = start(ceiling({ epsilon: 0.5 }), consent('a', 0.2), ceiling({ kind: 'policy', id: 'it', epsilon: 8 }));
  const excess = wouldExceed(state, charge(1, { event: sealed({ noiseVariance: 5000 }) }));
  assert.ok(excess !== null);
  assert.deepEqual([excess.ceiling, excess.id, excess.limit], ['consent', 'consent-a', 0.2]);
  assert.equal(excess.by, excess.wouldBe - 0.2);
  assert.throws(() => reserve(state, 1, charge(1, { event: sealed({ noiseVariance: 5000 }) })), {
    code: 'budget-exceeded',
  });
});

for (const kind of ['consent', 'dataset', 'policy'] as const)
  test(`a ${kind} ceiling alone closes the budget`, () => {
    const all = [ceiling({ epsilon: 50 }), consent('a', 50), ceiling({ kind: 'policy', id: 'it', epsilon: 50 })];
    const tight = all.map((one) => (one.kind === kind ? setCeiling({ ...one, epsilon: 3 }, null) : one));
    const { state, rounds } = fill(start(...tight));
    assert.ok(rounds > 1);
    assert.equal(wouldExceed(state, charge(rounds))?.ceiling, kind);
    for (const { ceiling: one, used } of budgetReadings(state)) assert.ok(used <= one.epsilon!);
  });

test('studies compose in the dataset’s ceiling; each consent counts its own', () => {
  const state = start(ceiling({ epsilon: 5 }), consent('a', 4), consent('b', 4));
  const first = fill(state, 'a');
  const second = fill(first.state, 'b');
  assert.ok(second.rounds > 0 && second.rounds < first.rounds);
  assert.equal(wouldExceed(second.state, charge(9999, { study: 'b' }))?.ceiling, 'dataset');
});

test('another version in the lineage shares the ceiling, another lineage does not', () => {
  const other = ceiling({ id: 'clinic', datasets: ['clinic-1'], epsilon: 8 });
  const consents = ceiling({ kind: 'consent', id: 'c', studies: ['a'], datasets: null, epsilon: 1000 });
  const { state } = fill(start(ceiling({ epsilon: 2 }), other, consents));
  assert.equal(wouldExceed(state, charge(9999, { dataset: 'ward-2' }))?.ceiling, 'dataset');
  assert.equal(wouldExceed(state, charge(9999, { dataset: 'clinic-1' })), null);
});

test('nothing passes without a consent and a dataset ceiling', () => {
  assert.throws(() => wouldExceed(start(ceiling({})), charge(1)), { code: 'no-consent' });
  assert.throws(() => wouldExceed(start(consent('a')), charge(1)), { code: 'no-dataset-ceiling' });
  assert.throws(() => wouldExceed(start(ceiling({}), consent('b')), charge(1)), { code: 'no-consent' });
  const withdrawn = withoutConsent(start(ceiling({}), consent('a')), 'consent-a');
  assert.throws(() => wouldExceed(withdrawn, charge(1)), { code: 'no-consent' });
  assert.equal(withoutConsent(withdrawn, 'ward').ceilings.length, 1);
});

test('a release without noise passes only where every ceiling says "no bound"', () => {
  const free = { epsilon: null } as const;
  const one = charge(1, { event: unbounded });
  assert.equal(wouldExceed(start(ceiling(free), consent('a', null)), one), null);
  const excess = wouldExceed(start(ceiling({}), consent('a', null)), one);
  assert.deepEqual([excess?.ceiling, excess?.wouldBe, excess?.by], ['dataset', Infinity, Infinity]);
  const spent = reserve(start(ceiling(free), consent('a', null)), 1, one);
  assert.equal(budgetReadings(spent)[0]!.used, Infinity);
});

test('the share used grows in equal steps from 0 and reaches 1 when the ceiling is full', () => {
  const empty = start(ceiling({}), consent('a'));
  assert.equal(budgetReadings(empty)[1]!.share, 0);
  const shareAfter = (count: number): number => {
    let state = empty;
    for (let round = 1; round <= count; round++) state = reserve(state, round, charge(round));
    return budgetReadings(state)[1]!.share!;
  };
  assert.ok(Math.abs(shareAfter(3) - 3 * shareAfter(1)) < 1e-12);
  const { state } = fill(empty);
  const full = budgetReadings(state)[1]!.share!;
  assert.ok(full <= 1 + 1e-9 && full > 1 - shareAfter(1));
  assert.equal(budgetReadings(start(ceiling({ epsilon: null }), consent('a', null)))[0]!.share, null);
});

test('units: finer is refused, coarser counts twice its clip, coarser and sampled is refused', () => {
  const state = start(ceiling({}), consent('a'));
  assert.throws(() => wouldExceed(state, charge(1, { event: sealed({ unit: 'record' }) })), {
    code: 'unit-finer-than-ceiling',
  });
  assert.throws(() => wouldExceed(state, charge(1, { event: gaussian(1) })), { code: 'event-not-chargeable' });
  const whole = sealed({ unit: 'institution', adjacency: 'zero-out' });
  const reading = (of: PrivacyEvent): number =>
    budgetReadings(reserve(start(ceiling({}), consent('a')), 1, charge(1, { event: of })))[0]!.used;
  assert.equal(reading(whole), reading(sealed({ sensitivity: 200 })));
  const records = start(ceiling({ unit: 'record' }), consent('a'));
  assert.throws(() => wouldExceed(records, charge(1)), { code: 'coarser-unit-sampled' });
});

test('a ceiling’s order, δ, unit and scope stay; its ε may change', () => {
  const state = start(ceiling({}));
  assert.throws(() => withCeiling(state, { ...ceiling({}), order: 3 }), { code: 'ceiling-fixed' });
  assert.throws(() => withCeiling(state, { ...ceiling({}), delta: 1e-6 }), { code: 'ceiling-fixed' });
  assert.throws(() => withCeiling(state, { ...ceiling({}), unit: 'record' }), { code: 'ceiling-fixed' });
  assert.throws(() => withCeiling(state, { ...ceiling({}), datasets: ['ward-1'] }), { code: 'ceiling-scope-shrinks' });
  assert.throws(() => withCeiling(state, { ...ceiling({}), studies: ['a'] }), { code: 'ceiling-scope-shrinks' });
  const changed = withCeiling(state, { ...ceiling({}), epsilon: 2, datasets: ['ward-1', 'ward-2', 'ward-3'] });
  assert.deepEqual(
    changed.ceilings.map(({ epsilon }) => epsilon),
    [2],
  );
});

test('a settlement lowers the charge once, and never raises it', () => {
  const state = reserve(start(ceiling({}), consent('a')), 7, charge(1));
  const before = budgetReadings(state)[0]!.used;
  const settled = settle(state, 8, 7, { ...event, honestShares: 9 });
  assert.ok(budgetReadings(settled)[0]!.used < before);
  assert.throws(() => settle(settled, 9, 7, { ...event, honestShares: 10 }), { code: 'already-settled' });
  assert.throws(() => settle(state, 8, 6, event), { code: 'settlement-unknown' });
  const larger: readonly Partial<typeof event>[] = [
    { honestShares: 3 },
    { honestShares: 1 },
    { steps: 2 },
    { sensitivity: 101 },
    { sensitivity: 99 },
    { noiseVariance: 50_000 },
    { samplingRate: 0.05 },
    { delta: 1e-4 },
    { dimension: 10 },
    { unit: 'record' },
    { institutionsPerPerson: 2 },
  ];
  for (const change of larger)
    assert.throws(() => settle(state, 8, 7, { ...event, ...change }), { code: 'settlement-larger' });
  assert.throws(() => settle(state, 8, 7, unbounded), { code: 'settlement-larger' });
});

test('composed and repeated reservations settle part by part', () => {
  const worst: PrivacyEvent = { mechanism: 'composed', events: [event, { mechanism: 'repeated', event, times: 3 }] };
  const state = reserve(start(ceiling({}), consent('a')), 1, charge(1, { event: worst }));
  const lower: PrivacyEvent = {
    mechanism: 'composed',
    events: [
      { ...event, honestShares: 6 },
      { mechanism: 'repeated', event, times: 2 },
    ],
  };
  assert.ok(budgetReadings(settle(state, 2, 1, lower))[0]!.used < budgetReadings(state)[0]!.used);
  const more: PrivacyEvent = { mechanism: 'composed', events: [event, { mechanism: 'repeated', event, times: 4 }] };
  assert.throws(() => settle(state, 2, 1, more), { code: 'settlement-larger' });
  assert.throws(() => settle(state, 2, 1, { mechanism: 'composed', events: [event] }), { code: 'settlement-larger' });
});

test('one round is charged once, entries come in order', () => {
  const state = reserve(start(ceiling({}), consent('a')), 5, charge(1));
  assert.throws(() => reserve(state, 6, charge(1)), { code: 'already-charged' });
  assert.throws(() => reserve(state, 5, charge(2)), { code: 'budget-out-of-order' });
});

test('the ledger is the truth: what it holds counts even above a lowered ceiling', () => {
  const low = start(ceiling({ epsilon: 0.01 }), consent('a'));
  const state = applyBudgetEntry(low, { seq: 1, kind: 'budget-reserved', body: charge(1) });
  assert.ok(budgetReadings(state)[0]!.used > 0.01);
  assert.equal(wouldExceed(state, charge(2))?.ceiling, 'dataset');
});

const eventArbitrary = fc
  .record({
    honestShares: fc.integer({ min: 2, max: 20 }),
    noiseVariance: fc.integer({ min: 2000, max: 100_000 }),
    samplingRate: fc.constantFrom(0.01, 0.1, 0.5, 1),
  })
  .map((changes) => sealed(changes));

test('any history: never above a ceiling, order irrelevant, settling never raises, rebuilt equal', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ event: eventArbitrary, study: fc.constantFrom('a', 'b'), more: fc.integer({ min: 0, max: 5 }) }),
        {
          minLength: 1,
          maxLength: 12,
        },
      ),
      fc.integer({ min: 0, max: 1e6 }),
      (steps, turn) => {
        const ceilings = [ceiling({ epsilon: 3 }), consent('a', 2), consent('b', 2)];
        let state = start(...ceilings);
        const entries: BudgetEntry[] = [];
        const readings = (of: BudgetState): readonly number[] => budgetReadings(of).map(({ used }) => used);
        let seq = 0;
        for (const [round, step] of steps.entries()) {
          const wanted = charge(round, { event: step.event, study: step.study });
          if (wouldExceed(state, wanted) !== null) {
            assert.throws(() => reserve(state, seq + 1, wanted), { code: 'budget-exceeded' });
            continue;
          }
          const before = readings(state);
          state = reserve(state, ++seq, wanted);
          entries.push({ seq, kind: 'budget-reserved', body: wanted });
          const reservedSeq = seq;
          const reserved = readings(state);
          reserved.forEach((used, index) => {
            assert.ok(used >= before[index]!);
            assert.ok(used <= ceilings[index]!.epsilon! * (1 + 1e-8));
          });
          if (step.more > 0) {
            const realised = { ...step.event, honestShares: step.event.honestShares + step.more };
            state = settle(state, ++seq, reservedSeq, realised);
            entries.push({
              seq,
              kind: 'budget-settled',
              body: { study: step.study, round, reservedSeq, event: realised },
            });
            readings(state).forEach((used, index) => {
              assert.ok(used <= reserved[index]!);
              assert.ok(used >= before[index]!);
            });
          }
        }
        const rebuilt = rebuildBudget(ceilings, JSON.parse(JSON.stringify(entries)) as BudgetEntry[]);
        assert.deepEqual(rebuilt, state);
        assert.deepEqual(JSON.parse(JSON.stringify(state)), state);
        const at = turn % (state.charges.length + 1);
        const turned = { ...state, charges: [...state.charges.slice(at), ...state.charges.slice(0, at)] };
        assert.deepEqual(readings(turned), readings(state));
      },
    ),
    { numRuns: 60 },
  );
});

test('rounds that are charged alike share one event, so that a long log costs one computation', () => {
  const entries = Array.from({ length: 50 }, (_, at): BudgetEntry => {
    const body = { ...charge(at + 1), event: { ...event } };
    return { seq: at + 1, kind: 'budget-reserved', body };
  });
  const other = {
    seq: 51,
    kind: 'budget-reserved',
    body: charge(51, { event: sealed({ samplingRate: 0.2 }) }),
  } as const;
  const { charges } = rebuildBudget([], [...entries, other]);
  assert.equal(new Set(charges.map((one) => one.event)).size, 2);
});
