// What holds for the store in one file alone: one process owns it, and a folder of another study is refused.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';

const study = 'ab'.repeat(32);

test('one process at a time, one study a folder', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-store-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const store = await openCoordinatorStore({ folder, study });
  await assert.rejects(openCoordinatorStore({ folder, study }), { code: 'in-use' });
  await store.close();
  await assert.rejects(openCoordinatorStore({ folder, study: 'cd'.repeat(32) }), { code: 'store-other-study' });
});
