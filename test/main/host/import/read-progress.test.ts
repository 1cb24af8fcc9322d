// How far a reading is, whatever the file: counted up to a total that is known from the start, for the bar of an import and
// of a consent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { readTable } from '../../../../main/host/import/read-table.ts';
import { sampleStudy } from '../../../app/round/sample-study.ts';
import { recordsText } from '../participant/homes.ts';
import { testFolder } from './sources.ts';
import { workbookOf } from './workbook.ts';

const folder = testFolder();
const { table } = sampleStudy({ institutions: 3 }).contract.task;
const rows = 3000;
const text = recordsText(rows, 1);
const [names, ...cells] = text
  .trimEnd()
  .split('\n')
  .map((line) => line.split(','));
const objects = cells.map((row) => Object.fromEntries(row.map((cell, at) => [names![at]!, Number(cell)])));

const files = {
  'a text file': folder.write('records.csv', text),
  'JSON Lines': folder.write('records.jsonl', `${objects.map((row) => JSON.stringify(row)).join('\n')}\n`),
  'a workbook': folder.write('records.xlsx', workbookOf([names!, ...cells.map((row) => row.map(Number))])),
  Parquet: folder.write(
    'records.parquet',
    new Uint8Array(
      parquetWriteBuffer({
        columnData: names!.map((name, at) => ({ name, data: cells.map((row) => Number(row[at])), type: 'DOUBLE' })),
      }),
    ),
  ),
};

for (const [what, path] of Object.entries(files))
  test(`${what} is counted to its end`, async () => {
    const told: (readonly [done: number, total: number | null])[] = [];
    const read = await readTable(path, table, { labels: true, onProgress: (done, total) => told.push([done, total]) });
    assert.equal(read.problems.length, 0);
    assert.ok(told.length >= rows);
    const total = told[0]![1];
    assert.ok(total !== null && total > 0);
    let before = 0;
    for (const [done, of] of told) {
      assert.ok(done >= before && done <= total && of === total);
      before = done;
    }
    assert.ok(before > 0.9 * total, `${before} of ${total}`);
    assert.ok(told[rows >> 1]![0] < 0.9 * total, 'and in between is in between');
  });
