// What holds for the shared store alone: one order for what many append at once, news of it, who was there first, one at a
// time for a sender, a nonce used once, and sessions that come back.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import { postgresMissing, startPostgres } from './postgres-server.ts';

const missing = postgresMissing();
const server = missing === null ? await startPostgres() : null;
after(() => server?.stop());

const study = 'ab'.repeat(32);

async function until(met: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !met(); waited += 20) {
    assert.ok(waited < 20_000, what);
    await delay(20);
  }
}

test('two replicas on one database', { skip: missing ?? false }, async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-store-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const database = await server!.create('shared');
  const open = () => openCoordinatorStore({ folder, study, database });
  const first = await open();
  t.after(() => first.close());
  const second = await open();
  t.after(() => second.close());
  assert.deepEqual([first.alone, second.alone], [true, false]);

  let news = 0;
  second.onNews(() => (news += 1));
  const both = [first, second];
  const numbers = await Promise.all(
    Array.from({ length: 40 }, (_, at) =>
      both[at % 2]!.inTurn(async (turn) => {
        let newest = 0;
        for await (const { seq } of turn.newer(0)) newest = seq;
        const seq = await turn.append({ kind: 'tick', now: at }, null);
        assert.equal(seq, newest + 1, 'nobody came in between');
        return seq;
      }),
    ),
  );
  assert.deepEqual(
    numbers.sort((left, right) => left - right),
    Array.from({ length: 40 }, (_, at) => at + 1),
  );
  assert.deepEqual([await second.isBehind(39), await second.isBehind(40)], [true, false]);
  await until(() => news > 0, 'the other one was told');

  let inside = 0;
  const crowded = both.flatMap((store) =>
    Array.from({ length: 4 }, () =>
      store.withSender(1, 2, async () => {
        inside += 1;
        assert.equal(inside, 1, 'one at a time');
        await delay(5);
        inside -= 1;
      }),
    ),
  );
  await Promise.all(crowded);
  await assert.rejects(
    first.withSender(1, 2, () => Promise.reject(new Error('failed inside'))),
    /failed inside/,
  );
  assert.equal(await second.withSender(1, 2, async () => 'free again'), 'free again');

  assert.equal(await first.firstUse('0/aa', 1000), true);
  assert.equal(await second.firstUse('0/aa', 1000), false);
  assert.equal(await second.firstUse('1/aa', 1000), true);

  await server!.dropSessions();
  const append = () => first.inTurn((turn) => turn.append({ kind: 'tick', now: 0 }, null));
  const seen = news;
  for (let tries = 0; ; tries++)
    try {
      await append();
      break;
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'database-unreachable');
      assert.ok(tries < 20);
    }
  await until(() => news > seen, 'it listens again');
});

test('sessions that end while they are in use', { skip: missing ?? false }, async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-store-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const store = await openCoordinatorStore({ folder, study, database: await server!.create('cut') });
  t.after(() => store.close());
  const unreachable = { code: 'database-unreachable' };
  await assert.rejects(
    store.inTurn(async (turn) => {
      await server!.dropSessions();
      // The end is told to an idle client, as it is to one with a query on its way.
      await delay(50);
      return turn.append({ kind: 'tick', now: 0 }, null);
    }),
    unreachable,
  );
  await assert.rejects(
    store.withSender(1, 2, async () => {
      await server!.dropSessions();
      await delay(50);
      return 'done';
    }),
    unreachable,
  );
  assert.equal(await store.isBehind(0), false, 'nothing was appended');
  assert.equal(await store.withSender(1, 2, async () => 'free again'), 'free again');
});
