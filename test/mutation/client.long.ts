// The long run holds it too: no check of the client can be taken away unnoticed.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

test('every check of the client is needed', () => {
  const script = path.join(import.meta.dirname, 'client.ts');
  const { status, stdout } = spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 3_600_000 });
  assert.equal(status, 0, stdout);
});
