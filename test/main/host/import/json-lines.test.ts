// JSON Lines: names from all lines, cells as text, what is no table refused by line and name and never by content.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSource, refuses, testFolder } from './sources.ts';

const folder = testFolder();
const written = (name: string, ...lines: readonly string[]): string => folder.write(name, `${lines.join('\n')}\n`);

test('objects become rows; names come from every line, and what a line lacks is empty', async () => {
  const path = written(
    'notes.jsonl',
    '{"text": "Seen today\\nfor \\"cough\\".", "age": 61, "smoker": true}',
    '',
    '{"age": 0.5, "kind": "PLAN", "smoker": null}',
  );
  const read = await readSource(path);
  assert.equal(read.format, 'json-lines');
  assert.match(read.said, /JSON Lines in UTF-8/);
  assert.deepEqual(read.names, ['text', 'age', 'smoker', 'kind']);
  assert.deepEqual(read.rows, [
    { line: 1, cells: ['Seen today\nfor "cough".', '61', 'true', ''] },
    { line: 3, cells: ['', '0.5', '', 'PLAN'] },
  ]);
});

test('lines longer than a piece of the stream, a byte order mark, no newline at the end', async () => {
  const long = 'ä'.repeat(200_000);
  const path = folder.write('long.jsonl', `\uFEFF{"text":"${long}"}\r\n{"text":"b"}`);
  const { rows } = await readSource(path);
  assert.deepEqual(
    rows.map(({ cells }) => cells[0]),
    [long, 'b'],
  );
});

for (const [what, line, why] of [
  ['a list for a cell', '{"text": ["CANARY-1"]}', /Line 2 .*"text" holds a list or an object/],
  ['a line that is no JSON', '{"text": "CANARY-1"', /Line 2 .*no object in JSON/],
  ['a line that is no object', '["CANARY-1"]', /Line 2 .*no object in JSON/],
] as const)
  test(`refused: ${what}`, async () => {
    await assert.rejects(readSource(written('bad.jsonl', '{"text": "a"}', line)), refuses('table-malformed', why));
  });

test('a table whose first name begins with a brace stays a table', async () => {
  const { format, names } = await readSource(written('braces.csv', '{x},y', '1,2'));
  assert.deepEqual([format, names], ['delimited', ['{x}', 'y']]);
});
