// Workbooks: cells of every type, sheets, dates in both calendars; and packages that lie, swell or are something else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readSource, refuses, testFolder } from './sources.ts';
import { workbookOf, workbookParts, zipOf } from './workbook.ts';
import type { WorkbookCell } from './workbook.ts';

const folder = testFolder();
const read = (bytes: Uint8Array, change?: Parameters<typeof readSource>[1]) =>
  readSource(folder.write('book.xlsx', bytes), change);

test('cells of every type, with gaps, empty rows, rich text and entities', async () => {
  const { format, said, names, rows } = await read(
    workbookOf([['a & b', '<c>', 'd'], [1.5, 'x"y', true], [null, ' z ', null], [], [-2e-7, null, { date: 45_000 }]]),
  );
  assert.equal(format, 'xlsx');
  assert.equal(said, 'Workbook, sheet "Data" (the first).');
  assert.deepEqual(names, ['a & b', '<c>', 'd']);
  assert.deepEqual(rows, [
    { line: 2, cells: [1.5, 'x"y', 'true'] },
    { line: 3, cells: ['', ' z ', ''] },
    { line: 5, cells: [-2e-7, '', '2023-03-15'] },
  ]);
});

test('text and numbers come back, shared or inline', async () => {
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    .filter((value) => !/[\p{Cc}\uFFFE\uFFFF]/u.test(value));
  const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value));
  const cell: fc.Arbitrary<WorkbookCell> = fc.oneof(text, number);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      async (rows, inline) => {
        const back = await read(workbookOf([['a', 'b'], ...rows], { inline }));
        assert.deepEqual(
          back.rows.map(({ cells }) => cells),
          rows.map((cells) => [...cells]),
        );
      },
    ),
    { numRuns: 60 },
  );
});

test('days of both calendars, the day that never was, times of day', async () => {
  const days = async (epoch1904: boolean, ...serials: number[]) => {
    const book = workbookOf([['d'], ...serials.map((date) => [{ date }])], { epoch1904 });
    return (await read(book)).rows.map(({ cells }) => cells[0]);
  };
  // Excel's own values: 1 is 1 January 1900, 61 is 1 March 1900, 43831 is 1 January 2020.
  assert.deepEqual(await days(false, 1, 59, 61, 43_831, 43_831.75, 0.5), [
    '1900-01-01',
    '1900-02-28',
    '1900-03-01',
    '2020-01-01',
    '2020-01-01T18:00:00',
    0.5,
  ]);
  assert.deepEqual(await days(true, 42_369), ['2020-01-01']);
});

test('the first sheet, or the one that the mapping names', async () => {
  const book = workbookOf([['a'], [1]], { more: { Über: [['b'], [2]] } });
  assert.match((await read(book)).said, /"Data" of 2 \(the first\)/);
  const other = await read(book, { source: { sheet: 'Über' } });
  assert.deepEqual([other.names, other.rows[0]!.cells], [['b'], [2]]);
  await assert.rejects(read(book, { source: { sheet: 'none' } }), refuses('sheet-missing', /"none"/));
});

test('columns beyond Z, and rows longer than the header keep their length', async () => {
  const wide = Array.from({ length: 800 }, (_, at) => `c${at}`);
  const { names, rows } = await read(workbookOf([wide, [...wide.keys()], [...wide.keys(), 1]]));
  assert.equal(names[799], 'c799');
  assert.equal(rows[0]!.cells[799], 799);
  assert.equal(rows[1]!.cells.length, 801);
});

const sheet = 'xl/worksheets/sheet1.xml';
const withSheet = (data: string): Uint8Array => workbookOf([['canary']], { parts: [{ name: sheet, data }] });

test('damaged and hostile packages are refused in words', async () => {
  const rows = (inner: string): string => `<worksheet><sheetData>${inner}</sheetData></worksheet>`;
  const cases: readonly (readonly [Uint8Array, string])[] = [
    [withSheet(''), 'table-malformed'],
    [withSheet(rows('')), 'table-empty'],
    [withSheet(rows('<row r="1"><c r="A1"><v>canary</v></c></row>')), 'table-malformed'],
    [withSheet(rows('<row r="1"><c r="A1" t="s"><v>99</v></c></row>')), 'table-malformed'],
    [withSheet(rows('<row r="1"><c r="XFE1"><v>1</v></c></row>')), 'table-malformed'],
    [withSheet(rows('<row r="2"><c r="A2"><v>1</v></c></row><row r="1"/>')), 'table-malformed'],
    [withSheet(rows('<row r="1048577"><c r="A1"><v>1</v></c></row>')), 'table-malformed'],
    [withSheet(rows('<row r="1"><c r="A1"><v>1</v></row>')), 'table-malformed'],
    [
      withSheet(`<!DOCTYPE x [<!ENTITY a "canary">]>${rows('<row r="1"><c t="str"><v>&a;</v></c></row>')}`),
      'table-malformed',
    ],
    [withSheet('<x>'.repeat(100)), 'table-malformed'],
    [withSheet(rows(`<row r="1"><c r="A1" t="str"><v>${'canary '.repeat(400_000)}</v></c></row>`)), 'table-malformed'],
    [zipOf([{ name: 'canary.txt', data: 'canary' }]), 'table-format'],
    [zipOf(workbookParts([['a']]).filter(({ name }) => name !== sheet)), 'table-malformed'],
    [workbookOf([['a'], [1]]).subarray(0, 600), 'table-malformed'],
  ];
  for (const [at, [bytes, code]] of cases.entries()) await assert.rejects(read(bytes), refuses(code), `case ${at}`);
});

test('a part that inflates beyond measure, or to more than its directory says, is not read', async () => {
  const blanks = ' '.repeat(4 << 20);
  await assert.rejects(read(withSheet(`<worksheet>${blanks}</worksheet>`)), refuses('table-malformed'));
  const rows = `<row>${'<c/>'.repeat(10_000)}</row>`.repeat(250);
  await assert.rejects(
    read(withSheet(`<worksheet><sheetData>${rows}</sheetData></worksheet>`)),
    refuses('table-bomb', /ZIP bomb/),
  );
  const lying = [
    { name: sheet, data: '<worksheet><sheetData><row><c><v>1</v></c></row></sheetData></worksheet>', statedSize: 10 },
  ];
  await assert.rejects(read(workbookOf([], { parts: lying })), refuses('table-malformed'));
});

test('every cut of a workbook is refused or empty, never a crash', async () => {
  const whole = workbookOf([
    ['a', 'b'],
    [1, 'x'],
  ]);
  for (let length = 4; length < whole.length; length += 41)
    await assert.rejects(read(whole.subarray(0, length)), refuses('table-malformed'));
});
