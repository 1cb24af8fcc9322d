// Lines of a file come whole and in order, however they fall on the pieces that are read, and other work gets its turn.

import assert from 'node:assert/strict';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { linesOf } from '../../../../main/host/disk/line-reader.ts';

test('a long file is read in turns with other work of the process', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-lines-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'lines');
  const lines = Array.from({ length: 5000 }, (_, at) => `${at} ${'x'.repeat(at % 500)}`);
  await writeFile(path, `${lines.join('\n')}\nhalf`);
  const handle = await open(path, 'r');
  context.after(() => handle.close());
  let turns = 0;
  let counting = true;
  const count = (): void => {
    turns++;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  const read: string[] = [];
  for await (const line of linesOf(handle)) {
    read.push(new TextDecoder().decode(line.bytes));
    assert.equal(line.complete, read.length <= lines.length);
  }
  counting = false;
  assert.deepEqual(read, [...lines, 'half']);
  assert.ok(turns >= 50, `other work got ${turns} turns while 5000 lines were read`);
});
