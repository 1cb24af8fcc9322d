// From a hospital's own workbook to a study: consent with a mapping, its hash in the log, runs held to it, the trainer
// reading through it; and planted words of the file that appear nowhere.

import assert from 'node:assert/strict';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { InputError, RefusalError } from '../../../../app/errors.ts';
import { mappingHash, mappingSchema } from '../../../../app/training/mapping.ts';
import { readTable } from '../../../../main/host/import/read-table.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import { Trainer } from '../../../../main/trainer/client.ts';
import { ledgerEntries, makeCentral, makeHomes, recordsText, runOptions } from '../participant/homes.ts';
import type { Homes, Institution } from '../participant/homes.ts';
import { workbookOf } from './workbook.ts';
import type { WorkbookCell } from './workbook.ts';

const mapping = mappingSchema.parse({
  format: 'consilience/mapping/1',
  rename: { x0: 'Wert ä', y: 'Ergebnis' },
  decimalComma: true,
  units: { x1: { factor: 0.001 } },
  codes: { y: { ja: '1', nein: '0' } },
});

/** The records of participant/homes.ts as a German export, with a column that the study does not read. */
function exported(rows: number, seed: number): WorkbookCell[][] {
  const [, ...lines] = recordsText(rows, seed).trimEnd().split('\n');
  return [
    ['Name', 'Wert ä', 'x1', 'x2', 'x3', 'Ergebnis'],
    ...lines.map((line, at): WorkbookCell[] => {
      const [x0, x1, x2, x3, y] = line.split(',').map(Number) as [number, number, number, number, number];
      const comma = (value: number): string => String(value).replace('.', ',');
      return [`Canary-${at}`, comma(x0), Number((x1 * 1000).toFixed(1)), comma(x2), x3, y === 1 ? 'ja' : 'nein'];
    }),
  ];
}

/** Everything below a folder, as bytes read letter by letter. */
async function everything(folder: string): Promise<string> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const texts = files
    .filter((file) => file.isFile())
    .map((file) => readFile(join(file.parentPath, file.name), 'latin1'));
  return (await Promise.all(texts)).join('\n');
}

async function setUp(): Promise<{ homes: Homes; institution: Institution; data: string }> {
  const homes = await makeHomes(3);
  const institution = homes.institutions[0]!;
  const data = join(homes.folder, 'export.xlsx');
  await writeFile(data, workbookOf(exported(100, 1)));
  return { homes, institution, data };
}

const refusal =
  (kind: typeof InputError | typeof RefusalError, code: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof kind, String(error));
    assert.equal(error.code, code);
    assert.doesNotMatch(error.message, /canary/i);
    return true;
  };

test('consent with a mapping: said, kept, logged by its hash, and nothing of the file anywhere', async (t) => {
  const { homes, institution, data } = await setUp();
  t.after(() => homes.remove());
  const consented = await homes.consent(institution, { data: { name: 'records', path: data }, mapping });
  const hash = mappingHash(nodeCipher, mapping);
  assert.equal(consented.mapping, hash);
  assert.deepEqual(consented.dataset.columnsDropped, ['Name']);
  assert.match(consented.dataset.said.join(), /sheet "Data"/);
  const entries = await ledgerEntries(institution.home);
  const chosen = entries.find(({ kind }) => kind === 'mapping-chosen')!;
  assert.deepEqual([chosen.body['mapping'], chosen.body['dataset']], [hash, 'records']);
  assert.equal(entries.find(({ kind }) => kind === 'dataset-imported')!.body['mapping'], hash);
  const kept = await everything(institution.home);
  assert.match(kept, /consilience\/mapping\/1/);
  assert.doesNotMatch(kept, /canary/i);
  // Names of the file's columns stay in the mapping; the log holds only its hash.
  assert.doesNotMatch(JSON.stringify(entries), /Ergebnis|Wert/);
});

test('without the mapping the same file is refused, and so is a row that the mapping cannot convert', async (t) => {
  const { homes, institution, data } = await setUp();
  t.after(() => homes.remove());
  const consent = (change: object) => homes.consent(institution, { data: { name: 'records', path: data }, ...change });
  await assert.rejects(consent({}), refusal(InputError, 'column-missing'));
  const rows = exported(100, 1);
  rows[50]![1] = '1.234 Canary';
  await writeFile(data, workbookOf(rows));
  await assert.rejects(consent({ mapping }), (error: unknown) => {
    assert.match((error as Error).message, /line 51, column "x0": not a number/);
    return refusal(InputError, 'rows-refused')(error);
  });
  assert.equal((await ledgerEntries(institution.home)).filter(({ kind }) => kind === 'mapping-chosen').length, 0);
});

test('a run with another mapping, or with none, sends nothing; consent again makes it the one', async (t) => {
  const { homes, institution, data } = await setUp();
  t.after(() => homes.remove());
  const { study } = await homes.consent(institution, { data: { name: 'records', path: data }, mapping });
  const path = join(institution.home, 'studies', study, 'mapping.json');
  const kept = await readFile(path, 'utf8');
  const central = makeCentral(homes.signed.contract);
  const start = () => {
    const stop = new AbortController();
    const running = runParticipant({
      ...runOptions(homes, central, institution, stop.signal),
    });
    setTimeout(() => stop.abort(), 50);
    return running;
  };
  for (const text of [kept.replace('0.001', '0.002'), kept.replace('ja', 'no'), '{}', null]) {
    if (text === null) await rm(path);
    else await writeFile(path, text);
    await assert.rejects(start(), refusal(RefusalError, 'mapping-changed'), String(text).slice(0, 20));
  }
  await writeFile(path, kept);
  assert.equal((await start()).outcome, 'stopped');
});

test('the trainer reads through the mapping what the plain records say', async (t) => {
  const { homes, institution, data } = await setUp();
  t.after(() => homes.remove());
  const { task } = homes.signed.contract;
  const plain = await readTable(institution.data, task.table);
  const mapped = await readTable(data, task.table, { labels: true, mapping });
  assert.deepEqual(mapped.problems, []);
  assert.deepEqual(mapped.labels, plain.labels);
  assert.equal(mapped.features.length, plain.features.length);
  for (const [at, value] of plain.features.entries()) assert.ok(Math.abs(mapped.features[at]! - value) < 1e-3);
  const trainer = new Trainer();
  t.after(() => trainer.close());
  const inspected = await trainer.run({ kind: 'inspect', task, recordsFile: data, mapping });
  assert.deepEqual([inspected.rows, inspected.problems], [100, []]);
  await assert.rejects(
    trainer.run({ kind: 'inspect', task, recordsFile: data }),
    refusal(InputError, 'column-missing'),
  );
});
