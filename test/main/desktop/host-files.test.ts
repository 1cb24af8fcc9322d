// The pins of the packaged host: every file as it was, none missing, none too many, nothing that is no file in between.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPins, requirePinned } from '../../../main/desktop/host-files.ts';
import type { Pins } from '../../../main/desktop/host-files.ts';

const contents = { node: 'a program', 'index.js': 'run()', 'node_modules/one/dist/a.wasm': 'bytes' };
const pins: Pins = Object.fromEntries(
  Object.entries(contents).map(([file, text]) => [file, createHash('sha256').update(text).digest('hex')]),
);

async function withFiles(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-pins-'));
  try {
    for (const [file, text] of Object.entries(contents)) {
      await mkdir(join(folder, file, '..'), { recursive: true });
      await writeFile(join(folder, file), text);
    }
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const refuses = (folder: string, said: RegExp): Promise<void> =>
  assert.rejects(requirePinned(folder, pins), (error: { code?: string; message: string }) => {
    assert.equal(error.code, 'host-altered');
    assert.match(error.message, said);
    return true;
  });

test('files as they were packaged are let pass', () => withFiles((folder) => requirePinned(folder, pins)));

test('one bit, a missing file, a file too many, a link in place of a file, no folder at all', async () => {
  await withFiles(async (folder) => {
    await writeFile(join(folder, 'index.js'), 'run(!');
    await refuses(folder, /: index\.js was changed\./);
  });
  await withFiles(async (folder) => {
    await rm(join(folder, 'node_modules/one/dist/a.wasm'));
    await refuses(folder, /: node_modules\/one\/dist\/a\.wasm is missing\./);
  });
  await withFiles(async (folder) => {
    await writeFile(join(folder, 'node_modules/one/preload.js'), '');
    await refuses(folder, /: node_modules\/one\/preload\.js was added\./);
  });
  await withFiles(async (folder) => {
    // The same bytes, but where others may exchange them.
    await rename(join(folder, 'node'), `${folder}.elsewhere`);
    await symlink(`${folder}.elsewhere`, join(folder, 'node'));
    try {
      await refuses(folder, /: node was changed\./);
    } finally {
      await rm(`${folder}.elsewhere`);
    }
  });
  await refuses(join(tmpdir(), 'consilience-no-such-folder'), / is missing\./);
});

test('names that every object has are no pins', () =>
  withFiles(async (folder) => {
    await writeFile(join(folder, 'constructor'), '');
    await refuses(folder, /: constructor was added\./);
  }));

test('pins that are none are a defect, not an empty list', () =>
  withFiles(async (folder) => {
    const file = join(folder, 'pins.json');
    for (const text of ['{}', '{"files":{"index.js":"abc"}}', '{"files":{},"more":1}', 'nonsense']) {
      await writeFile(file, text);
      assert.throws(() => readPins(file), text);
    }
    await writeFile(file, JSON.stringify({ files: pins }));
    assert.deepEqual(readPins(file), pins);
  }));
