// `consilience model export | predict` as child processes on a made-up study: the exported folder, its card, a file of
// rows with and without labels, and what is refused. The probabilities are computed a second time by hand.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { contractHash } from '../../../app/study/signed-contract.ts';
import { readSafetensors } from '../../../app/training/safetensors.ts';
import { runCommand } from '../../../main/cli/command.ts';
import { modelCommand } from '../../../main/cli/model.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { writeModelRun } from '../../../main/host/model/run.ts';
import type { ModelRun } from '../../../main/host/model/run.ts';
import { changed, sampleContract } from '../../app/study/sample-study.ts';

const entry = resolve(import.meta.dirname, '../../../main/cli/index.ts');
type Ran = { readonly code: number; readonly out: string; readonly warned: string };

function model(...args: string[]): Promise<Ran> {
  return new Promise((done) => {
    execFile(process.execPath, [entry, 'model', ...args], (error, out, warned) => {
      done({ code: error === null ? 0 : Number(error.code), out, warned });
    });
  });
}

/** The same without a process of its own: where only the answer matters. */
async function here(...args: string[]): Promise<Ran> {
  let [out, warned] = ['', ''];
  const code = await runCommand(
    modelCommand,
    args,
    (text) => void (out += text),
    (text) => void (warned += text),
  );
  return { code, out, warned };
}

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'consilience-model-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const at = (...parts: string[]): string => join(folder, ...parts);

/** age, ward 1, ward 2, ward 3, other ward; then the intercept. */
const parameters = [2, 0.5, -1, 0, 0.25, -0.125];

function runOf(contract: Contract, change: Partial<ModelRun> = {}): ModelRun {
  return {
    contract,
    contractHash: toHex(contractHash(nodeCipher, contract)),
    released: Float32Array.from(parameters),
    model: 'ab'.repeat(32),
    rounds: 30,
    metrics: {
      federated: { perInstitution: { 'hospital-1': 0.8125 }, mean: 0.8125 },
      ownSite: { perInstitution: { 'hospital-1': 0.75 }, mean: 0.75 },
    },
    privacy: {
      unit: 'record',
      adjacency: 'add-or-remove',
      delta: 1e-6,
      epsilon: { coordinator: 5.2501, outsiders: 4.5 },
      accountant: 'rdp',
      noiseMultiplier: 1,
      noise: 'discrete-gaussian',
    },
    seeded: false,
    ...change,
  };
}

const contract = sampleContract();

async function exported(name: string, run = runOf(contract), ...more: string[]): Promise<string> {
  await writeModelRun(at(`${name}-run`), run);
  const { code, warned } = await here('export', '--run', at(`${name}-run`), '--out', at(name), ...more);
  assert.deepEqual([code, warned], [0, '']);
  return at(name);
}

async function file(name: string, text: string): Promise<string> {
  await writeFile(at(name), text);
  return at(name);
}

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
/** age 60 is the middle of 0–120. */
const expected = { 'age 60, ward 1': logistic(0.5 - 0.125), 'age 120, ward 2': logistic(2 - 1 - 0.125) };

type Predictions = {
  readonly rows: number;
  readonly leftOut: readonly { readonly line: number; readonly column: string }[];
  readonly metrics: { readonly accuracy: number; readonly auc: number | null } | null;
  readonly predictions: readonly {
    readonly line: number;
    readonly id: string | null;
    readonly probabilities: readonly number[];
    readonly predicted: number | string;
  }[];
};

async function predicted(...args: string[]): Promise<Predictions> {
  const { code, out, warned } = await model('predict', ...args, '--json');
  assert.deepEqual([code, warned], [0, '']);
  return JSON.parse(out) as Predictions;
}

test('export: named tensors, contract whose sha256sum is the study, card with its facts', async () => {
  const out = await exported('facts');
  assert.deepEqual((await readdir(out)).sort(), [
    'card.json',
    'card.md',
    'contract.json',
    'model.safetensors',
    'task.json',
  ]);
  const { tensors, metadata } = readSafetensors(new Uint8Array(await readFile(join(out, 'model.safetensors'))));
  assert.deepEqual([...tensors.keys()], ['layers.0.kernel', 'layers.0.bias']);
  assert.deepEqual(tensors.get('layers.0.kernel')!.shape, [5, 1]);
  const hash = createHash('sha256')
    .update(await readFile(join(out, 'contract.json')))
    .digest('hex');
  assert.equal(hash, toHex(contractHash(nodeCipher, contract)));
  assert.equal(metadata['contract'], hash);
  const text = await readFile(join(out, 'card.md'), 'utf8');
  for (const said of [
    'the probability that readmitted = 1',
    hash,
    'Hospital number 3',
    '| age | 0 to 120; outside: clamp | refused |',
    // Rounded up: a card never promises more than the accountant.
    'Against the coordinator together with 1 institution: **ε = 5.26** at δ = 0.000001',
    'Against people outside the roster: ε = 4.5',
    'Unit: one record at one institution (each in at most 1); neighbours: add-or-remove; accountant: rdp',
    '| mean | 0.750 | 0.813 |',
    contract.purpose,
    contract.lawfulBasis,
  ])
    assert.ok(text.includes(said), said);
  assert.match(text, /^# Readmission/);
});

test('predict: probabilities by hand, ids, accuracy where the label is there', async () => {
  const out = await exported('plain');
  const data = await file('labelled.csv', 'who,readmitted,ward,age\np-1,1,1,60\np-2,0,2,120\n');
  const { predictions, metrics, rows } = await predicted(out, '--data', data, '--id', 'who');
  assert.equal(rows, 2);
  const [first, second] = predictions;
  assert.deepEqual([first!.line, first!.id, first!.predicted], [2, 'p-1', 1]);
  assert.ok(Math.abs(first!.probabilities[0]! - expected['age 60, ward 1']) < 1e-7);
  assert.ok(Math.abs(second!.probabilities[0]! - expected['age 120, ward 2']) < 1e-7);
  assert.equal(metrics!.accuracy, 0.5);
  assert.equal(metrics!.auc, 0);
  const human = await model('predict', out, '--data', data, '--id', 'who');
  assert.equal(human.out.split('\n')[0], 'line,id,probability,predicted');
  assert.equal(human.out.split('\n')[1], `2,p-1,${expected['age 60, ward 1'].toFixed(6)},1`);
  assert.match(human.warned, /accuracy 0\.500, AUC 0\.000/);
});

test('predict: a file without labels, and --without-label, give the same rows and no metrics', async () => {
  const out = await exported('unlabelled');
  const bare = await file('bare.csv', 'age,ward\n60,1\n\n120,2\n');
  const labelled = await file('both.csv', 'age,ward,readmitted\n60,1,\n\n120,2,1\n');
  const a = await predicted(out, '--data', bare);
  assert.equal(a.metrics, null);
  assert.deepEqual(
    a.predictions.map(({ line }) => line),
    [2, 4],
  );
  assert.deepEqual((await predicted(out, '--data', labelled, '--without-label')).predictions, a.predictions);
  const refused = await model('predict', out, '--data', labelled);
  assert.equal(refused.code, 1);
  assert.match(refused.warned, /line 2, column "readmitted": missing/);
  const csv = at('predictions.csv');
  const said = await model('predict', out, '--data', bare, '--out', csv);
  assert.match(said.out, /2 rows predicted into .*predictions\.csv/);
  assert.equal((await readFile(csv, 'utf8')).trimEnd().split('\n').length, 3);
});

test('predict: rows that the contract refuses are named by line and column, never by value', async () => {
  const out = await exported('refusals');
  const data = await file('bad.csv', 'age,ward\n60,1\nsecret-value,2\n,3\n');
  const { code, out: said } = await model('predict', out, '--data', data, '--json');
  assert.equal(code, 1);
  const { error } = JSON.parse(said) as { error: { code: string; message: string } };
  assert.equal(error.code, 'rows-refused');
  assert.match(error.message, /line 3, column "age": not a number; line 4, column "age": missing/);
  assert.ok(!said.includes('secret-value'));
  const narrow = await file('narrow.csv', 'age\n60\n');
  assert.match((await model('predict', out, '--data', narrow)).warned, /no column "ward"/);
  assert.match((await model('predict', out, '--data', at('nowhere.csv'))).warned, /it is not there/);
});

test('predict: rows that the contract drops get no prediction and keep the others’ line numbers', async () => {
  const dropping = changed(contract, {
    task: {
      ...contract.task,
      table: {
        ...contract.task.table,
        features: contract.task.table.features.map((feature) =>
          feature.column === 'age' ? { ...feature, whenMissing: { rule: 'drop-row' as const } } : feature,
        ),
      },
    },
  });
  const out = await exported('dropping', runOf(dropping));
  const data = await file('gaps.csv', 'age,ward\n?,1\n60,1\n,2\n120,2\n');
  const { predictions, leftOut } = await predicted(out, '--data', data);
  assert.deepEqual(
    predictions.map(({ line }) => line),
    [3, 5],
  );
  assert.deepEqual(
    leftOut.map(({ line, column }) => [line, column]),
    [
      [2, 'age'],
      [4, 'age'],
    ],
  );
  assert.ok(Math.abs(predictions[1]!.probabilities[0]! - expected['age 120, ward 2']) < 1e-7);
});

test('predict: a file without a header is read by the contract, and a missing column is never guessed', async () => {
  const headerless = changed(contract, {
    task: { ...contract.task, table: { ...contract.task.table, columnNames: ['readmitted', 'age', 'ward'] } },
  });
  const out = await exported('headerless', runOf(headerless));
  const whole = await file('whole.data', '1,60,1\n0,120,2\n');
  assert.equal((await predicted(out, '--data', whole)).metrics!.accuracy, 0.5);
  const short = await file('short.data', '60,1\n120,2\n');
  const unclear = await model('predict', out, '--data', short);
  assert.deepEqual([unclear.code, /--without-label/.test(unclear.warned)], [1, true]);
  const { predictions } = await predicted(out, '--data', short, '--without-label');
  assert.deepEqual(
    predictions.map(({ line }) => line),
    [1, 2],
  );
  assert.ok(Math.abs(predictions[0]!.probabilities[0]! - expected['age 60, ward 1']) < 1e-7);
});

test('predict: classes by name and probabilities that sum to one; regression in the label’s own units', async () => {
  const classes = changed(contract, {
    task: {
      ...contract.task,
      table: { ...contract.task.table, label: { kind: 'classes', column: 'readmitted', classes: ['home', 'ward'] } },
    },
    sealing: { dimension: 12 },
  });
  const wide = Float32Array.from({ length: 12 }, (_, index) => (index % 2 === 0 ? 0 : parameters[(index - 1) / 2]!));
  const out = await exported('classes', runOf(classes, { released: wide }));
  const data = await file('classes.csv', 'age,ward\n60,1\n');
  const [row] = (await predicted(out, '--data', data)).predictions;
  assert.equal(row!.predicted, 'ward');
  assert.ok(Math.abs(row!.probabilities[1]! - expected['age 60, ward 1']) < 1e-7);
  assert.ok(Math.abs(row!.probabilities[0]! + row!.probabilities[1]! - 1) < 1e-12);

  const regression = changed(contract, {
    task: {
      ...contract.task,
      kind: 'tabular-regression',
      table: { ...contract.task.table, label: { kind: 'number', column: 'readmitted', least: 100, most: 300 } },
    },
  });
  const [number] = (await predicted(await exported('regression', runOf(regression)), '--data', data)).predictions;
  assert.deepEqual([number!.predicted, number!.probabilities], [200 + 100 * (0.5 - 0.125), []]);
});

test('a seeded run is no release; with --not-released the card says so in its first line', async () => {
  const seeded = runOf(contract, {
    seeded: true,
    privacy: { ...runOf(contract).privacy, noise: 'seeded, not private' },
  });
  await writeModelRun(at('seeded-run'), seeded);
  const refused = await model('export', '--run', at('seeded-run'), '--out', at('seeded'), '--json');
  assert.equal(refused.code, 1);
  assert.equal((JSON.parse(refused.out) as { error: { code: string } }).error.code, 'not-a-release');
  await assert.rejects(readdir(at('seeded')), { code: 'ENOENT' });
  const made = await model('export', '--run', at('seeded-run'), '--out', at('seeded'), '--not-released', '--json');
  assert.equal(made.code, 0);
  const report = JSON.parse(made.out) as { released: boolean; privacy: { hypothetical: boolean; noise: string } };
  assert.deepEqual(
    [report.released, report.privacy.hypothetical, report.privacy.noise],
    [false, true, 'seeded, not private'],
  );
  const text = await readFile(at('seeded', 'card.md'), 'utf8');
  assert.match(text.split('\n')[0]!, /^\*\*Seeded, not private/);
  assert.match(text, /\*\*Hypothetical\*\*/);
  const data = await file('one.csv', 'age,ward\n60,1\n');
  assert.match((await model('predict', at('seeded'), '--data', data)).warned, /^Seeded, not private/);
});

test('predict: an altered model, task, contract or card is refused', async () => {
  const data = await file('rows.csv', 'age,ward\n60,1\n');
  for (const name of ['model.safetensors', 'task.json', 'contract.json'] as const) {
    const out = await exported(`altered-${name}`);
    const bytes = await readFile(join(out, name));
    bytes[bytes.length - 3]! ^= 1;
    await writeFile(join(out, name), bytes);
    const { code, warned } = await here('predict', out, '--data', data);
    assert.deepEqual([code, warned.includes(`${name} in`)], [1, true], name);
  }
  const out = await exported('altered-card');
  const card = await readFile(join(out, 'card.json'), 'utf8');
  const hash = toHex(contractHash(nodeCipher, contract));
  await writeFile(
    join(out, 'card.json'),
    card.replaceAll(`"contractHash":"${hash}"`, `"contractHash":"${'0'.repeat(64)}"`),
  );
  assert.equal((await here('predict', out, '--data', data)).code, 1);
  assert.match((await here('predict', folder, '--data', data)).warned, /no exported model/);
});

test('usage: what belongs to the other subcommand, nothing, both sources, a full folder', async () => {
  const out = await exported('usage');
  const usages = [
    [],
    ['guess'],
    ['export', '--out', out],
    ['export', '--run', 'a', '--home', 'b', '--out', out],
    ['export', '--run', 'a', '--out', out, '--data', 'x'],
    ['predict', '--data', 'x'],
    ['predict', out],
  ];
  for (const args of usages) assert.equal((await here(...args)).code, 2, args.join(' '));
  const again = await here('export', '--run', at('usage-run'), '--out', out);
  assert.deepEqual([again.code, /not empty/.test(again.warned)], [1, true]);
});
