// Table files from disk: delimiter, byte order mark, quotes, line ends, encoding; and errors with line numbers, without
// content.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { InputError, UnavailableError } from '../../../../app/errors.ts';
import { readTable } from '../../../../main/host/import/read-table.ts';
import { numberFeature, tableOf } from '../../../app/training/examples.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'consilience-table-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const table = tableOf({ features: [numberFeature('a')], personColumn: 'p' });

async function read(content: string | Uint8Array, change: Partial<typeof table> = {}) {
  const path = join(folder, 'table.csv');
  await writeFile(path, content);
  return readTable(path, { ...table, ...change });
}

test('commas, quotes, a byte order mark, Windows line ends, blank lines and no final newline', async () => {
  const encoded = await read('\uFEFF"a",p,y\r\n0.5,"O\'Hara, ""Jo""\nJunior",1\r\n\r\n-0.5,Zoë,0');
  assert.deepEqual(encoded.features, Float32Array.of(0.5, -0.5));
  assert.deepEqual(encoded.persons, ['O\'Hara, "Jo"\nJunior', 'Zoë']);
  assert.deepEqual(encoded.labels, Float32Array.of(1, 0));
});

test('tabs, and a file without header', async () => {
  const encoded = await read('1\tann\t0.25\n0\tbob\t?\n', { format: 'tsv', columnNames: ['y', 'p', 'a'] });
  assert.equal(encoded.rows, 1);
  assert.deepEqual(encoded.problems, [{ line: 2, column: 'a', problem: 'missing' }]);
});

test('a large file arrives whole, over many pieces of the stream', async () => {
  const rows = 30_000;
  const encoded = await read(`a,p,y\n${Array.from({ length: rows }, (_, i) => `0.5,person-é-${i},1\n`).join('')}`);
  assert.equal(encoded.rows, rows);
  assert.equal(encoded.persons?.[rows - 1], `person-é-${rows - 1}`);
});

test('line numbers count lines of the file', async () => {
  const encoded = await read('a,p,y\n0,"two\nlines",1\n\nbad,ann,1\n');
  assert.deepEqual(encoded.problems, [{ line: 5, column: 'a', problem: 'not a number' }]);
});

function refuses(code: string, pattern: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof InputError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /canary/);
    return true;
  };
}

test('malformed files are refused by line, never with content', async () => {
  await assert.rejects(
    read('a,p,y\n0,canary"x,1\n'),
    refuses('table-malformed', /near line 2: its quotes do not match/),
  );
  await assert.rejects(read('a,p,y\n0,"canary,1\n'), refuses('table-malformed', /quotes do not match/));
  await assert.rejects(read('a,p,y\n0,canary\n'), refuses('cells-count', /Line 2 has 2 cells where 3 are expected/));
  await assert.rejects(read('b,p,y\n0,canary,1\n'), refuses('column-missing', /no column "a"/));
  await assert.rejects(read(''), refuses('table-empty', /empty/));
  await assert.rejects(read(Uint8Array.of(0x61, 0x2c, 0x81, 0x0a)), refuses('table-encoding', /not Windows-1252/));
});

test('a file that is not there is said to be unavailable', async () => {
  await assert.rejects(readTable(join(folder, 'none.csv'), table), UnavailableError);
});
