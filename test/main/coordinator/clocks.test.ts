// Clocks that jump by hours, on either side: what is refused says so in seconds, no deadline is stretched by it, and the
// round goes on when the clock is right again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectCoordinator } from '../../../main/host/connection/coordinator-client.ts';
import { consentAll, everyone, expire, liveFederation, ready, stages, verify, wholeRound } from './federation.ts';

const hours = 3_600_000;

test('a participant whose clock is hours off is told by how much; nothing is changed; set right, it goes on', async (t) => {
  const fed = await liveFederation({ institutions: 3 });
  t.after(() => fed.close());
  await consentAll(fed);
  const [first] = fed.parties;
  for (const [off, seconds] of [
    [5 * hours, 18_000],
    [-7 * hours, 25_200],
  ] as const) {
    const client = connectCoordinator({
      machine: { ...fed.machine, clock: { now: () => fed.clock.now + off } },
      parameters: fed.study.parameters,
      index: 0,
      identity: first!.participant.identity,
      transport: first!.transport,
      address: fed.server.address,
      patience: { attempts: 1, firstMs: 1, longestMs: 1 },
    });
    t.after(() => client.close());
    const before = fed.engine.study();
    await assert.rejects(client.status(null, 0), {
      name: 'RefusalError',
      code: 'request-stale',
      message: new RegExp(`dated ${seconds} seconds away .* Set this machine’s clock`),
    });
    assert.equal(fed.engine.study(), before);
  }
  await wholeRound(fed);
  assert.deepEqual(fed.engine.study().closed[0]!.survivors, [0, 1, 2]);
});

test('the coordinator’s clock is set back in mid-stage: the stage gets its own time again, not hours', async (t) => {
  const fed = await liveFederation({ institutions: 3 });
  t.after(() => fed.close());
  await consentAll(fed);
  await ready(fed, fed.parties[0]!);
  const stageMs = 1000 * fed.study.contract.schedule.stageSeconds.ready;
  fed.clock.now -= 3 * hours;
  await fed.engine.tick();
  assert.equal(fed.engine.study().round!.deadline, fed.clock.now + stageMs);
  assert.deepEqual(
    fed.log.filter((line) => line.event === 'clock-went-back'),
    [{ event: 'clock-went-back', seconds: 10_800 }],
  );
  for (const party of fed.parties.slice(1)) await ready(fed, party);
  for (const stage of stages.slice(1)) await everyone(fed, stage);
  await fed.engine.settled();
  await everyone(fed, async (_, party) => void (await verify(fed, party)));
  assert.equal(fed.engine.study().closed.length, 1);
});

test('the coordinator’s clock is set back between rounds: the pause is not stretched', async (t) => {
  const fed = await liveFederation({
    institutions: 3,
    change: (contract) => ({ ...contract, schedule: { ...contract.schedule, intervalSeconds: 60 } }),
  });
  t.after(() => fed.close());
  await consentAll(fed);
  await wholeRound(fed);
  fed.clock.now -= 3 * hours;
  await fed.engine.tick();
  assert.equal(fed.engine.study().opensAt, fed.clock.now + 60_000);
  await expire(fed);
  assert.equal(fed.engine.study().round?.round, 2);
  // The log of events has times that fall; replayed, they give the same state.
  const before = fed.engine.study();
  await fed.reopen();
  assert.deepEqual({ ...fed.engine.study().round, deadline: 0 }, { ...before.round, deadline: 0 });
});

test('the coordinator’s clock jumps ahead by hours: the open round is lost at most, its number spent, the next one closes', async (t) => {
  const fed = await liveFederation({ institutions: 3 });
  t.after(() => fed.close());
  await consentAll(fed);
  await ready(fed, fed.parties[0]!);
  fed.clock.now += 9 * hours;
  await fed.engine.tick();
  const { aborted } = await fed.parties[0]!.client.status(null, 0);
  assert.deepEqual(aborted, { round: 1, reason: 'cohort-below-floor' });
  fed.clock.now -= 9 * hours;
  await fed.engine.tick();
  await expire(fed);
  await wholeRound(fed);
  assert.deepEqual(
    fed.engine.study().closed.map(({ round }) => round),
    [2],
  );
});
