// The programs that the packaged host starts: each that the sources name is bundled, lies in one folder under a name of its
// own, and exists. A worker that is forgotten would be missing only on the machine of whoever installed the app.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { hostEntries } from '../../../main/packaging/bundle.ts';

const root = path.resolve(import.meta.dirname, '../../..');

test('every process and thread that main starts by its file is an entry', () => {
  const entries = hostEntries();
  for (const entry of entries) assert.ok(existsSync(path.join(root, entry)), entry);
  for (const known of [
    'main/cli/index.ts',
    'main/cli/app-parent-watch.ts',
    'main/host/sealing/sealer-worker.ts',
    'main/trainer/process.ts',
    'main/trainer/helper-thread.ts',
  ])
    assert.ok(entries.includes(known), known);
  const names = entries.map((entry) => path.basename(entry));
  assert.equal(new Set(names).size, names.length);
  // Whatever form a source names one in, with an extension of its own choice.
  for (const name of readdirSync(path.join(root, 'main'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts') || name.startsWith('packaging')) continue;
    const source = readFileSync(path.join(root, 'main', name), 'utf8');
    for (const [, started] of source.matchAll(/new URL\([^)]*?'\.\/([\w-]+)\.ts'/g))
      assert.ok(names.includes(`${started}.ts`), `${name} starts ${started}.ts`);
  }
});
