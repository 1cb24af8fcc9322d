// The budget follows the person: whatever is done to a file or its name, what was used stays used; and without the log
// that counts it, the data stay closed. Design 4, "The ledger".

import assert from 'node:assert/strict';
import { copyFile, cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { budgetReadings } from '../../../../app/privacy/budget.ts';
import { worstCaseEvent } from '../../../../app/round/charge.ts';
import type { Contract } from '../../../../app/study/contract.ts';
import { openSignedContract } from '../../../../app/study/signed-contract.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { budgetOf, datasetCeilings } from '../../../../main/host/participant/ceilings.ts';
import type { Consented } from '../../../../main/host/participant/consent.ts';
import { deleteData, listData } from '../../../../main/host/participant/data.ts';
import { openHome, studyPaths } from '../../../../main/host/participant/home.ts';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import { verifyOwnLedger } from '../../../../main/host/participant/verify.ts';
import { registerPath } from '../../../../main/host/records/register.ts';
import { ledgerEntries, makeCentral, makeHomes, quickTrainer, recordsText } from '../participant/homes.ts';
import type { Homes, Institution } from '../participant/homes.ts';
import { numbered, protectingPersons, visits } from './person-data.ts';

const short = (contract: Contract): Contract => ({
  ...contract,
  schedule: { ...contract.schedule, attempts: 4, rounds: 2 },
});
const persons = (contract: Contract): Contract => protectingPersons(short(contract));

async function setUp(t: TestContext, change = persons): Promise<{ homes: Homes; site: Institution }> {
  const homes = await makeHomes(3, change);
  t.after(() => homes.remove());
  return { homes, site: homes.institutions[0]! };
}

/** Another study each time, over a file of that text. */
async function consentTo(homes: Homes, site: Institution, name: string, text: string): Promise<Consented> {
  const path = join(homes.folder, `${name}.csv`);
  await writeFile(path, text);
  const contract = homes.another((same) => ({ ...same, title: `Study of ${name} ${text.length}` }));
  return homes.consent(site, { contract, data: { name, path } });
}

/** Charges one round of a study, as a run would. */
async function charge(homes: Homes, site: Institution, consented: Consented): Promise<void> {
  const opened = await openHome(site.home, homes.keys);
  const text = await readFile(studyPaths(site.home, consented.study).contract, 'utf8');
  const event = { ...worstCaseEvent(openSignedContract(nodeCipher, text).contract) };
  const dataset = consented.dataset.name;
  const before = opened.entries.filter(({ entry }) => entry.kind === 'budget-reserved').length;
  const outbox = 'ab'.repeat(32);
  await opened.ledger.append('budget-reserved', { study: consented.study, round: before + 1, dataset, event, outbox });
  await opened.close();
}

/** Shares used at the ceilings of a dataset's lineage. */
async function used(homes: Homes, site: Institution, dataset: string): Promise<number[]> {
  const opened = await openHome(site.home, homes.keys);
  await opened.close();
  const budget = budgetOf(opened.entries);
  const ceilings = datasetCeilings(budget, dataset);
  return budgetReadings(budget)
    .filter(({ ceiling }) => ceilings.includes(ceiling))
    .map(({ share }) => share!);
}

const patients = numbered(0, 60);

const changes: { readonly [what: string]: { readonly name: string; readonly text: string } } = {
  'a renamed copy': { name: 'renamed', text: visits(patients) },
  'one changed cell': { name: 'edited', text: visits(patients).replace(/0\.\d{4}/, '0.1234') },
  'a subset': { name: 'subset', text: visits(patients.slice(50), 2) },
  'a superset': { name: 'superset', text: visits([...numbered(500, 530), ...patients], 3) },
  'other rows of one same person': { name: 'one-person', text: visits([...numbered(700, 730), ' p‐7'], 4) },
};

for (const [what, { name, text }] of Object.entries(changes))
  test(`${what} under a new name has no allowance of its own`, async (t) => {
    const { homes, site } = await setUp(t);
    const first = await consentTo(homes, site, 'records', visits(patients));
    await charge(homes, site, first);
    const before = await used(homes, site, 'records');
    const second = await consentTo(homes, site, name, text);
    assert.deepEqual(second.sharesWith, ['records']);
    assert.deepEqual(await used(homes, site, name), before);
    await charge(homes, site, second);
    const [after] = await used(homes, site, 'records');
    assert.ok(Math.abs(after! - 2 * before[0]!) < 1e-12);
    assert.deepEqual(second.consent.consent.dataset.lineage, (await lineageIds(site)).at(-1));
    assert.equal(first.consent.consent.dataset.lineage, null);
  });

const lineageIds = async (site: Institution): Promise<unknown[]> =>
  (await ledgerEntries(site.home)).filter(({ kind }) => kind === 'dataset-imported').map(({ body }) => body['lineage']);

test('other persons under another name have their own allowance', async (t) => {
  const { homes, site } = await setUp(t);
  await charge(homes, site, await consentTo(homes, site, 'records', visits(patients)));
  const other = await consentTo(homes, site, 'others', visits(numbered(100, 160)));
  assert.deepEqual(other.sharesWith, []);
  assert.deepEqual(await used(homes, site, 'others'), [0]);
});

test('two lineages that come to share persons are one: each ceiling counts what both spent', async (t) => {
  const { homes, site } = await setUp(t);
  const one = await consentTo(homes, site, 'one', visits(numbered(0, 40)));
  const two = await consentTo(homes, site, 'two', visits(numbered(100, 140)));
  await charge(homes, site, one);
  await charge(homes, site, two);
  const [single] = await used(homes, site, 'one');
  const both = await consentTo(homes, site, 'both', visits([...numbered(30, 50), ...numbered(130, 150)], 2));
  assert.deepEqual([...both.sharesWith].sort(), ['one', 'two']);
  for (const name of ['one', 'two', 'both']) {
    const shares = await used(homes, site, name);
    assert.equal(shares.length, 2);
    for (const share of shares) assert.ok(Math.abs(share - 2 * single!) < 1e-12);
  }
  const listed = await listData(site.home, homes.keys);
  assert.deepEqual(
    listed.map(({ datasets, unit }) => [datasets, unit]),
    [[['one', 'two', 'both'], 'person']],
  );
});

test('a second study that would exceed what earlier names used is refused, and nothing of it is written', async (t) => {
  const { homes, site } = await setUp(t);
  const path = join(homes.folder, 'records.csv');
  await writeFile(path, visits(patients));
  const contract = homes.another((same) => ({ ...same, title: 'With room for itself alone' }));
  const first = await homes.consent(site, { contract, data: { name: 'records', path }, datasetEpsilon: 3.2 });
  for (let round = 0; round < 4; round++) await charge(homes, site, first);
  const entries = (await ledgerEntries(site.home)).length;
  await assert.rejects(consentTo(homes, site, 'fresh', visits(patients, 9)), { code: 'budget-exceeded' });
  assert.equal((await ledgerEntries(site.home)).length, entries);
});

test('without persons, equal rows, equal bytes or the declared name inherit', async (t) => {
  const { homes, site } = await setUp(t, short);
  await consentTo(homes, site, 'records', recordsText(60, 1));
  const lines = recordsText(60, 1).split('\n');
  const oneRow = [lines[0], ...recordsText(30, 8).split('\n').slice(1, -1), lines[7], ''].join('\n');
  assert.deepEqual((await consentTo(homes, site, 'one-row', oneRow)).sharesWith, ['records']);
  assert.deepEqual((await consentTo(homes, site, 'far', recordsText(30, 5))).sharesWith, []);
  // The same name with other content: the declared source inherits.
  const declared = await consentTo(homes, site, 'records', recordsText(30, 6));
  assert.notEqual(declared.consent.consent.dataset.lineage, null);
  // The same bytes read by another contract's columns.
  const path = join(homes.folder, 'far.csv');
  const narrow = homes.another((same) => {
    const features = same.task.table.features.slice(0, 2).map((one) => ({ ...one, most: 2 }));
    const table = { ...same.task.table, features } as Contract['task']['table'];
    return { ...same, task: { ...same.task, table }, sealing: { ...same.sealing, dimension: 3 } };
  });
  assert.deepEqual((await homes.consent(site, { contract: narrow, data: { name: 'copy', path } })).sharesWith, ['far']);
});

test('one unit per dataset: where persons are named, a study of records is refused in words', async (t) => {
  const { homes, site } = await setUp(t);
  await consentTo(homes, site, 'records', visits(patients));
  const path = join(homes.folder, 'records.csv');
  const record = homes.another((same) => ({
    ...same,
    title: 'Per record',
    training: { ...same.training, unit: 'record', person: null },
  }));
  await assert.rejects(homes.consent(site, { contract: record, data: { name: 'records', path } }), {
    code: 'unit-finer-than-dataset',
  });
  // Also where this study reads no person column, but an earlier import of the same file did.
  const blind = homes.another((same) => ({
    ...same,
    title: 'Blind',
    training: { ...same.training, unit: 'record', person: null },
    task: { ...same.task, table: { ...same.task.table, personColumn: null } },
  }));
  await assert.rejects(homes.consent(site, { contract: blind, data: { name: 'blind', path } }), {
    code: 'unit-finer-than-dataset',
  });
});

test('deleted data leave the log whole and what was used; the same persons come back to it', async (t) => {
  const { homes, site } = await setUp(t);
  const first = await consentTo(homes, site, 'records', visits(patients));
  await charge(homes, site, first);
  const before = await used(homes, site, 'records');
  const deleted = await deleteData(site.home, homes.keys, 'records');
  assert.deepEqual([deleted.studies, deleted.files], [[first.study], [join(homes.folder, 'records.csv')]]);
  const opened = await openHome(site.home, homes.keys);
  await opened.close();
  assert.equal((await verifyOwnLedger(site.home, await keyOf(homes, site))).verified, true);
  await assert.rejects(run(homes, site, first.study), { code: 'dataset-not-imported' });
  await assert.rejects(deleteData(site.home, homes.keys, 'never'), { code: 'dataset-unknown' });
  const again = await consentTo(homes, site, 'reimported', visits(patients.slice(0, 30), 5));
  assert.deepEqual(again.sharesWith, ['records']);
  assert.deepEqual(await used(homes, site, 'reimported'), before);
});

async function keyOf(homes: Homes, site: Institution): Promise<Uint8Array> {
  const opened = await openHome(site.home, homes.keys);
  const key = opened.keystore.identity.publicKey;
  await opened.close();
  return key;
}

function run(homes: Homes, site: Institution, study: string) {
  const central = makeCentral(homes.signed.contract);
  return runParticipant({
    home: site.home,
    keys: homes.keys,
    study,
    policy: null,
    connect: (_stored, index) => Promise.resolve(central.connect(index)),
    trainer: quickTrainer(),
    signal: AbortSignal.timeout(2000),
    onEvent: () => {},
  });
}

test('a log that was reset closes the data, and says why', async (t) => {
  const { homes, site } = await setUp(t);
  const first = await consentTo(homes, site, 'records', visits(patients));
  await rm(join(site.home, 'ledger'), { recursive: true });
  const closed = { code: 'ledger-not-of-data', message: /only beside the privacy log.*lost, reset or replaced/ };
  await assert.rejects(run(homes, site, first.study), closed);
  await assert.rejects(consentTo(homes, site, 'again', visits(patients)), closed);
  await assert.rejects(listData(site.home, homes.keys), closed);
  // A log made anew with the same keys is not the one that counted.
  const opened = await openHome(site.home, homes.keys);
  await opened.ledger.append('start', {});
  await opened.close();
  await assert.rejects(consentTo(homes, site, 'again', visits(patients)), closed);
});

test('an old log put back beside newer data closes them; so do an old or a lost register', async (t) => {
  const { homes, site } = await setUp(t);
  await consentTo(homes, site, 'records', visits(patients));
  const [ledger, register] = [join(site.home, 'ledger'), registerPath(site.home)];
  const [oldLedger, oldRegister] = [join(homes.folder, 'old-ledger'), join(homes.folder, 'old-register')];
  const [newLedger, newRegister] = [join(homes.folder, 'new-ledger'), join(homes.folder, 'new-register')];
  await cp(ledger, oldLedger, { recursive: true });
  await copyFile(register, oldRegister);
  await consentTo(homes, site, 'others', visits(numbered(100, 130)));
  await consentTo(homes, site, 'more', visits(numbered(200, 230)));
  await cp(ledger, newLedger, { recursive: true });
  await copyFile(register, newRegister);

  await rm(ledger, { recursive: true });
  await cp(oldLedger, ledger, { recursive: true });
  await assert.rejects(listData(site.home, homes.keys), { code: 'ledger-behind-data' });
  await rm(ledger, { recursive: true });
  await cp(newLedger, ledger, { recursive: true });
  await copyFile(oldRegister, register);
  await assert.rejects(listData(site.home, homes.keys), { code: 'register-behind' });
  const bytes = await readFile(newRegister);
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(register, bytes);
  await assert.rejects(listData(site.home, homes.keys), { code: 'state-altered' });
  await rm(register);
  await assert.rejects(listData(site.home, homes.keys), { code: 'register-lost' });
  await copyFile(newRegister, register);
  assert.equal((await listData(site.home, homes.keys)).length, 3);
});

test('a crash between register and log: the prints stay, and the next import finds them', async (t) => {
  const { homes, site } = await setUp(t);
  const first = await consentTo(homes, site, 'records', visits(patients));
  await charge(homes, site, first);
  const ledger = join(site.home, 'ledger');
  const copy = join(homes.folder, 'ledger-before');
  await cp(ledger, copy, { recursive: true });
  await consentTo(homes, site, 'cut-off', visits(numbered(50, 90), 2));
  // As if the machine had stopped right after the register was written, before the entry that names it.
  const lines = (await readFile(join(ledger, 'ledger.jsonl'), 'utf8')).split('\n');
  const reviewed = lines.findLastIndex((line) => line.includes('"kind":"contract-reviewed"'));
  await rm(ledger, { recursive: true });
  await cp(copy, ledger, { recursive: true });
  await writeFile(join(ledger, 'ledger.jsonl'), `${lines.slice(0, reviewed + 1).join('\n')}\n`);
  const next = await consentTo(homes, site, 'bridge', visits(numbered(80, 110), 3));
  assert.deepEqual(next.sharesWith, ['records']);
});

test('the register holds no identifier and no row, and the log none of its prints', async (t) => {
  const { homes, site } = await setUp(t);
  await consentTo(homes, site, 'records', visits(numbered(0, 30, 'CANARY-')));
  const bytes = await readFile(registerPath(site.home), 'latin1');
  assert.ok(!/canary/i.test(bytes));
  const log = await readFile(join(site.home, 'ledger', 'ledger.jsonl'), 'utf8');
  assert.ok(!/canary/i.test(log));
  const [imported] = (await ledgerEntries(site.home)).filter(({ kind }) => kind === 'dataset-imported');
  assert.match(String(imported!.body['lineage']), /^[0-9a-f]{64}$/);
  assert.equal(imported!.body['persons'], true);
});
