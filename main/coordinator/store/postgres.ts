// The store in PostgreSQL, shared by replicas: whoever appends holds the lock of one row, so that events have one order;
// NOTIFY wakes the others. A study has a schema (namespace) of its own. Advisory locks end with the session that holds
// them, so a replica that is killed leaves none. Design 6, "State".

import { createHash } from 'node:crypto';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { Pool } from 'pg';
import type { EventStore, Turn } from '../store.ts';
import { requestWindowMs } from '../../../app/round/request.ts';
import { postgresGuard as guard } from './postgres-errors.ts';
import { openPresence } from './postgres-presence.ts';
import { chunkQueries, eventsAfter } from './queries.ts';
import { encodeEvent } from './stored-event.ts';
import { prepareTables } from './tables.ts';
import type { Tables } from './tables.ts';

const mostConnections = 10;
/** Connections that only hold locks: apart, so that a lock's holder never waits for a connection behind its waiters. */
const mostLocks = 6;
const connectMs = 10_000;
/** How often old nonces are cleared away. */
const sweepMs = 60_000;

/** The PostgreSQL schema of a study: a database may hold many. */
export const namespaceOf = (study: string): string => `consilience_${study.slice(0, 24)}`;

/** @throws RefusalError `store-version`, `store-other-study`; UnavailableError `database-unreachable`. */
export async function openPostgres(url: string, study: string): Promise<EventStore> {
  const namespace = namespaceOf(study);
  const connection = {
    connectionString: url,
    connectionTimeoutMillis: connectMs,
    options: `-c search_path=${namespace}`,
    application_name: 'consilience-coordinator',
  };
  const pools = [
    new Pool({ ...connection, max: mostConnections }),
    new Pool({ ...connection, max: mostLocks }),
  ] as const;
  // A connection that breaks is replaced when the next one is asked for. One that is in use says so by itself, beside the
  // query that fails: without a listener that would end the whole process.
  for (const pool of pools)
    pool.on('error', () => undefined).on('connect', (client) => void client.on('error', () => undefined));
  const [pool, locks] = pools;
  const database = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  const lockKey = (name: string): string => lockNumber(`${namespace}/${name}`);
  const channel = namespace;
  try {
    await guard(() =>
      database.transaction().execute(async (step) => {
        // Replicas may start together; the first one prepares.
        await sql`SELECT pg_advisory_xact_lock(${lockKey('tables')}::bigint)`.execute(step);
        await sql`CREATE SCHEMA IF NOT EXISTS ${sql.id(namespace)}`.execute(step);
        await prepareTables(step, 'postgres', study);
      }),
    );
    const presence = await guard(() => openPresence(connection, channel, lockKey('presence')));
    let sweptAt = 0;

    const turnOf = (step: Kysely<Tables>, last: number): Turn => ({
      newer: async function* (seq) {
        if (seq < last) yield* eventsAfter(step, guard, seq);
      },
      append: (event, document) =>
        guard(async () => {
          const seq = last + 1;
          await step
            .insertInto('events')
            .values({ seq, ...encodeEvent(event, document) })
            .execute();
          await step.updateTable('turn').set({ last: seq }).execute();
          await sql`SELECT pg_notify(${channel}, ${presence.name})`.execute(step);
          return seq;
        }),
    });

    return {
      ...chunkQueries(database, guard),
      async inTurn(work) {
        let own: unknown = null;
        try {
          return await database.transaction().execute(async (step) => {
            const { last } = await guard(() =>
              step.selectFrom('turn').select('last').forUpdate().executeTakeFirstOrThrow(),
            );
            try {
              return await work(turnOf(step, last));
            } catch (error) {
              own = error;
              throw error;
            }
          });
        } catch (error) {
          if (error === own) throw error;
          return guard(() => Promise.reject(error as Error));
        }
      },
      events: (seq) => eventsAfter(database, guard, seq),
      isBehind: (seq) =>
        guard(async () => {
          const { last } = await database.selectFrom('turn').select('last').executeTakeFirstOrThrow();
          return last > seq;
        }),
      onNews: (listener) => presence.onNews(listener),
      alone: presence.alone,
      async withSender(round, sender, work) {
        const key = lockKey(`sender/${round}/${sender}`);
        const client = await guard(() => locks.connect());
        let whole = false;
        try {
          await guard(() => client.query('SELECT pg_advisory_lock($1::bigint)', [key]));
          const result = await work();
          await guard(() => client.query('SELECT pg_advisory_unlock($1::bigint)', [key]));
          whole = true;
          return result;
        } catch (error) {
          whole = await client.query('SELECT pg_advisory_unlock($1::bigint)', [key]).then(
            () => true,
            () => false,
          );
          throw error;
        } finally {
          // A session that may still hold the lock is not used again.
          client.release(!whole);
        }
      },
      firstUse: (nonce, now) =>
        guard(async () => {
          if (now - sweptAt > sweepMs) {
            sweptAt = now;
            await database.deleteFrom('nonces').where('until', '<', now).execute();
          }
          const { numInsertedOrUpdatedRows } = await database
            .insertInto('nonces')
            .values({ nonce, until: now + 2 * requestWindowMs })
            .onConflict((conflict) => conflict.doNothing())
            .executeTakeFirst();
          return numInsertedOrUpdatedRows === 1n;
        }),
      check: () => guard(async () => void (await database.selectFrom('turn').select('last').execute())),
      async close() {
        await presence.close();
        await database.destroy();
        await locks.end();
      },
    };
  } catch (error) {
    await database.destroy();
    await locks.end();
    throw error;
  }
}

/** A lock's number, from its name: 63 bits. */
function lockNumber(name: string): string {
  return String(createHash('sha256').update(name).digest().readBigUInt64BE() >> 1n);
}
