// Who is told of a new status reads it, and nothing older: a window asks once for each thing it hears, and a study that
// cannot reach its coordinator says so once. Design 2, "Bridge" (events).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import { participantStatusSchema, readStatus } from '../../../../main/host/participant/status.ts';
import { statusPath, studyPaths } from '../../../../main/host/participant/home.ts';
import { RefusalError } from '../../../../app/errors.ts';
import { bridgeOver, steward, valueOf, withHost } from '../bridge/home.ts';
import { makeCentral, makeHomes, runOptions } from './homes.ts';

const patienceMs = 180_000;

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + patienceMs; !(await holds()); await sleep(20))
    assert.ok(performance.now() < end, what);
}

test('whoever is told that the status changed finds both files changed already', async (t) => {
  const homes = await makeHomes(3);
  t.after(() => homes.remove());
  const [institution] = homes.institutions;
  const { study } = await homes.consent(institution!);
  const { home } = institution!;
  const central = makeCentral(homes.signed.contract);
  central.down = true;
  const stop = new AbortController();
  const read: string[] = [];
  const run = runParticipant({
    ...runOptions(homes, central, institution!, stop.signal),
    onStatus() {
      for (const path of [statusPath(home), studyPaths(home, study).status])
        read.push(participantStatusSchema.parse(JSON.parse(readFileSync(path, 'utf8'))).doing);
    },
  });
  try {
    await until('the newest that was told is the newest there is', () => read.at(-1) === 'unreachable');
    assert.equal(read.at(-2), 'unreachable');
  } finally {
    stop.abort();
    await run;
  }
  assert.equal(read.at(-1), 'stopped');
});

test('a coordinator that is gone after a clock was wrong is said too', async (t) => {
  const homes = await makeHomes(3);
  t.after(() => homes.remove());
  const [institution] = homes.institutions;
  await homes.consent(institution!);
  const central = makeCentral(homes.signed.contract);
  const stop = new AbortController();
  let asked = 0;
  const run = runParticipant({
    ...runOptions(homes, central, institution!, stop.signal),
    connect: (_stored, index) => {
      const connection = central.connect(index);
      return Promise.resolve({
        ...connection,
        status: (...given) => {
          asked++;
          central.down = asked > 1;
          return asked === 1
            ? Promise.reject(new RefusalError('request-stale', 'Set this machine’s clock.'))
            : connection.status(...given);
        },
      });
    },
  });
  try {
    const doing = async () => (await readStatus(institution!.home))?.doing;
    await until('it is said', async () => (await doing()) === 'unreachable');
  } finally {
    stop.abort();
    await run;
  }
});

test('a window that asks only when it hears something ends with what is', async (t) => {
  const homes = await makeHomes(3);
  t.after(() => homes.remove());
  const [institution] = homes.institutions;
  await homes.consent(institution!);
  await withHost(institution!.home, { keys: homes.keys }, async (host) => {
    const bridge = bridgeOver(host.connect(steward));
    const seen: string[] = [];
    const ask = async (): Promise<void> => {
      const { now } = valueOf(await bridge.call('round.list', {}));
      seen.push(now[0]?.doing ?? 'none');
    };
    bridge.on('round.changed', () => void ask());
    await until(`nobody listens at its address: ${seen.join(', ')}`, () => seen.at(-1) === 'unreachable');
  });
});
