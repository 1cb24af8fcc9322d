// A coordinator whose status is a lie, or comes from an old copy of its folder: refused with a code and a sentence before
// anything is signed, and nothing is lost once the truth is told again. Design 3 ("Catching up"), issue 4.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StudyStatus } from '../../../app/round/engine-ports.ts';
import { runStudy } from './crash-harness.ts';
import type { Around } from './crash-harness.ts';

/** Tells one lie, once, where `due` says so, then goes on with the truth to the end of the study. */
async function lying(
  due: (around: Around) => boolean,
  lie: (status: StudyStatus) => StudyStatus,
  refusal: { code: string; message: RegExp },
): Promise<void> {
  let told = 0;
  const { central, parties, victim } = await runStudy([], async (around) => {
    if (told > 0 || !due(around)) return;
    told += 1;
    const { effects } = around.victim;
    const before = effects.length;
    await assert.rejects(around.victim.advance(lie(around.status)), { name: 'RefusalError', ...refusal });
    assert.deepEqual(effects.slice(before), [], 'nothing was signed, written or sent');
  });
  assert.equal(told, 1);
  assert.equal(central.study().outcome, 'complete');
  assert.equal(new Set(parties.map((party) => party.model())).size, 1);
  const aborted = victim.entries.filter(({ entry }) => entry.kind === 'round-aborted');
  assert.deepEqual(aborted, [], 'no round was lost');
}

/** Round 1 is closed everywhere and the victim has signed for round 2. */
const inSecondRound = ({ central, victim }: Around): boolean =>
  central.study().round?.round === 2 &&
  central.study().round?.stage === 'shares' &&
  victim.wire.some(({ what }) => what === '2/0');

test('the coordinator goes back to an earlier round', () =>
  lying(inSecondRound, (status) => ({ ...status, round: { number: 1, stage: 'ready', eligible: true } }), {
    code: 'status-went-back',
    message: /older copy of the coordinator/,
  }));

test('the coordinator forgets a closed round', () =>
  lying(inSecondRound, (status) => ({ ...status, closed: 0, lastClosed: { round: 0, sum: '0'.repeat(64) } }), {
    code: 'status-went-back',
    message: /ask its operator/,
  }));

test('the coordinator names another sum for a round that was closed here', () =>
  lying(inSecondRound, (status) => ({ ...status, lastClosed: { round: 1, sum: 'cd'.repeat(32) } }), {
    code: 'last-sum-differs',
    message: /another sum for round 1/,
  }));

test('the coordinator says that the study is complete when it is not', () =>
  lying(inSecondRound, (status) => ({ ...status, outcome: 'complete' }), {
    code: 'ended-too-early',
    message: /only 1 of its 2 rounds closed here/,
  }));

test('the coordinator claims a closed round that it does not show', () =>
  lying(
    ({ central }) => central.study().round?.round === 1 && central.study().round?.readies.size === 1,
    (status) => ({ ...status, lastClosed: { round: 7, sum: 'cd'.repeat(32) }, closed: 1 }),
    { code: 'closed-not-shown', message: /shows nothing after round 0/ },
  ));

test('the coordinator says that an institution may not take part: it waits and says why', async () => {
  let told = 0;
  const { victim } = await runStudy([], async ({ central, victim: one, status }) => {
    if (told > 0 || central.study().round?.round !== 1) return;
    told += 1;
    const before = one.effects.length;
    await one.advance({ ...status, round: { ...status.round!, eligible: false } });
    assert.equal(one.effects.length, before);
  });
  const [waiting] = victim.events.filter((event) => event.kind === 'waiting');
  assert.equal(waiting?.code, 'not-eligible');
  assert.match(waiting.sentence, /leaves this institution out of round 1/);
  assert.ok(victim.entries.some(({ entry }) => entry.kind === 'round-closed'));
});
