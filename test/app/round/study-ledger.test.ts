// The guard in front of a study's rounds: every reason why the next one may not begin, each by itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { appendEntry, emptyHead } from '../../../app/ledger/chain.ts';
import { hostActor } from '../../../app/ledger/entry.ts';
import type { EntryBody, EntryKind } from '../../../app/ledger/entry.ts';
import { setCeiling } from '../../../app/privacy/ceiling.ts';
import { scheduleEvent, worstCaseEvent, worstEverEvent } from '../../../app/round/charge.ts';
import { studyLedger } from '../../../app/round/study-ledger.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { adaptiveNoise, adaptiveStudy } from './adaptive-study.ts';
import { sampleStudy } from './sample-study.ts';

const { parameters, contract } = sampleStudy({ institutions: 4 });
const event = worstCaseEvent(contract);
const study = toHex(parameters.study);

function guard(
  now: number = Date.parse(contract.created),
  own = { parameters, contract },
  roomier = 1,
  entries: readonly EntryWithHash[] = [],
  cipher = nodeCipher,
) {
  const { parameters, contract } = own;
  const study = toHex(parameters.study);
  let head = emptyHead;
  const { delta, epsilon } = contract.privacy;
  const limits = { unit: contract.training.unit, epsilon: roomier * epsilon!, delta, datasets: ['records'] };
  const planned = scheduleEvent(contract);
  return studyLedger({
    cipher,
    clock: { now: () => now },
    parameters,
    dataset: 'records',
    consentEnds: Number.MAX_SAFE_INTEGER,
    ceilings: [
      setCeiling({ kind: 'consent', id: study, studies: [study], ...limits }, planned),
      setCeiling({ kind: 'dataset', id: 'records', studies: null, ...limits }, planned),
    ],
    entries,
    writer: {
      append<Kind extends EntryKind>(kind: Kind, body: EntryBody<Kind>) {
        const appended = appendEntry(nodeCipher, head, now, hostActor, kind, body);
        head = appended.head;
        return Promise.resolve({ entry: appended.entry, hash: head.last });
      },
    },
    headSecret: new Uint8Array(32),
  });
}

const codeOf = (ledger: ReturnType<typeof guard>): string | null => ledger.whyNot(event)?.code ?? null;

test('the study terms have expired', () => {
  assert.equal(codeOf(guard()), null);
  assert.equal(codeOf(guard(Date.parse(contract.expires))), 'contract-expired');
});

test('all attempts are used, and a charge beyond them is refused before it is written', async () => {
  const ledger = guard();
  for (let round = 1; round <= contract.schedule.attempts; round++) {
    assert.equal(codeOf(ledger), null);
    await ledger.reserve(round, event, '00'.repeat(32));
  }
  assert.equal(codeOf(ledger), 'attempts-spent');
  await assert.rejects(ledger.reserve(99, event, '00'.repeat(32)), { code: 'attempts-spent' });
});

test('too many charged rounds came to nothing', async () => {
  const ledger = guard();
  for (const round of [1, 2, 3]) {
    assert.equal(codeOf(ledger), null);
    await ledger.note('round-aborted', { study, round, stage: 'masked', charged: true, reason: 'no-sum' });
  }
  assert.equal(codeOf(ledger), 'too-many-aborted');
});

test('where noise adapts the terms’ own ε ends the study, however much consent and dataset would allow', async () => {
  const adaptive = adaptiveStudy({ noise: adaptiveNoise });
  const { contract: terms } = adaptive;
  const ledger = guard(Date.parse(terms.created), adaptive, 1000);
  const quietest = worstEverEvent(terms);
  let rounds = 0;
  for (; ledger.whyNot(quietest) === null; rounds++) await ledger.reserve(rounds + 1, quietest, '00'.repeat(32));
  assert.equal(ledger.whyNot(quietest)?.code, 'budget-exceeded');
  assert.ok(rounds > 0 && rounds < terms.schedule.rounds);
  const filter = ledger.readings().find(({ ceiling }) => ceiling.id.endsWith('/terms'))!;
  assert.ok(filter.used <= terms.privacy.epsilon!);
});

test('the consent was withdrawn or has ended', () => {
  for (const why of ['withdrawn', 'expired'] as const) {
    const ledger = guard();
    ledger.endConsent(why);
    assert.equal(codeOf(ledger), `consent-${why}`);
  }
});

test('opening a long log computes the head of the newest announcement alone', () => {
  const made: EntryWithHash[] = [];
  let head = emptyHead;
  for (let round = 1; round <= 200; round++) {
    const body = { study, round, stage: 'ready', counter: round };
    const appended = appendEntry(nodeCipher, head, 1, hostActor, 'round-stage-reached', body);
    head = appended.head;
    made.push({ entry: appended.entry, hash: head.last });
  }
  const macsFor = (entries: readonly EntryWithHash[]): { macs: number; witness: unknown } => {
    let macs = 0;
    const counting = {
      ...nodeCipher,
      hmacSha256: (key: Uint8Array, bytes: Uint8Array) => (macs++, nodeCipher.hmacSha256(key, bytes)),
    };
    const ledger = guard(undefined, undefined, 1, entries, counting);
    return { macs, witness: ledger.witness() };
  };
  const [one, all] = [macsFor(made.slice(-1)), macsFor(made)];
  assert.ok(one.macs > 0);
  assert.equal(all.macs, one.macs);
  assert.deepEqual(all.witness, one.witness);
});
