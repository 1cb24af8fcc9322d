// The long run holds it too: none of the classical mistakes of private training goes unnoticed.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

test('every planted mistake is noticed', () => {
  const script = path.join(import.meta.dirname, 'privacy.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 3_600_000 });
  assert.equal(status, 0, stdout + stderr);
});
