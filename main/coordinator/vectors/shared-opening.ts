// Opening shared by replicas: each chunk is a job of a pg-boss queue in the study's database, so that all replicas work
// on one sum and the jobs of a replica that was killed go to another. A job is idempotent: whoever does it twice stores
// the same bytes.

import { setTimeout as delay } from 'node:timers/promises';
import { PgBoss } from 'pg-boss';
import type { CoordinatorRound } from '../../../app/round/coordinator-state.ts';
import type { StudyParameters } from '../../../app/round/parameters.ts';
import { postgresGuard as guard } from '../store/postgres-errors.ts';
import type { CoordinatorStore } from '../store.ts';
import type { AddingPool } from './adding-pool.ts';
import { DamagedChunkError } from './partial-sum.ts';
import { chunksToOpen, openChunk } from './sum-opening.ts';
import type { SumOpener } from './sum-opening.ts';

type Job = { readonly round: number; readonly chunk: number };

const queue = 'open-chunk';
/** A job whose replica says nothing for this long goes to another (pg-boss allows no less). */
const heartbeatSeconds = 10;
const pollSeconds = 0.5;
const askAgainMs = 150;

/** @param roundNow the round of that number as this replica knows it after catching up, if it is still being opened */
export async function sharedOpener(around: {
  readonly parameters: StudyParameters;
  readonly store: CoordinatorStore;
  readonly pool: AddingPool;
  readonly roundNow: (round: number) => Promise<CoordinatorRound | null>;
  readonly log: (code: string) => void;
}): Promise<SumOpener> {
  const { parameters, store, pool, roundNow } = around;
  const { database, namespace } = store.shared!;
  /** Rounds in which this replica met a damaged chunk. */
  const damaged = new Map<number, DamagedChunkError>();
  const stopping = new AbortController();
  const boss = new PgBoss({
    connectionString: database,
    schema: `${namespace}_jobs`,
    application_name: 'consilience-coordinator-jobs',
    max: 4,
    schedule: false,
    superviseIntervalSeconds: 2,
    monitorIntervalSeconds: 2,
  });
  boss.on('error', () => around.log('jobs-failed'));
  await guard(async () => {
    await boss.start();
    await boss.createQueue(queue, {
      policy: 'exclusive',
      retryLimit: 1000,
      retryDelay: 1,
      expireInSeconds: 3600,
      heartbeatSeconds,
      deleteAfterSeconds: 3600,
    });
    await boss.work<Job>(queue, { pollingIntervalSeconds: pollSeconds, batchSize: 1 }, async ([job]) => {
      const { round: number, chunk } = job!.data;
      const round = await roundNow(number);
      if (round === null || (await store.openedChunks(number)).includes(chunk)) return;
      try {
        await openChunk(parameters, store, pool, round, chunk);
      } catch (error) {
        if (!(error instanceof DamagedChunkError)) throw error;
        damaged.set(number, error);
      }
    });
  });
  return {
    async open(round) {
      const number = round.round;
      // Whoever notices first puts the jobs in; the same again changes nothing while one is waiting or worked on.
      for (const chunk of await chunksToOpen(parameters, store, round))
        await guard(() => boss.send(queue, { round: number, chunk }, { singletonKey: `${number}/${chunk}` }));
      for (;;) {
        const found = damaged.get(number);
        if (found !== undefined) throw found;
        if ((await chunksToOpen(parameters, store, round)).length === 0 || (await roundNow(number)) === null) return;
        await delay(askAgainMs, undefined, { signal: stopping.signal });
      }
    },
    async close() {
      stopping.abort();
      await boss.stop({ graceful: true, timeout: 5000 }).catch(() => undefined);
      await pool.close();
    },
  };
}
