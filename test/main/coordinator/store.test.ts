// The store by itself: events come back in order, a second process and another version or study are refused, a damaged
// event stops the start, and files and rows of chunks go together.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import type { CoordinatorStore } from '../../../main/coordinator/store.ts';

const study = 'ab'.repeat(32);

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-store-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function alter(folder: string, sql: string): void {
  const database = new DatabaseSync(path.join(folder, 'coordinator.sqlite'));
  database.exec(sql);
  database.close();
}

async function allOf(store: CoordinatorStore) {
  const found = [];
  for await (const event of store.events()) found.push(event);
  return found;
}

test('events come back in order with their bytes, over more than one page', async (t) => {
  const folder = await folderFor(t);
  const store = await openCoordinatorStore({ folder, study });
  const document = Uint8Array.of(1, 2, 3);
  assert.equal(await store.append({ kind: 'consented', index: 4, now: 10 }, document), 1);
  for (let now = 2; now <= 601; now++) assert.equal(await store.append({ kind: 'tick', now }, null), now);
  await store.close();
  const again = await openCoordinatorStore({ folder, study });
  const events = await allOf(again);
  assert.equal(events.length, 601);
  assert.deepEqual(events[0], { seq: 1, event: { kind: 'consented', index: 4, now: 10 }, document });
  assert.deepEqual(events[600], { seq: 601, event: { kind: 'tick', now: 601 }, document: null });
  await again.close();
});

test('one process at a time', async (t) => {
  const folder = await folderFor(t);
  const store = await openCoordinatorStore({ folder, study });
  await assert.rejects(openCoordinatorStore({ folder, study }), { code: 'in-use' });
  await store.close();
});

test('another study’s folder and another version’s are refused in words', async (t) => {
  const folder = await folderFor(t);
  await (await openCoordinatorStore({ folder, study })).close();
  await assert.rejects(openCoordinatorStore({ folder, study: 'cd'.repeat(32) }), { code: 'store-other-study' });
  alter(folder, `UPDATE meta SET value = '2' WHERE name = 'schema'`);
  await assert.rejects(openCoordinatorStore({ folder, study }), { code: 'store-version', message: /store 2/ });
});

test('a damaged event is named and stops the start', async (t) => {
  const folder = await folderFor(t);
  const store = await openCoordinatorStore({ folder, study });
  await store.append({ kind: 'tick', now: 1 }, null);
  await store.append({ kind: 'tick', now: 2 }, null);
  await store.close();
  alter(folder, `UPDATE events SET body = '{"kind":"tick"}' WHERE seq = 2`);
  const again = await openCoordinatorStore({ folder, study });
  await assert.rejects(allOf(again), { code: 'event-damaged', message: /Event 2/ });
  await again.close();
});

test('chunks: recorded once, dropped by member, kept by round', async (t) => {
  const folder = await folderFor(t);
  const store = await openCoordinatorStore({ folder, study });
  t.after(() => store.close());
  const row = { chunk: 0, sha256: '11', leaf: '22' };
  for (const round of [1, 2])
    for (const sender of [0, 1]) {
      await store.files.writeMasked(round, sender, 0, Uint8Array.of(round, sender));
      await store.recordChunk(round, sender, row);
    }
  await store.recordChunk(1, 0, { ...row, sha256: '99' });
  assert.deepEqual(
    (await store.chunksOf(1, 0)).map((found) => ({ ...found })),
    [row],
  );
  await store.dropChunks(2, 0);
  assert.deepEqual(await store.chunksOf(2, 0), []);
  assert.equal(await store.files.readMasked(2, 0, 0), null);
  await store.keepChunks(new Set([2]));
  assert.deepEqual(await store.chunksOf(1, 1), []);
  assert.equal(await store.files.readMasked(1, 1, 0), null);
  assert.deepEqual(await store.files.readMasked(2, 1, 0), Uint8Array.of(2, 1));
  await store.keepChunks(new Set());
  assert.deepEqual(await store.chunksOf(2, 1), []);
});
