// Files made to exhaust memory, read in a process of its own whose peak is measured: a line of a gigabyte, a ZIP bomb, a
// Parquet page that promises two billion values. Each ends in its sentence, near the memory that a small file takes.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { testFolder } from './sources.ts';
import { workbookOf, zipOf } from './workbook.ts';

const folder = testFolder();
const reader = resolve(import.meta.dirname, 'read-and-measure.ts');

type Measured = { readonly code: string; readonly peakMebibytes: number; readonly rows: number };

function measured(path: string): Measured {
  const run = spawnSync(process.execPath, [reader, path], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout) as Measured;
}

/** What the process and its code take for three rows. */
const small = measured(folder.write('small.csv', 'a,b\n1,2\n3,4\n'));
const smallParquet = measured(
  folder.write(
    'small.parquet',
    new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'a', data: [1], type: 'INT32' }] })),
  ),
);

/** A file of a gigabyte that takes no place on the disk beyond `start`. */
function gigabyte(name: string, start: string): string {
  const path = join(folder.path, name);
  const file = openSync(path, 'w');
  writeSync(file, start);
  ftruncateSync(file, 2 ** 30);
  closeSync(file);
  return path;
}

/** The bound is far from the gigabyte of the file, and wide: a peak depends on when memory is collected. */
function requireBounded(path: string, code: string, base = small, most = 400): void {
  const { code: got, peakMebibytes } = measured(path);
  assert.equal(got, code, path);
  const more = peakMebibytes - base.peakMebibytes;
  assert.ok(more < most, `${path} took ${more} MiB above a small file`);
}

test('a gigabyte of text in one line, of zero bytes, of commas, of a quote without end', () => {
  assert.equal(small.code, 'none');
  const text = 'x'.repeat(40 << 20);
  requireBounded(gigabyte('line.csv', `a,b\n${text}`), 'table-line-too-long');
  requireBounded(gigabyte('first-line.csv', text), 'table-line-too-long');
  requireBounded(gigabyte('zeros.csv', 'a,b\n'), 'table-binary');
  requireBounded(folder.write('commas.csv', `a,b\n${','.repeat(24 << 20)}\n`), 'table-line-too-long');
  requireBounded(folder.write('quote.csv', `a,b\n1,"${'x\n'.repeat(12 << 20)}`), 'table-line-too-long');
});

test('a workbook that unpacks a thousandfold, in the sheet, its strings or its styles', () => {
  const bomb = ' <x/>'.repeat(1 << 20).repeat(2);
  for (const name of ['xl/worksheets/sheet1.xml', 'xl/sharedStrings.xml', 'xl/styles.xml', 'xl/workbook.xml'])
    requireBounded(
      folder.write('bomb.xlsx', workbookOf([['a']], { parts: [{ name, data: `<x>${bomb}</x>` }] })),
      'table-bomb',
    );
  const many = Array.from({ length: 20_000 }, (_, at) => ({ name: `xl/${at}.xml`, data: '' }));
  requireBounded(folder.write('parts.xlsx', zipOf(many)), 'table-bomb');
});

test('a Parquet page of a few bytes that promises two billion values; a schema without end', () => {
  const bytes = new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: 'a', data: Array.from({ length: 63 }, () => 'x'), type: 'STRING', encoding: 'PLAIN' } as never,
      ],
      codec: 'UNCOMPRESSED',
    }),
  );
  // 63 values are one zigzag byte, 0x7e, after the field's head 0x15. Replaced by 2^31 − 1 in the page header; the pages
  // after it move by four bytes, which a reader of one page does not notice.
  const at = bytes.findIndex((byte, place) => byte === 0x15 && bytes[place + 1] === 0x7e);
  assert.ok(at > 0);
  const huge = Buffer.concat([
    bytes.subarray(0, at + 1),
    Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0x0f),
    bytes.subarray(at + 2),
  ]);
  const path = folder.write('huge.parquet', huge);
  const { code, peakMebibytes } = measured(path);
  assert.ok(code === 'table-too-large' || code === 'table-malformed', code);
  assert.ok(peakMebibytes - smallParquet.peakMebibytes < 400, `${peakMebibytes} MiB`);
});
