// `consilience participant preview` as a steward runs it, and the same files through `simulate` and `model predict`.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { signedContractText, signContract } from '../../../app/study/signed-contract.ts';
import { runCommand } from '../../../main/cli/command.ts';
import { participantCommand } from '../../../main/cli/participant.ts';
import { readMappingFile } from '../../../main/host/import/mapping-file.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { predictFile } from '../../../main/host/model/prediction.ts';
import { simulateFiles } from '../../../main/host/model/simulated-study.ts';
import { sampleStudy } from '../../app/round/sample-study.ts';
import { sampleContract, sampleSigner } from '../../app/study/sample-study.ts';
import { recordsText } from '../host/participant/homes.ts';
import { testFolder } from '../host/import/sources.ts';
import { workbookOf } from '../host/import/workbook.ts';

const folder = testFolder();
const contract = folder.write(
  'contract.json',
  signedContractText(signContract(nodeCipher, sampleSigner(1), sampleContract())),
);

async function preview(...args: string[]): Promise<{ code: number; out: string; warned: string }> {
  let [out, warned] = ['', ''];
  const code = await runCommand(
    participantCommand,
    ['preview', ...args],
    (text) => void (out += text),
    (text) => void (warned += text),
  );
  return { code, out, warned };
}

const data = folder.write(
  'export.csv',
  Buffer.from('Name;Age (years);Station;Readmitted\nCanary;45,5;1;1\nCanary;?;Canary-2;0\nCanary;46;3;1\n', 'latin1'),
);

test('a file alone: format, kinds and missing cells; cells only where they are asked for', async () => {
  const { code, out } = await preview('--data', data);
  assert.equal(code, 0);
  assert.match(out, /semicolon/);
  assert.match(out, /3 rows/);
  assert.match(out, /Station +text \(0\)/);
  assert.doesNotMatch(out, /Canary/);
  const shown = await preview('--data', data, '--rows', '1');
  assert.match(shown.out, /line 2: Canary \| 45,5 \| 1 \| 1/);
  assert.doesNotMatch(shown.out, /Canary-2/);
});

test('with a contract: what is wrong, a proposed mapping, and with it what is left to mend', async () => {
  const out = join(folder.path, 'mapping.json');
  const first = await preview('--data', data, '--contract', contract, '--out', out);
  assert.equal(first.code, 1);
  assert.match(first.out, /cannot use the file as it is: The file has no column "age"/);
  assert.match(first.out, /"age" from "Age \(years\)" \(likeness 0\.75\)/);
  assert.match(first.out, /"ward": no column is like it/);
  assert.match(first.out, /numbers have a decimal comma/);
  const mapping = JSON.parse(readFileSync(out, 'utf8')) as { rename: Record<string, string> };
  mapping.rename['ward'] = 'Station';
  writeFileSync(out, JSON.stringify(mapping));
  const second = await preview('--data', data, '--contract', contract, '--mapping', out, '--json');
  assert.equal(second.code, 1);
  const report = JSON.parse(second.out) as { fit: { problems: unknown; accepted: number; columnsDropped: unknown } };
  assert.deepEqual(report.fit.problems, [{ line: 3, column: 'age', problem: 'missing' }]);
  assert.deepEqual([report.fit.accepted, report.fit.columnsDropped], [2, ['Name']]);
  assert.doesNotMatch(second.out, /Canary/);
});

test('mistakes are said in words', async () => {
  const run = async (...args: string[]) => preview('--data', data, ...args);
  assert.match((await run('--mapping', data)).warned, /not (?:text in UTF-8|JSON)/);
  assert.match((await run('--contract', join(folder.path, 'none.json'))).warned, /it is not there/);
  assert.match((await run('--out', join(folder.path, 'm.json'))).warned, /give --contract/);
  assert.equal((await preview('--contract', contract)).code, 2);
});

test('simulate trains the same model from CSV, a workbook by its mapping, and Parquet', async () => {
  const { contract: study } = sampleStudy({
    institutions: 3,
    change: (base) => ({
      ...base,
      coordinator: { ...base.coordinator, address: 'http://127.0.0.1:1' },
      roster: base.roster.map((entry) => ({ ...entry, nominalUnits: 100 })),
      schedule: { ...base.schedule, rounds: 1, attempts: 2 },
    }),
  });
  const csv = study.roster.map((_, at) => folder.write(`silo-${at}.csv`, recordsText(60, at + 1)));
  const cells = recordsText(60, 1)
    .trimEnd()
    .split('\n')
    .map((line) => line.split(','));
  const workbook = folder.write(
    'silo.xlsx',
    workbookOf([['A', 'x1', 'x2', 'x3', 'y'], ...cells.slice(1).map((row) => row.map(Number))]),
  );
  const renamed = folder.write('silo-mapping.json', '{"format":"consilience/mapping/1","rename":{"x0":"A"}}');
  const parquet = folder.write(
    'silo.parquet',
    new Uint8Array(
      parquetWriteBuffer({
        columnData: cells[0]!.map((name, place) => ({
          name,
          data: cells.slice(1).map((row) => Number(row[place])),
          type: 'DOUBLE',
        })),
      }),
    ),
  );
  const names = study.roster.map(({ name }) => name);
  const model = async (file: string, mapping: string | null): Promise<string> => {
    const silos = new Map(names.map((name, at) => [name, at === 0 ? file : csv[at]!]));
    const mappings = mapping === null ? new Map() : new Map([[names[0]!, await readMappingFile(mapping)]]);
    return (await simulateFiles({ draft: study, silos, tests: new Map(), mappings, seed: '1', ownSite: false })).model;
  };
  const wanted = await model(csv[0]!, null);
  assert.equal(await model(workbook, renamed), wanted);
  assert.equal(await model(parquet, null), wanted);
  const other = folder.write('other.csv', recordsText(60, 9));
  assert.notEqual(await model(other, null), wanted);

  const parameters = Float32Array.from({ length: 5 }, (_, at) => at / 10);
  const predicted = async (path: string, mapping: string | null) =>
    (
      await predictFile({
        path,
        task: study.task,
        parameters,
        idColumn: null,
        withoutLabel: false,
        mapping: mapping === null ? null : await readMappingFile(mapping),
      })
    ).rows.map(({ probabilities }) => probabilities);
  const probabilities = await predicted(csv[0]!, null);
  assert.deepEqual(await predicted(workbook, renamed), probabilities);
  assert.deepEqual(await predicted(parquet, null), probabilities);
});
