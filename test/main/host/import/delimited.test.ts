// CSV and its relatives: every encoding and delimiter back to the same cells, found and said; and what is no table.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UnavailableError } from '../../../../app/errors.ts';
import { delimiters, findDelimiter } from '../../../../main/host/import/delimiter.ts';
import { readSource, refuses, testFolder } from './sources.ts';

const folder = testFolder();

/** All of Windows-1252 that is printable, by Python's codec table; five bytes have no character. */
const upper1252 = '€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ';
const upperBytes = '80 82 83 84 85 86 87 88 89 8a 8b 8c 8e 91 92 93 94 95 96 97 98 99 9a 9b 9c 9e 9f'
  .split(' ')
  .map((hex) => Number(`0x${hex}`));

function encoded(text: string, encoding: string): Uint8Array {
  if (encoding === 'utf-8') return Buffer.from(text);
  if (encoding === 'utf-8 with mark') return Buffer.from(`\uFEFF${text}`);
  if (encoding === 'utf-16le') return Buffer.from(`\uFEFF${text}`, 'utf16le');
  if (encoding === 'utf-16be') return Buffer.from(`\uFEFF${text}`, 'utf16le').swap16();
  return Uint8Array.from(text, (letter) => {
    const at = upper1252.indexOf(letter);
    return at < 0 ? letter.codePointAt(0)! : upperBytes[at]!;
  });
}

const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;

const western = fc.string({
  unit: fc.constantFrom(...'ab1 ,;|\t"\'\n', ...upper1252, 'ä', 'ß', 'é', '¿', 'þ'),
  minLength: 1,
  maxLength: 8,
});
const anyText = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
  .filter((text) => !/[\p{Cc}\uFEFF]/u.test(text));

for (const encoding of ['utf-8', 'utf-8 with mark', 'windows-1252', 'utf-16le', 'utf-16be'])
  test(`cells in ${encoding} come back, whichever delimiter separates them`, async () => {
    const cell = encoding === 'windows-1252' ? western : fc.oneof(western, anyText);
    const tables = fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(tables, fc.constantFrom(...delimiters), async (rows, delimiter) => {
        const lines = [['Größe', 'b', 'c'], ...rows].map((cells) => `${cells.map(quoted).join(delimiter)}\r\n`);
        const path = folder.write('round.csv', encoded(lines.join(''), encoding));
        const read = await readSource(path);
        assert.deepEqual(read.names, ['Größe', 'b', 'c']);
        assert.deepEqual(
          read.rows.map(({ cells }) => cells),
          rows.map((cells) => [...cells]),
        );
      }),
      { numRuns: 40 },
    );
  });

test('what was found out is said', async () => {
  const said = async (content: string | Uint8Array): Promise<string> =>
    (await readSource(folder.write('said.csv', content))).said;
  assert.match(await said('a,b\n1,2\n'), /UTF-8 .*comma/);
  assert.match(await said('a;b\n1,5;2,5\n1,5;2\n'), /semicolon/);
  assert.match(await said(Buffer.from('a\tb\nä\t2\n', 'latin1')), /Windows-1252 \(it is not valid UTF-8\).*tab/);
  assert.match(
    await said(Buffer.from('a|b\n1|2\n', 'utf16le')),
    /UTF-16 \(little-endian\) \(by its zero bytes\).*vertical bar/,
  );
  assert.match(await said(Buffer.from('a|b\n1|2\n', 'utf16le').swap16()), /big-endian\) \(by its zero bytes\)/);
});

test('an umlaut after the first pieces still decides the encoding', async () => {
  const rows = 'x;1\n'.repeat(60_000);
  const path = folder.write('late.csv', Buffer.from(`a;b\n${rows}ü;2\n`, 'latin1'));
  const { said, rows: read } = await readSource(path);
  assert.match(said, /Windows-1252/);
  assert.deepEqual(read.at(-1), { line: 60_002, cells: ['ü', '2'] });
});

test('the mapping decides where it says so', async () => {
  const path = folder.write('said.csv', 'a;b,c\n1;2,3\n');
  assert.deepEqual((await readSource(path, { source: { delimiter: ';' } })).names, ['a', 'b,c']);
  assert.deepEqual((await readSource(path, { source: { delimiter: ',' } })).names, ['a;b', 'c']);
  const umlaut = folder.write('umlaut.csv', 'a;ü\n');
  assert.deepEqual((await readSource(umlaut, { source: { encoding: 'windows-1252' } })).names, ['a', 'Ã¼']);
  await assert.rejects(
    readSource(folder.write('latin.csv', Buffer.from('a;b\n1;canary ü\n', 'latin1')), {
      source: { encoding: 'utf-8' },
    }),
    refuses('table-encoding', /not UTF-8 text/),
  );
});

test('the study’s delimiter stands where it gives the study’s columns; else agreement of lines decides', () => {
  const found = (text: string, usual: ',' | '\t' = ',', columns: readonly string[] = []): string =>
    findDelimiter(text, true, usual, columns).delimiter;
  assert.equal(found('a,b;c;d\n1,2;3;4\n'), ';');
  assert.equal(found('a,b;c;d\n1,2;3;4\n', ',', ['a', 'b;c;d']), ',');
  assert.equal(found('alter;rr\n45,5;120,5\n46;121\n'), ';');
  assert.equal(found('"a;b;c",d\n"1;2;3",4\n'), ',');
  assert.equal(found('"a\nx",b\n1,2\n'), ',');
  assert.equal(found('single\n1\n', '\t'), '\t');
  assert.equal(found('', ','), ',');
});

test('files without a header: named columns, numbered columns', async () => {
  const path = folder.write('bare.csv', '1;2\n3;4\n');
  const named = await readSource(path, { header: ['a', 'b'] });
  assert.deepEqual([named.names, named.rows.length, named.rows[0]!.line], [['a', 'b'], 2, 1]);
  assert.deepEqual((await readSource(path, { header: null })).names, ['column 1', 'column 2']);
});

test('what is no table is refused by what it is', async () => {
  const bytes = (...start: number[]): Uint8Array => Uint8Array.of(...start, ...Buffer.from('canary'));
  const cases: readonly (readonly [string | Uint8Array, string, RegExp])[] = [
    ['', 'table-empty', /is empty/],
    ['\n\r\n\n', 'table-empty', /is empty/],
    ['\uFEFF', 'table-empty', /is empty/],
    [bytes(0, 1, 2, 3), 'table-binary', /not text/],
    [bytes(0x61, 0x1b), 'table-binary', /control bytes/],
    [Uint8Array.of(0x61, 0x2c, 0x9d, 0x0a), 'table-encoding', /Windows-1252/],
    [bytes(0xd0, 0xcf, 0x11, 0xe0), 'table-format', /old or password-protected/],
    [bytes(0x25, 0x50, 0x44, 0x46), 'table-format', /PDF/],
    [bytes(0x1f, 0x8b), 'table-format', /gzip/],
    [bytes(0x50, 0x4b, 0x03, 0x04), 'table-malformed', /damaged workbook/],
    [bytes(0x50, 0x41, 0x52, 0x31), 'table-malformed', /damaged, or not Parquet/],
    ['a;b\n1;"canary\n', 'table-malformed', /quotes do not match/],
    ['a;b\n1;can"ary"x"\n', 'table-malformed', /near line 2/],
    [Buffer.from('\uFEFFa;b\ncanary;\uD800x\n', 'utf16le'), 'table-encoding', /UTF-16/],
    [Buffer.from('\uFEFFa;b\n1;can\0ary\n', 'utf16le'), 'table-binary', /control bytes/],
    [Buffer.from('\uFEFF\0a\0;\0b\0\n\0', 'utf16le'), 'table-encoding', /UTF-32/],
    [Buffer.from('\0\uFEFF\0a\0;\0b\0\n', 'utf16le').swap16(), 'table-encoding', /UTF-32/],
  ];
  for (const [content, code, pattern] of cases)
    await assert.rejects(readSource(folder.write('bad.csv', content)), refuses(code, pattern), `${code} ${pattern}`);
  await assert.rejects(readSource(folder.path), refuses('not-a-file'));
  await assert.rejects(readSource(`${folder.path}/none.csv`), UnavailableError);
});

test('a binary piece behind a megabyte of text is found', async () => {
  const path = folder.write(
    'late.csv',
    Buffer.concat([Buffer.from('a,b\n'), Buffer.from('1,2\n'.repeat(300_000)), Buffer.alloc(10)]),
  );
  await assert.rejects(readSource(path), refuses('table-binary'));
});
