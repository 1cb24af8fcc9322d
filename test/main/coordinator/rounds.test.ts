// Whole rounds over real sockets: sums, a dropout, restarts at every stage, long polls, catching up.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { UnavailableError } from '../../../app/errors.ts';
import { acceptMissedRound } from '../../../app/round/catch-up.ts';
import { broadcastBytes } from '../../../app/round/coordinator-lists.ts';
import { roundOf } from '../../../app/round/coordinator-study.ts';
import { encodeMessage } from '../../../app/round/messages.ts';
import { openSignedContract } from '../../../app/study/signed-contract.ts';
import { openEngine } from '../../../main/coordinator/engine.ts';
import type { Engine, SumApplier } from '../../../main/coordinator/engine.ts';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import { fetchSignedContract } from '../../../main/host/connection/coordinator-client.ts';
import {
  agree,
  consentAll,
  everyone,
  expire,
  firstModel,
  forgetNewest,
  hashApplier,
  liveFederation,
  placeOf,
  plainSum,
  ready,
  seal,
  share,
  stages,
  unmask,
  verify,
  wholeRound,
} from './federation.ts';
import type { LiveFederation } from './federation.ts';
import { alterStore, copiedDatabase } from './stores.ts';

async function federationFor(t: TestContext, options: Parameters<typeof liveFederation>[0]): Promise<LiveFederation> {
  const fed = await liveFederation(options);
  t.after(() => fed.close());
  return fed;
}

test('two rounds of four: the sum is the plain sum, each participant re-adds it, the study ends', async (t) => {
  const fed = await federationFor(t, {
    institutions: 4,
    change: (contract) => ({ ...contract, schedule: { ...contract.schedule, rounds: 2 } }),
  });
  const [first] = fed.parties;
  const d = fed.study.parameters.dimension;
  assert.equal((await first!.client.status(null, 0)).round, null);
  await consentAll(fed);
  for (const round of [1, 2]) {
    assert.equal(fed.engine.study().round?.round, round);
    await wholeRound(fed);
    assert.deepEqual(await verify(fed, first!), plainSum([0, 1, 2, 3], d));
  }
  const status = await first!.client.status(null, 0);
  assert.equal(status.outcome, 'complete');
  assert.equal(status.closed, 2);
  assert.deepEqual(status.witness, { counter: 2, head: '01'.repeat(32) });
  assert.ok(fed.log.some((line) => line.event === 'study-ended'));
});

test('one drops out after R1 (t = 3, n = 4): the sum is that of the three, and it may come back and catch up', async (t) => {
  const fed = await federationFor(t, { institutions: 4 });
  const d = fed.study.parameters.dimension;
  await consentAll(fed);
  await everyone(fed, ready);
  await everyone(fed, share);
  await everyone(fed, seal, [2]);
  assert.equal(fed.engine.study().round?.stage, 'masked');
  await expire(fed);
  await everyone(fed, agree, [2]);
  await everyone(fed, unmask, [2]);
  await fed.engine.settled();
  await everyone(fed, async (_, party) => void (await verify(fed, party)), [2]);
  assert.deepEqual(await verify(fed, fed.parties[0]!), plainSum([0, 1, 3], d));
  await assert.rejects(fed.parties[2]!.client.maskedChunk(1, 0, 0), { code: 'signer-outside-u3' });

  await everyone(fed, ready, [2]);
  const [record, ...more] = await fed.parties[2]!.client.closedAfter(0);
  assert.deepEqual(more, []);
  assert.equal(record!.evidence.length, 3);
  const chunks = [await fed.parties[2]!.client.sumChunk(1, 0)];
  const closed = acceptMissedRound(fed.machine.cipher, fed.study.parameters, record!, false, chunks);
  assert.equal(closed.sum, fed.engine.study().closed[0]!.sum);
  assert.deepEqual(chunks[0], plainSum([0, 1, 3], d));
});

test('closed and opened again at every stage: the same broadcasts byte for byte, and the round goes on', async (t) => {
  const fed = await federationFor(t, { institutions: 4 });
  await consentAll(fed);
  const broadcasts = async () => {
    const out: (string | null)[] = [];
    for (const stage of [0, 1, 2, 3, 4] as const) {
      const bytes = await fed.parties[0]!.client.broadcast(1, stage);
      out.push(bytes && toHex(bytes));
    }
    if (out[1] !== null) out.push(toHex(await fed.parties[3]!.client.boxes(1)));
    return out;
  };
  for (const stage of stages) {
    // In the middle of the stage and at its end.
    await stage(fed, fed.parties[0]!);
    await fed.reopen();
    await everyone(fed, stage, [0]);
    await fed.engine.settled();
    const before = await broadcasts();
    const cursor = fed.engine.cursor();
    const { model } = fed.engine.study();
    await fed.reopen();
    assert.deepEqual(await broadcasts(), before);
    assert.equal(fed.engine.study().model, model);
    assert.ok(fed.engine.cursor() >= cursor);
  }
  assert.equal(fed.engine.study().closed.length, 1);
  await everyone(fed, async (_, party) => void (await verify(fed, party)));
  await wholeRound(fed);
  assert.equal(fed.engine.study().closed.length, 2);
});

test('killed between the last share and the sum: the sum is opened on return', async (t) => {
  const fed = await federationFor(t, { institutions: 3 });
  await consentAll(fed);
  for (const stage of stages) await everyone(fed, stage);
  await fed.engine.settled();
  const { model } = fed.engine.study();
  await fed.reopen(() => forgetNewest(fed, 'summed'));
  await fed.engine.settled();
  assert.equal(fed.engine.study().model, model);
  assert.deepEqual(await verify(fed, fed.parties[1]!), plainSum([0, 1, 2], fed.study.parameters.dimension));
});

test('killed between the last chunk and its note: the contribution counts on return', async (t) => {
  const fed = await federationFor(t, { institutions: 4 });
  await consentAll(fed);
  for (const stage of [ready, share]) await everyone(fed, stage);
  await everyone(fed, seal, [3]);
  await fed.reopen(() => forgetNewest(fed, 'uploaded'));
  assert.equal((await fed.parties[0]!.client.status(null, 0)).round?.uploaded, 3);
});

test('killed after any event whatever: what comes back says what was said before, byte for byte', async (t) => {
  const fed = await federationFor(t, { institutions: 3 });
  await consentAll(fed);
  await wholeRound(fed);
  const said = [0, 1, 2, 3, 4].map((stage) => toHexOf(fed.engine, stage));
  assert.ok(said.every((bytes) => bytes !== null));
  let newest = 0;
  for await (const { seq } of fed.engine.options.store.events(0)) newest = seq;
  await fed.server.close();
  await fed.engine.close();
  let opened = 0;
  for (let kept = newest; kept >= 0; kept--) {
    const folder = await mkdtemp(path.join(tmpdir(), 'consilience-killed-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await cp(fed.folder, folder, { recursive: true });
    const copy = { ...placeOf(fed), folder, ...(await copiedDatabase(fed.database)) };
    await alterStore(copy, `DELETE FROM events WHERE seq > ${kept}`);
    const store = await openCoordinatorStore(copy);
    const engine = await openEngine({ ...fed.engine.options, store, applier: hashApplier() });
    await engine.settled();
    for (const stage of [0, 1, 2, 3, 4]) {
      const bytes = toHexOf(engine, stage);
      assert.ok(bytes === null || bytes === said[stage], `stage ${stage} after ${kept} events`);
    }
    opened += engine.study().closed.length;
    await engine.close();
  }
  // With the last share stored the sum is opened again, and after that it is there.
  assert.ok(opened >= 2);
});

function toHexOf(engine: Engine, stage: number): string | null {
  const round = roundOf(engine.study(), 1);
  if (round === null) return null;
  if (stage === 4) return round.result && toHex(encodeMessage(round.result));
  const bytes = broadcastBytes(round, stage as 0 | 1 | 2 | 3);
  return bytes && toHex(bytes);
}

test('a whole round over TLS, under the certificate authority that the study terms name', async (t) => {
  if (spawnSync('openssl', ['version']).status !== 0) return t.skip('openssl is not installed');
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-tls-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const words = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -batch';
  const files = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', 'key.pem', '-out', 'cert.pem'];
  assert.equal(spawnSync('openssl', [...words.split(' '), ...files], { cwd: folder }).status, 0);
  const certificate = await readFile(path.join(folder, 'cert.pem'));
  const fed = await federationFor(t, {
    institutions: 3,
    tls: { certificate, key: await readFile(path.join(folder, 'key.pem')) },
    change: (contract) => ({
      ...contract,
      coordinator: { ...contract.coordinator, certificateAuthority: certificate.toString('utf8') },
    }),
  });
  assert.match(fed.server.address, /^https:/);
  await consentAll(fed);
  await wholeRound(fed);
  assert.equal(fed.engine.study().closed.length, 1);
});

test('sums are applied again in order on return; another model than then is refused', async (t) => {
  const fed = await federationFor(t, { institutions: 3 });
  await consentAll(fed);
  await wholeRound(fed);
  await wholeRound(fed);
  const { model } = fed.engine.study();
  await fed.reopen();
  assert.equal(fed.engine.study().model, model);
  const { engine } = fed;
  await fed.server.close();
  await engine.close();
  const store = await openCoordinatorStore(placeOf(fed));
  const other: SumApplier = { model: firstModel, apply: () => ({ next: other, spoiled: false }) };
  await assert.rejects(openEngine({ ...engine.options, store, applier: other }), { code: 'model-differs' });
  await store.files.writeSum(2, 0, new Uint8Array(4 * fed.study.parameters.dimension));
  await assert.rejects(openEngine({ ...engine.options, store, applier: hashApplier() }), { code: 'sum-damaged' });
  await store.close();
});

test('a restart gives the open stage its whole time again', async (t) => {
  const fed = await federationFor(t, { institutions: 4 });
  await consentAll(fed);
  await ready(fed, fed.parties[0]!);
  fed.clock.now += 3_600_000;
  await fed.reopen();
  assert.equal(fed.engine.study().round?.stage, 'ready');
  await everyone(fed, ready, [0]);
  assert.equal(fed.engine.study().round?.stage, 'shares');
});

test('a deadline passes with too few: the round is aborted with its reason and the next one opens', async (t) => {
  const fed = await federationFor(t, { institutions: 4 });
  await consentAll(fed);
  await ready(fed, fed.parties[0]!);
  await expire(fed);
  const { aborted, round } = await fed.parties[1]!.client.status(null, 0);
  assert.deepEqual(aborted, { round: 1, reason: 'cohort-below-floor' });
  assert.equal(round, null);
  assert.ok((await fed.parties[1]!.client.abortNotice(1)) !== null);
  await expire(fed);
  assert.equal(fed.engine.study().round?.round, 2);
});

test('deadlines are kept without anybody asking', async (t) => {
  const fed = await federationFor(t, {
    institutions: 3,
    change: (contract) => ({
      ...contract,
      schedule: { ...contract.schedule, stageSeconds: { ...contract.schedule.stageSeconds, ready: 1 } },
    }),
  });
  await consentAll(fed);
  await ready(fed, fed.parties[0]!);
  fed.clock.now += 1001;
  const { cursor } = await fed.parties[0]!.client.status(null, 0);
  const status = await fed.parties[0]!.client.status(cursor, 20_000);
  assert.equal(status.aborted?.reason, 'cohort-below-floor');
});

test('what the disk does not take is not accepted, and can be sent again', async (t) => {
  const fed = await federationFor(t, { institutions: 3 });
  await consentAll(fed);
  const { store } = fed.engine.options;
  const { inTurn } = store;
  store.inTurn = () => Promise.reject(new UnavailableError('disk-full', 'The disk is full.'));
  await assert.rejects(ready(fed, fed.parties[0]!), { name: 'UnavailableError', code: 'coordinator-disk-full' });
  assert.equal(fed.engine.study().round?.readies.size, 0);
  store.inTurn = inTurn;
  await fed.parties[0]!.client.send(fed.parties[0]!.state!.ready);
  assert.equal(fed.engine.study().round?.readies.size, 1);
});

test('a stored contribution that is damaged costs the round, not the study', async (t) => {
  const fed = await federationFor(t, { institutions: 4 });
  await consentAll(fed);
  for (const stage of stages.slice(0, 4)) await everyone(fed, stage);
  await fed.engine.options.store.files.writeMasked(1, 2, 0, new Uint8Array(fed.parties[2]!.chunks[0]!.length));
  for (const party of fed.parties.slice(0, 3)) await unmask(fed, party);
  await fed.engine.settled();
  assert.equal((await fed.parties[0]!.client.status(null, 0)).aborted?.reason, 'chunk-damaged');
  await fed.reopen();
  assert.equal((await fed.parties[0]!.client.status(null, 0)).aborted?.reason, 'chunk-damaged');
});

test('masked contributions are cleared away three rounds later, sums stay', async (t) => {
  const fed = await federationFor(t, { institutions: 3 });
  await consentAll(fed);
  for (let round = 1; round <= 4; round++) await wholeRound(fed);
  assert.deepEqual((await readdir(path.join(fed.folder, 'masked'))).sort(), ['2', '3', '4']);
  assert.equal((await fed.parties[0]!.client.sumChunk(1, 0)).length, fed.study.parameters.dimension);
  assert.equal(await fed.parties[0]!.client.broadcast(1, 0), null);
});

test('a waiting status call wakes when the study moves on, and not for every Ready', async (t) => {
  const fed = await federationFor(t, { institutions: 4 });
  await consentAll(fed);
  const { client } = fed.parties[3]!;
  const { cursor } = await client.status(null, 0);
  let woke = false;
  const waiting = client.status(cursor, 20_000).then((status) => {
    woke = true;
    return status;
  });
  await everyone(fed, ready, [3]);
  assert.equal(woke, false);
  await ready(fed, fed.parties[3]!);
  const status = await waiting;
  assert.equal(status.round?.stage, 'shares');
  assert.equal(status.round.readies, 4);
  assert.notEqual(status.cursor, cursor);
  const stop = new AbortController();
  const stopped = client.status(status.cursor, 20_000, stop.signal);
  stop.abort();
  await assert.rejects(stopped, { code: 'interrupted' });
});

test('contract and health are served to everybody, consents to the roster', async (t) => {
  const fed = await federationFor(t, { institutions: 3 });
  const text = await fetchSignedContract(fed.machine, fed.server.address, null);
  assert.deepEqual(openSignedContract(fed.machine.cipher, text).contract, fed.study.contract);
  const health = (await (await fetch(`${fed.server.address}/v1/health`)).json()) as { status: string };
  assert.equal(health.status, 'ok');
  await consentAll(fed);
  assert.equal((await fed.parties[0]!.client.consents()).length, 3);
  await fed.reopen();
  assert.equal((await fed.parties[0]!.client.consents()).length, 3);
});
