// The contract check: the sample passes without a finding; each rule is broken once and found under its code, with a
// repair; several broken rules are all listed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reviewContract } from '../../../app/review/check.ts';
import type { Review } from '../../../app/review/check.ts';
import type { ContractDraft } from '../../../app/study/contract.ts';
import type { Policy } from '../../../app/study/policy.ts';
import { changed, sampleContract, sampleDimension, sampleNow } from '../study/sample-study.ts';

const review = (contract: ContractDraft, policy: Policy | null = null, floatTerm = 0.002): Review =>
  reviewContract({ contract, modelDimension: sampleDimension, floatTerm, policy, now: sampleNow });

const levels = (contract: ContractDraft): string[] =>
  review(contract).findings.map((one) => `${one.level} ${one.code}`);

const base = sampleContract();
type Changes = Parameters<typeof changed>[1];

test('the sample contract passes without a finding', () => {
  const { outcome, findings } = review(base);
  assert.deepEqual(findings, []);
  assert.equal(outcome, 'pass');
});

const noNoise: Changes = {
  privacy: { noise: 'none', noiseMultiplier: null, epsilon: null },
  sealing: {
    noiseVariance: 0,
    openableBatches: [
      [0, 1, 2],
      [3, 4, 5],
    ],
  },
};
const local: Changes = {
  training: { mode: 'local', localSteps: 1, localLearningRate: 0.5 },
  sealing: { noiseVariance: 1_054_733, updateScale: 2 ** 20 },
};
const column = (name: string) => ({ ...base.task.table.features[0]!, column: name });
const table = base.task.table;

/** What is changed, and everything that is then found, in order. */
const rows: readonly (readonly [string, Changes, readonly string[]])[] = [
  // Thresholds.
  [
    'roster of two',
    { roster: base.roster.slice(0, 2), sealing: { threshold: 3, cohortFloor: 3, noiseVariance: 527_367 } },
    ['refuse roster-too-small'],
  ],
  [
    '2t = n + c',
    { sealing: { threshold: 4, cohortFloor: 5, colluders: 2, noiseVariance: 527_367 } },
    ['refuse quorum-too-small'],
  ],
  [
    't above n',
    { sealing: { threshold: 7, cohortFloor: 7, noiseVariance: 175_790 } },
    ['refuse quorum-above-roster', 'refuse cohort-floor-above-roster'],
  ],
  [
    't − c = 1',
    { sealing: { colluders: 4, noiseVariance: 1_054_733 } },
    ['refuse quorum-too-small', 'refuse too-few-honest'],
  ],
  ['floor above n', { sealing: { cohortFloor: 7 } }, ['refuse cohort-floor-above-roster']],
  ['floor below t', { sealing: { cohortFloor: 4 } }, ['warn cohort-floor-without-effect']],
  ['no dropout', { sealing: { threshold: 6, cohortFloor: 6, colluders: 2 } }, ['warn no-dropout-survived']],
  ['no dropout by the floor', { sealing: { cohortFloor: 6 } }, ['warn no-dropout-survived']],
  [
    'union of four',
    { roster: base.roster.slice(0, 4), sealing: { threshold: 3, cohortFloor: 3, noiseVariance: 527_367 } },
    ['warn union-below-five'],
  ],
  [
    'union of three',
    { roster: base.roster.slice(0, 3), sealing: { threshold: 3, cohortFloor: 3, noiseVariance: 527_367 } },
    ['warn union-below-five', 'warn no-dropout-survived'],
  ],
  [
    'lead owns two',
    { lead: { organisation: 'Hospital number 1' }, coordinator: { operator: 'Hospital number 2' } },
    ['refuse controlled-exceed-colluders'],
  ],
  [
    'name with a right-to-left override',
    { lead: { organisation: 'Insti\u202etute' } },
    ['refuse name-with-invisible-characters'],
  ],
  ['one key twice', { coordinator: { key: base.lead.identityKey } }, ['refuse party-repeated']],
  // Units and modes.
  [
    'institution unit in union',
    { training: { unit: 'institution' } },
    ['refuse unit-and-mode', 'refuse institution-sampling-unsupported'],
  ],
  [
    'record unit in institution mode',
    { training: { mode: 'institution', localLearningRate: 0.1 } },
    ['refuse unit-and-mode', 'refuse epsilon-understated', 'warn institution-unit-costly', 'warn epsilon-weak'],
  ],
  [
    'person without column',
    { training: { unit: 'person', person: { rowCap: 5, combine: 'mean' } } },
    ['refuse person-column-missing'],
  ],
  [
    'person without rule',
    { training: { unit: 'person' }, task: { table: { personColumn: 'nhs' } } },
    ['refuse person-rule-missing'],
  ],
  ['person rule for records', { training: { person: { rowCap: 5, combine: 'sum' } } }, ['refuse person-rule-unused']],
  ['persons under record unit', { task: { table: { personColumn: 'nhs' } } }, ['warn record-unit-with-persons']],
  [
    'persons in several sampled institutions',
    { training: { institutionsPerPerson: 2 } },
    ['refuse epsilon-understated', 'warn epsilon-weak'],
  ],
  [
    'more institutions than there are',
    { ...local, training: { ...local.training, institutionsPerPerson: 7 } },
    ['refuse more-institutions-than-roster', 'refuse epsilon-understated', 'warn epsilon-weak'],
  ],
  ['two steps in union', { training: { localSteps: 2 } }, ['refuse union-steps', 'refuse epsilon-understated']],
  ['learning rate in union', { training: { localLearningRate: 1 } }, ['refuse union-learning-rate']],
  ['local as it should be', local, []],
  [
    'local without rate',
    { ...local, training: { ...local.training, localLearningRate: null } },
    ['refuse local-learning-rate-missing'],
  ],
  ['local without update scale', { ...local, sealing: { noiseVariance: 1_054_733 } }, ['refuse update-scale-missing']],
  ['update scale in union', { sealing: { updateScale: 1024 } }, ['refuse update-scale-unused']],
  [
    'local noise by shares',
    { ...local, sealing: { ...local.sealing, noiseVariance: 263_684 } },
    ['refuse noise-variance-too-small', 'refuse epsilon-understated', 'warn epsilon-weak'],
  ],
  [
    'update grid too coarse',
    { ...local, sealing: { ...local.sealing, updateScale: 64 } },
    ['warn update-scale-coarse'],
  ],
  ['update clamp too tight', { ...local, sealing: { ...local.sealing, updateScale: 2 ** 28.5 } }, ['warn clamp-tight']],
  [
    'update clamp below one update',
    { ...local, sealing: { ...local.sealing, updateScale: 2 ** 40 } },
    ['refuse clamp-below-clip'],
  ],
  ['averaging after the end', { training: { averageFromRound: 31 } }, ['refuse average-after-end']],
  [
    'batches mostly empty',
    { training: { samplingRate: 0.0005 } },
    ['warn batches-often-empty', 'warn epsilon-overstated'],
  ],
  ['another dimension', { sealing: { dimension: 7 } }, ['refuse dimension-differs']],
  // Noise, scale, ring.
  ['v one too small', { sealing: { noiseVariance: 263_683 } }, ['refuse noise-variance-too-small']],
  ['v larger', { sealing: { noiseVariance: 264_000 } }, []],
  ['v below 16', { sealing: { noiseVariance: 15 } }, ['refuse noise-variance-below-sixteen', 'refuse epsilon-unknown']],
  ['z missing', { privacy: { noiseMultiplier: null } }, ['refuse noise-multiplier-missing']],
  [
    'scale too coarse',
    { sealing: { scale: 64 * Math.sqrt(6) * 0.999 } },
    ['refuse epsilon-unknown', 'refuse scale-too-coarse'],
  ],
  [
    'ring too small',
    { sealing: { ringBits: 16, noiseVariance: 1_000_000 }, privacy: { epsilon: 2 } },
    ['refuse ring-too-small'],
  ],
  ['clamp below one clip', { sealing: { ringBits: 16, noiseVariance: 320_000 } }, ['refuse clamp-below-clip']],
  ['clamp below a batch', { sealing: { ringBits: 16 } }, ['warn clamp-tight']],
  [
    'scale beyond the ring',
    { sealing: { scale: 2 ** 27, noiseVariance: 2 ** 52 } },
    ['refuse noise-variance-too-small', 'refuse ring-too-small'],
  ],
  ['ring of 24 bits', { sealing: { ringBits: 24 } }, []],
  ['ε understated', { privacy: { epsilon: 6.1 } }, ['refuse epsilon-understated']],
  ['ε overstated', { privacy: { epsilon: 10 } }, ['warn epsilon-overstated']],
  ['ε missing', { privacy: { epsilon: null } }, ['refuse epsilon-missing']],
  // δ.
  ['δ above a tenth', { privacy: { delta: 1.1e-5 } }, ['refuse delta-too-large']],
  ['δ above a hundredth', { privacy: { delta: 2e-6 } }, ['warn delta-too-large']],
  [
    'δ exempt by name',
    { privacy: { delta: 1e-3, deltaExemption: 'FLamby table 3', epsilon: 5 } },
    ['warn delta-exempt'],
  ],
  ['more units than stated', { privacy: { unitsUpperBound: 5999 } }, ['refuse units-upper-bound']],
  // Batches.
  ['batch cap too small', { training: { microbatch: { units: 32, count: 4 } } }, ['refuse batch-cap-too-small']],
  ['batch cap below the mean', { training: { microbatch: { units: 32, count: 2 } } }, ['refuse batch-cap-too-small']],
  [
    'ε beyond what the sampler can hold',
    {
      training: { microbatch: { units: 40, count: 25 } },
      sealing: { noiseVariance: 16 },
      privacy: { noiseMultiplier: 1e-3 },
    },
    ['refuse epsilon-understated', 'refuse delta-below-sampler', 'warn epsilon-weak'],
  ],
  ['one large microbatch', { training: { microbatch: { units: 290, count: 1 } } }, []],
  // Without noise.
  ['no noise', noNoise, ['warn noise-none']],
  [
    'no noise, but a z',
    { ...noNoise, privacy: { ...noNoise.privacy, noiseMultiplier: 1 } },
    ['refuse noise-none-contradicted', 'warn noise-none'],
  ],
  [
    'no noise, no batches',
    { ...noNoise, sealing: { noiseVariance: 0 } },
    ['refuse batches-missing', 'warn noise-none'],
  ],
  [
    'batch of c + 1',
    {
      ...noNoise,
      sealing: {
        noiseVariance: 0,
        colluders: 2,
        openableBatches: [
          [0, 1, 2],
          [3, 4, 5],
        ],
      },
    },
    ['refuse batch-too-small', 'refuse batch-too-small', 'warn noise-none'],
  ],
  [
    'batch with one twice',
    {
      ...noNoise,
      sealing: {
        noiseVariance: 0,
        openableBatches: [
          [0, 1, 1],
          [2, 3, 4, 5],
        ],
      },
    },
    ['refuse batch-too-small', 'refuse batches-overlap', 'warn noise-none'],
  ],
  [
    'overlapping batches',
    {
      ...noNoise,
      sealing: {
        noiseVariance: 0,
        openableBatches: [
          [0, 1, 2, 3],
          [3, 4, 5],
        ],
      },
    },
    ['refuse batches-overlap', 'warn noise-none'],
  ],
  [
    'batch of strangers',
    {
      ...noNoise,
      sealing: {
        noiseVariance: 0,
        openableBatches: [
          [0, 1, 2],
          [3, 4, 5, 6],
        ],
      },
    },
    ['refuse batch-outside-roster', 'warn noise-none'],
  ],
  [
    'batches leave one out',
    { ...noNoise, sealing: { noiseVariance: 0, openableBatches: [[0, 1, 2, 3, 4]] } },
    ['warn batches-leave-out', 'warn noise-none'],
  ],
  [
    'batches below the cohort',
    { ...noNoise, sealing: { noiseVariance: 0, openableBatches: [[0, 1, 2]] } },
    ['refuse batches-below-cohort', 'warn noise-none'],
  ],
  ['batches with noise', { sealing: { openableBatches: [[0, 1, 2]] } }, ['refuse batches-with-noise']],
  // Schedule and coordinator.
  ['fewer attempts than rounds', { schedule: { attempts: 29 } }, ['refuse attempts-below-rounds']],
  ['no spare attempt', { schedule: { attempts: 30 } }, ['warn no-spare-attempts']],
  ['ends before it begins', { expires: base.created }, ['refuse expires-before-created']],
  ['ended', { expires: '2026-11-30T00:00:00.000Z' }, ['refuse contract-expired']],
  ['dated in the future', { created: '2026-12-03T00:00:00.000Z' }, ['warn created-in-future']],
  ['pauses too long', { schedule: { intervalSeconds: 31_536_000 } }, ['warn schedule-does-not-fit']],
  ['plain http', { coordinator: { address: 'http://relay.example.org' } }, ['warn address-not-secure']],
  ['plain http here', { coordinator: { address: 'http://localhost:8443' } }, []],
  ['no address', { coordinator: { address: 'relay' } }, ['refuse address-unusable']],
  // Task.
  ['feature twice', { task: { table: { features: [column('age'), column('age')] } } }, ['refuse column-repeated']],
  ['label as feature', { task: { table: { features: [column('readmitted')] } } }, ['refuse label-is-feature']],
  [
    'person as feature',
    { training: { unit: 'person', person: { rowCap: 1, combine: 'mean' } }, task: { table: { personColumn: 'age' } } },
    ['refuse person-is-feature'],
  ],
  ['column of no file', { task: { table: { columnNames: ['age', 'readmitted'] } } }, ['refuse column-unknown']],
  [
    'column listed twice',
    { task: { table: { columnNames: ['age', 'age', 'ward', 'readmitted'] } } },
    ['refuse column-repeated'],
  ],
  [
    'empty range',
    { task: { table: { features: [{ ...column('age'), least: 9, most: 9 } as (typeof table.features)[number]] } } },
    ['refuse range-empty'],
  ],
  [
    'stand-in outside its range',
    {
      task: {
        table: {
          features: [
            { ...column('age'), whenMissing: { rule: 'value', value: 130 } } as (typeof table.features)[number],
          ],
        },
      },
    },
    ['refuse stand-in-outside'],
  ],
  [
    'stand-in of no category',
    {
      task: {
        table: {
          features: [
            {
              ...table.features[1]!,
              whenMissing: { rule: 'indicator', value: '9' },
            } as (typeof table.features)[number],
          ],
        },
      },
    },
    ['refuse stand-in-outside'],
  ],
  [
    'category twice as a number',
    {
      task: {
        table: { features: [{ ...table.features[1]!, categories: ['1', '1.0'] } as (typeof table.features)[number]] },
      },
    },
    ['refuse category-repeated'],
  ],
  [
    'number to classify',
    { task: { table: { label: { kind: 'number', column: 'cost', least: 0, most: 1 } } } },
    ['refuse label-and-task'],
  ],
  [
    'label range empty',
    { task: { table: { label: { kind: 'number', column: 'cost', least: 1, most: 1 } } } },
    ['refuse label-and-task', 'refuse range-empty'],
  ],
  [
    'class twice',
    { task: { table: { label: { kind: 'classes', column: 'grade', classes: ['a', 'a'] } } } },
    ['refuse category-repeated'],
  ],
  [
    'label ordered by characters',
    { task: { table: { label: { kind: 'binary', column: 'grade', comparison: '>', value: 'a' } } } },
    ['warn label-compares-text'],
  ],
  // Words.
  ['purpose unwritten', { purpose: '[to be stated: purpose]' }, ['refuse placeholder-left']],
];

for (const [what, changes, expected] of rows)
  test(`found: ${what}`, () => {
    const { findings } = review(changed(base, changes));
    assert.deepEqual(
      findings.map((one) => `${one.level} ${one.code}`),
      expected,
    );
    for (const { reason, repair } of findings) {
      assert.match(reason, /^[A-Z2-9δε].*\.$/su);
      assert.match(repair, /^[A-Z].*\.$/su);
      assert.doesNotMatch(`${reason} ${repair}`, /undefined|NaN|Infinity/);
    }
  });

test('everything broken is listed, refusals first', () => {
  const contract = changed(base, {
    sealing: { noiseVariance: 15, cohortFloor: 4 },
    schedule: { attempts: 1 },
    privacy: { delta: 0.01 },
  });
  const found = levels(contract);
  assert.deepEqual(found, [
    'refuse noise-variance-below-sixteen',
    'refuse epsilon-unknown',
    'refuse delta-too-large',
    'refuse attempts-below-rounds',
    'warn cohort-floor-without-effect',
  ]);
  assert.equal(review(contract).outcome, 'refuse');
});

test('every code has one level, except those whose severity grows with the number', () => {
  const seen = new Map<string, Set<string>>();
  for (const [, , expected] of rows)
    for (const one of expected) {
      const [level, code] = one.split(' ') as [string, string];
      seen.set(code, (seen.get(code) ?? new Set()).add(level));
    }
  const both = [...seen].filter(([, found]) => found.size > 1).map(([code]) => code);
  assert.deepEqual(both.toSorted(), ['delta-too-large']);
});

test('what float32 may add is a figure up to one per cent of C, and refused above', () => {
  const { outcome, figures } = review(base, null, 0.01);
  assert.equal(outcome, 'pass');
  assert.equal(figures.floatTerm, 0.01);
  const above = review(base, null, 0.0101);
  assert.deepEqual(
    above.findings.map((one) => `${one.level} ${one.code}`),
    ['refuse float-term'],
  );
  assert.match(above.findings[0]!.reason, /1\.01 % of the clipping norm/);
  assert.throws(() => review(base, null, NaN), RangeError);
});

test('a draft is checked without its keys, and a policy is part of the check', () => {
  const { identityKey: _key, ...lead } = base.lead;
  const roster = base.roster.map(({ identityKey: _own, ...entry }) => entry);
  assert.equal(review({ ...base, lead, roster }).outcome, 'pass');
  const policy: Policy = {
    format: 'consilience/policy/1',
    contact: null,
    epsilon: { perStudy: 1, perDataset: null, datasets: [] },
    mostDelta: 1e-3,
    noiseNoneAllowed: false,
    modes: ['union'],
    units: ['record'],
    leastCohort: 3,
    leastRoster: 3,
    mostAttempts: 1000,
    institutions: {
      known: base.roster.map(({ organisation, identityKey }) => ({ organisation, identityKey })),
      mostUnknown: 0,
    },
    coordinator: { hosts: null, tlsRequired: true },
    references: { ethics: false, dpia: false },
    latestExpiry: null,
    mostConsentDays: 365,
    accountants: ['rdp'],
  };
  const { outcome, findings } = review(base, policy);
  assert.deepEqual(
    findings.map((one) => one.code),
    ['policy-epsilon-per-study'],
  );
  assert.equal(outcome, 'refuse');
});

test('the model’s dimension is the caller’s to give', () => {
  assert.throws(
    () => reviewContract({ contract: base, modelDimension: 0, floatTerm: 0, policy: null, now: sampleNow }),
    RangeError,
  );
});
