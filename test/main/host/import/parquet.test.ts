// Parquet: values of every flat type through two codecs, nested columns left out; and files that lie about their size.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { openParquet } from '../../../../main/host/import/parquet.ts';
import { readSource, refuses, testFolder } from './sources.ts';

const folder = testFolder();
type Column = Parameters<typeof parquetWriteBuffer>[0]['columnData'][number];
const parquet = (columnData: Column[], more: object = {}): Uint8Array =>
  new Uint8Array(parquetWriteBuffer({ columnData, ...more }));
const read = (bytes: Uint8Array) => readSource(folder.write('table.parquet', bytes));

test('numbers, text, truth, days, missing; whole numbers beyond 2^53 stay exact', async () => {
  const { format, said, names, rows } = await read(
    parquet([
      { name: 'text', data: ['Zoë', null, ''], type: 'STRING' },
      { name: 'long', data: [1n, -2n, 2n ** 60n + 1n], type: 'INT64' },
      { name: 'double', data: [1.5, Number.NaN, 3], type: 'DOUBLE' },
      { name: 'truth', data: [true, false, null], type: 'BOOLEAN' },
      { name: 'time', data: [new Date('2020-01-02'), new Date('2020-01-02T03:04:05.006Z'), null], type: 'TIMESTAMP' },
    ]),
  );
  assert.equal(format, 'parquet');
  assert.match(said, /Parquet, 3 rows, 5 columns/);
  assert.deepEqual(names, ['text', 'long', 'double', 'truth', 'time']);
  assert.deepEqual(rows, [
    { line: 1, cells: ['Zoë', 1, 1.5, 'true', '2020-01-02'] },
    { line: 2, cells: ['', -2, '', 'false', '2020-01-02T03:04:05.006Z'] },
    { line: 3, cells: ['', '1152921504606846977', 3, '', ''] },
  ]);
});

test('columns come back over several row groups, compressed or not', async () => {
  const columns = fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.integer()), { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(columns, fc.constantFrom('UNCOMPRESSED', 'SNAPPY'), async (pairs, codec) => {
      const data: Column[] = [
        { name: 'a', data: pairs.map(([text]) => text), type: 'STRING' },
        { name: 'b', data: pairs.map(([, number]) => number), type: 'INT32' },
      ];
      const { rows } = await read(parquet(data, { codec, rowGroupSize: 7 }));
      assert.deepEqual(
        rows.map(({ cells }) => cells),
        pairs.map((pair) => [...pair]),
      );
    }),
    { numRuns: 8 },
  );
});

test('only the cells that are wanted are read; nested columns are left out and said', async () => {
  const nested = { name: 'list', data: [[1], [2]] } as unknown as Column;
  const path = folder.write(
    'wide.parquet',
    parquet([
      { name: 'a', data: [1, 2], type: 'INT32' },
      { name: 'b', data: [3, 4], type: 'INT32' },
    ]),
  );
  const source = await openParquet(path);
  const rows: unknown[] = [];
  for await (const { cells } of source.rows(new Set([1]))) rows.push(cells);
  await source.close();
  assert.deepEqual(rows, [
    ['', 3],
    ['', 4],
  ]);
  const schema = [
    { name: 'root', num_children: 2 },
    { name: 'a', type: 'INT32', repetition_type: 'REQUIRED' },
    { name: 'list', repetition_type: 'REQUIRED', num_children: 1 },
    { name: 'x', type: 'INT32', repetition_type: 'REQUIRED' },
  ];
  const structured = new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: 'a', data: [1, 2] },
        { ...nested, data: [{ x: 1 }, { x: 2 }] },
      ],
      schema: schema as never,
    }),
  );
  const { said, names } = await read(structured);
  assert.deepEqual(names, ['a']);
  assert.match(said, /1 nested columns are left out/);
});

test('damage anywhere is refused in our words, never with the file’s', async () => {
  const whole = parquet([{ name: 'a', data: Array.from({ length: 50 }, (_, at) => `canary ${at}`), type: 'STRING' }]);
  const footer = (length: number): Uint8Array => {
    const bytes = Uint8Array.from(whole);
    new DataView(bytes.buffer).setUint32(bytes.length - 8, length, true);
    return bytes;
  };
  for (const bytes of [
    whole.subarray(0, 11),
    whole.subarray(0, whole.length - 3),
    footer(0xffff_ffff),
    footer(whole.length),
  ])
    await assert.rejects(read(bytes), refuses('table-malformed', /damaged, or not Parquet/));
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 4, max: whole.length - 9 }),
      fc.integer({ min: 1, max: 255 }),
      async (at, flip) => {
        const bytes = Uint8Array.from(whole);
        bytes[at]! ^= flip;
        await read(bytes).catch((error: unknown) => {
          refused++;
          refuses((error as { code: string }).code)(error);
        });
      },
    ),
    { numRuns: 15 },
  );
  assert.ok(refused > 1, `only ${refused} of 15 damaged files were refused`);
});

test('a row group that promises too many cells is refused before it is read', async () => {
  const { parquetMetadata } = await import('hyparquet');
  const bytes = parquet([{ name: 'a', data: [1, 2, 3], type: 'INT32' }]);
  assert.equal(Number(parquetMetadata(bytes.buffer as ArrayBuffer).row_groups[0]!.num_rows), 3);
  // The thrift field of the row group's rows (i64, zigzag): 3 is one byte, 0x06; replaced in a footer made longer.
  const length = new DataView(bytes.buffer).getUint32(bytes.length - 8, true);
  const start = bytes.length - 8 - length;
  const footer = bytes.subarray(start, bytes.length - 8);
  const promised = [0x80, 0x80, 0x80, 0x80, 0x40];
  const places = [...footer.keys()].filter((at) => footer[at] === 0x16 && footer[at + 1] === 0x06);
  let found = 0;
  for (const at of places) {
    const longer = Buffer.concat([footer.subarray(0, at + 1), Uint8Array.from(promised), footer.subarray(at + 2)]);
    const end = Buffer.alloc(8);
    end.writeUInt32LE(longer.length, 0);
    end.write('PAR1', 4);
    await read(Buffer.concat([bytes.subarray(0, start), longer, end])).then(
      () => undefined,
      (error: unknown) => {
        if ((error as { code: string }).code === 'table-too-large') found++;
      },
    );
  }
  assert.ok(found >= 1, 'no place of the footer holds the row group’s rows');
});
