// Three replicas on one PostgreSQL and one object storage, behind a plain balancer, killed with SIGKILL at every stage and
// in the middle of opening a sum: nothing that was acknowledged is lost, every sum is the sum.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import { chunkWords } from '../../../app/sealed-sum/masks.ts';
import { nodeMachine } from '../../../main/host/machine.ts';
import { consentAll, everyone, hashApplier, partiesOf, plainSum, stages, vectorFor, verify } from './federation.ts';
import type { Driven, Party } from './federation.ts';
import { postgresMissing, startPostgres } from './postgres-server.ts';
import type { PostgresServer } from './postgres-server.ts';
import { startRecorder } from './recorder.ts';
import { replicaStudy, startReplicas } from './replicas.ts';
import { startObjectStorage } from './s3-server.ts';

const missing = postgresMissing();
const server: PostgresServer | null = missing === null ? await startPostgres() : null;
after(() => server?.stop());
const skip = missing ?? false;

const patience = { attempts: 10, firstMs: 50, longestMs: 1000 };
const waitMs = 300_000;

async function replicated(t: TestContext, institutions: number, dimension: number, slowMs: number) {
  const storage = await startObjectStorage();
  t.after(() => storage.close());
  const database = await server!.create(`replicas_${dimension}`);
  const replicas = await startReplicas(3, { database, blobs: storage.place, institutions, dimension, slowMs });
  t.after(() => replicas.close());
  const study = replicaStudy(institutions, dimension);
  const parties = partiesOf(study, nodeMachine, replicas.address, patience);
  t.after(() => parties.forEach(({ client }) => client.close()));
  let round = 0;
  let applier = hashApplier();
  const fed: Driven = { study, machine: nodeMachine, parties, roundNumber: () => round, model: () => applier.model };
  /** What the coordinator's model is after a round in which everybody was. */
  const closedWith = (sum: Uint32Array): void => {
    const everybody = parties.map(({ participant }) => participant.index);
    applier = applier.apply(round, everybody, sum).next;
  };
  const open = async (): Promise<void> => {
    const status = await parties[0]!.client.status(null, 0);
    round = status.round!.number;
  };
  return { fed, replicas, open, closedWith };
}

/** Waits, through the balancer, until that many rounds are closed. */
async function closed(party: Party, count: number): Promise<void> {
  for (const until = Date.now() + waitMs; ;) {
    const status = await party.client.status(null, 0);
    assert.equal(status.aborted, null);
    if (status.closed >= count) return;
    assert.ok(Date.now() < until, 'the sum was not opened in time');
    await delay(50);
  }
}

test('three replicas behind a plain balancer', { skip }, async (t) => {
  const { fed, replicas, open, closedWith } = await replicated(t, 4, 37, 0);
  const [first] = fed.parties;
  const everySum = [0, 1, 2, 3];
  await consentAll(fed);

  await t.test(
    'one is killed in the middle of every stage: what was answered is kept, the sum is the sum',
    async () => {
      await open();
      for (const [at, stage] of stages.entries()) {
        await stage(fed, first!);
        const killed = at % 3;
        await replicas.kill(killed);
        await everyone(fed, stage, [0]);
        await replicas.start(killed);
      }
      await closed(first!, 1);
      closedWith(plainSum(everySum, 37));
      await everyone(fed, async (_, party) => assert.deepEqual(await verify(fed, party), plainSum(everySum, 37)));
    },
  );

  await t.test(
    'the database ends every session in the middle of a round: the replicas come back by themselves',
    async () => {
      await open();
      for (const stage of stages) {
        await server!.dropSessions();
        await everyone(fed, stage);
      }
      await closed(first!, 2);
      assert.deepEqual(await verify(fed, fed.parties[2]!), plainSum(everySum, 37));
    },
  );

  await t.test('a request that one of them took is refused by the others', async () => {
    const heads: Headers[] = [];
    const recorder = await startRecorder(replicas.address, (headers) => heads.push(headers));
    const [recorded] = partiesOf(fed.study, nodeMachine, recorder.address, patience);
    try {
      await recorded!.client.status(null, 0);
      for (let turn = 0; turn < 3; turn++) {
        const headers = { ...Object.fromEntries(heads[0]!), connection: 'close' };
        const reply = await fetch(`${replicas.address}/v1/status`, { headers });
        assert.equal(((await reply.json()) as { code: string }).code, 'request-replayed');
      }
    } finally {
      recorded!.client.close();
      await recorder.close();
    }
  });
});

test('the chunks of a sum are shared out; those of a replica that is killed go to another', { skip }, async (t) => {
  const dimension = 3 * chunkWords + 5;
  const { fed, replicas, open } = await replicated(t, 3, dimension, 400);
  const adding = new Map<number, Set<number>>();
  const killed: Promise<void>[] = [];
  let killedAt = -1;
  replicas.onAdding((at, chunk) => {
    adding.set(chunk, (adding.get(chunk) ?? new Set()).add(at));
    if (killed.length > 0) return;
    killedAt = at;
    killed.push(replicas.kill(at));
  });
  await consentAll(fed);
  await open();
  for (const stage of stages) await everyone(fed, stage);
  await closed(fed.parties[0]!, 1);
  await Promise.all(killed);
  const workers = new Set([...adding.values()].flatMap((one) => [...one]));
  assert.ok(workers.size >= 2, 'more than one replica worked on the sum');
  assert.ok(
    [...adding.values()].some((one) => one.has(killedAt) && one.size > 1),
    'the killed one’s chunk was done again',
  );
  const sum = new Uint32Array(dimension);
  for (const party of fed.parties)
    vectorFor(party.participant.index, dimension).forEach((word, at) => (sum[at] = sum[at]! + word));
  assert.deepEqual(await verify(fed, fed.parties[1]!), sum);
});
