// Atomic replacement: content, permissions, no leftovers, and the old file untouched when writing fails.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { UnavailableError } from '../../../../app/errors.ts';
import { writeFileAtomically } from '../../../../main/host/disk/atomic-file.ts';

void test('the file is replaced whole, owner only, and nothing else stays in the folder', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-atomic-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'file');
  await writeFileAtomically(path, 'a long first content');
  await writeFileAtomically(path, Uint8Array.of(1, 2));
  assert.deepEqual([...(await readFile(path))], [1, 2]);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(folder), ['file']);

  // A folder in the place of the file makes the rename fail after everything was written.
  await mkdir(join(folder, 'taken', 'inside'), { recursive: true });
  await assert.rejects(writeFileAtomically(join(folder, 'taken'), 'x'), UnavailableError);
  await assert.rejects(writeFileAtomically(join(folder, 'absent', 'file'), 'x'), UnavailableError);
  assert.deepEqual((await readdir(folder)).sort(), ['file', 'taken']);
});
