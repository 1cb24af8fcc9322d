// The store by itself, on either database: events come back in order, another version and study are refused, a damaged
// event stops the start, rows of chunks are kept by round. What holds for one database alone stands in files of its own.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import type { CoordinatorStore } from '../../../main/coordinator/store.ts';
import type { StoredEvent } from '../../../main/coordinator/store/stored-event.ts';
import { alterStore, freshDatabase } from './stores.ts';

const study = 'ab'.repeat(32);

async function placeFor(t: TestContext) {
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-store-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const database = await freshDatabase();
  return { folder, study, ...(database === null ? {} : { database }) };
}

const append = (store: CoordinatorStore, event: StoredEvent, document: Uint8Array | null = null): Promise<number> =>
  store.inTurn((turn) => turn.append(event, document));

async function allOf(store: CoordinatorStore) {
  const found = [];
  for await (const event of store.events(0)) found.push(event);
  return found;
}

test('events come back in order with their bytes, over more than one page', async (t) => {
  const place = await placeFor(t);
  const store = await openCoordinatorStore(place);
  const document = Uint8Array.of(1, 2, 3);
  assert.equal(await append(store, { kind: 'consented', index: 4, now: 10 }, document), 1);
  for (let now = 2; now <= 601; now++) assert.equal(await append(store, { kind: 'tick', now }), now);
  await store.close();
  const again = await openCoordinatorStore(place);
  const events = await allOf(again);
  assert.equal(events.length, 601);
  assert.deepEqual(events[0], { seq: 1, event: { kind: 'consented', index: 4, now: 10 }, document });
  assert.deepEqual(events[600], { seq: 601, event: { kind: 'tick', now: 601 }, document: null });
  await again.close();
});

test('a turn that fails leaves nothing behind', async (t) => {
  const store = await openCoordinatorStore(await placeFor(t));
  t.after(() => store.close());
  const refused = new Error('refused');
  await assert.rejects(
    store.inTurn(() => Promise.reject(refused)),
    refused,
  );
  assert.equal(await append(store, { kind: 'tick', now: 1 }), 1);
  assert.equal((await allOf(store)).length, 1);
});

test('another study’s store and a newer version’s are refused in words', async (t) => {
  const place = await placeFor(t);
  await (await openCoordinatorStore(place)).close();
  // In PostgreSQL each study has a schema of its own; there only one that was renamed by hand can be met.
  await alterStore(place, `UPDATE meta SET value = '${'cd'.repeat(32)}' WHERE name = 'study'`);
  await assert.rejects(openCoordinatorStore(place), { code: 'store-other-study' });
  await alterStore(place, `UPDATE meta SET value = '99' WHERE name = 'schema'`);
  await assert.rejects(openCoordinatorStore(place), { code: 'store-version', message: /store 99/ });
});

test('a damaged event is named and stops the start', async (t) => {
  const place = await placeFor(t);
  const store = await openCoordinatorStore(place);
  await append(store, { kind: 'tick', now: 1 });
  await append(store, { kind: 'tick', now: 2 });
  await store.close();
  await alterStore(place, `UPDATE events SET body = '{"kind":"tick"}' WHERE seq = 2`);
  const again = await openCoordinatorStore(place);
  await assert.rejects(allOf(again), { code: 'event-damaged', message: /Event 2/ });
  await again.close();
});

test('chunks: recorded once, forgotten by member, kept by round', async (t) => {
  const store = await openCoordinatorStore(await placeFor(t));
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
  for (const chunk of [3, 1, 3]) await store.recordOpened(2, chunk);
  await store.recordOpened(1, 0);
  assert.deepEqual(await store.openedChunks(2), [1, 3]);
  await store.forgetChunks(2, 0);
  await store.files.removeMasked(2, 0);
  assert.deepEqual(await store.chunksOf(2, 0), []);
  assert.equal(await store.files.readMasked(2, 0, 0), null);
  await store.keepRounds(new Set([2]));
  await store.files.keepMasked(new Set([2]));
  assert.deepEqual(await store.chunksOf(1, 1), []);
  assert.deepEqual(await store.openedChunks(1), []);
  assert.deepEqual(await store.openedChunks(2), [1, 3]);
  assert.equal(await store.files.readMasked(1, 1, 0), null);
  assert.deepEqual(await store.files.readMasked(2, 1, 0), Uint8Array.of(2, 1));
  await store.keepRounds(new Set());
  assert.deepEqual(await store.chunksOf(2, 1), []);
});
