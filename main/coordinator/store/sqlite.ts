// The store in one SQLite file (WAL, synchronous = FULL) that one process owns: there is nobody else to wait for.

import { join } from 'node:path';
import { Kysely } from 'kysely';
import { RefusalError, UnavailableError } from '../../../app/errors.ts';
import { syncFolder } from '../../host/disk/atomic-file.ts';
import { diskError } from '../../host/disk/disk-error.ts';
import { openExclusiveDatabase } from '../../host/disk/exclusive-database.ts';
import { isSqliteBusy } from '../../host/disk/process-lock.ts';
import type { EventStore, StoredRow } from '../store.ts';
import { chunkQueries, eventsAfter } from './queries.ts';
import type { Guard } from './queries.ts';
import { nodeSqliteDialect } from './sqlite-dialect.ts';
import { encodeEvent } from './stored-event.ts';
import { prepareTables } from './tables.ts';
import type { Tables } from './tables.ts';

export const sqliteName = 'coordinator.sqlite';
const sqliteFull = 13;

/** @throws RefusalError `in-use`, `store-version`, `store-other-study`; UnavailableError `disk-full`, `disk-failed`. */
export async function openSqlite(folder: string, study: string): Promise<EventStore> {
  const path = join(folder, sqliteName);
  const guard = guardFor(path);
  const connection = await guard(async () => openExclusiveDatabase(path));
  const database = new Kysely<Tables>({ dialect: nodeSqliteDialect(connection) });
  try {
    await guard(() => syncFolder(folder));
    await guard(() => database.transaction().execute((step) => prepareTables(step, 'sqlite', study)));
  } catch (error) {
    await database.destroy();
    if (connection.isOpen) connection.close();
    throw error;
  }
  return {
    ...chunkQueries(database, guard),
    inTurn: (work) =>
      work({
        newer: nothing,
        // One statement, which is its own transaction.
        async append(event, document) {
          const row = encodeEvent(event, document);
          const inserted = await guard(() =>
            database.insertInto('events').values(row).returning('seq').executeTakeFirstOrThrow(),
          );
          return inserted.seq;
        },
      }),
    events: (seq) => eventsAfter(database, guard, seq),
    isBehind: async () => false,
    onNews: () => undefined,
    alone: true,
    withSender: (_round, _sender, work) => work(),
    firstUse: async () => true,
    check: () => guard(async () => void (await database.selectFrom('meta').select('name').execute())),
    close: () => database.destroy(),
  };
}

async function* nothing(): AsyncGenerator<StoredRow> {
  // There is no other replica.
}

function guardFor(path: string): Guard {
  return async (work) => {
    try {
      return await work();
    } catch (error) {
      if (isSqliteBusy(error))
        throw new RefusalError(
          'in-use',
          `The coordinator’s store ${path} is in use by another running program. Close that one first.`,
          { cause: error },
        );
      if (error instanceof Error && 'errcode' in error && typeof error.errcode === 'number')
        throw new UnavailableError(
          error.errcode === sqliteFull ? 'disk-full' : 'disk-failed',
          `The coordinator’s store ${path} could not be read or written${error.errcode === sqliteFull ? ': the disk is full' : ''}.`,
          { cause: error },
        );
      throw diskError(error, `The coordinator’s store ${path}`);
    }
  };
}
