// The coordinator's durable store: SQLite (WAL, synchronous = FULL) behind Kysely, so that PostgreSQL can follow, and
// files for vectors. Events are the only truth; the one INSERT that appends an event is the transaction that accepts it,
// before the reply. Nothing here is secret: every byte is signed, sealed or public. Design 6, "State".

import { join } from 'node:path';
import { Kysely } from 'kysely';
import type { Generated } from 'kysely';
import { RefusalError, UnavailableError } from '../../app/errors.ts';
import { syncFolder } from '../host/atomic-file.ts';
import { diskError } from '../host/disk-error.ts';
import { openExclusiveDatabase } from '../host/exclusive-database.ts';
import { isSqliteBusy } from '../host/process-lock.ts';
import { openChunkFiles } from './chunk-files.ts';
import type { ChunkFiles } from './chunk-files.ts';
import { nodeSqliteDialect } from './sqlite-dialect.ts';
import { decodeEvent, encodeEvent } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

type Tables = {
  meta: { name: string; value: string };
  events: { seq: Generated<number>; body: string; attachment: Uint8Array | null };
  /** Chunks that lie durably in `files`. `leaf` is the vector's Merkle leaf: the root is checked without reading back. */
  chunks: { round: number; sender: number; chunk: number; sha256: string; leaf: string };
};

export type ChunkRow = { readonly chunk: number; readonly sha256: string; readonly leaf: string };

export type CoordinatorStore = {
  readonly files: ChunkFiles;
  /** Durable when it resolves. @returns the event's number, from 1 without gaps. */
  append: (event: StoredEvent, document: Uint8Array | null) => Promise<number>;
  /** All events in order. @throws InvariantError `event-damaged`. */
  events(): AsyncIterable<{ readonly seq: number; readonly event: StoredEvent; readonly document: Uint8Array | null }>;
  recordChunk(round: number, sender: number, row: ChunkRow): Promise<void>;
  /** Ascending by chunk. */
  chunksOf(round: number, sender: number): Promise<readonly ChunkRow[]>;
  dropChunks(round: number, sender: number): Promise<void>;
  /** Forgets masked contributions of every round but these, rows and files. */
  keepChunks(rounds: ReadonlySet<number>): Promise<void>;
  close(): Promise<void>;
};

const schemaVersion = '1';
const eventsAtOnce = 500;
const sqliteFull = 13;

/**
 * Opens or creates the store in the folder. One process at a time.
 * @param study SHA-256 of the contract, hex
 * @throws RefusalError `in-use`, `store-version`, `store-other-study`; UnavailableError `disk-full`, `disk-failed`.
 */
export async function openCoordinatorStore(options: {
  readonly folder: string;
  readonly study: string;
}): Promise<CoordinatorStore> {
  const { folder } = options;
  const path = join(folder, 'coordinator.sqlite');
  const connection = await guarded(path, async () => openExclusiveDatabase(path));
  const database = new Kysely<Tables>({ dialect: nodeSqliteDialect(connection) });
  try {
    await guarded(path, () => syncFolder(folder));
    await guarded(path, () => prepareTables(database, options.study));
    return storeOf(path, database, await openChunkFiles(folder));
  } catch (error) {
    await database.destroy();
    if (connection.isOpen) connection.close();
    throw error;
  }
}

async function prepareTables(database: Kysely<Tables>, study: string): Promise<void> {
  const { schema } = database;
  await schema
    .createTable('meta')
    .ifNotExists()
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute();
  const meta = new Map((await database.selectFrom('meta').selectAll().execute()).map((row) => [row.name, row.value]));
  const version = meta.get('schema');
  if (version !== undefined && version !== schemaVersion)
    throw new RefusalError(
      'store-version',
      `The coordinator’s folder was written by another version of the program (store ${version}, this program reads ${schemaVersion}). Use that version, or a new folder.`,
    );
  if (version !== undefined && meta.get('study') !== study)
    throw new RefusalError(
      'store-other-study',
      'The coordinator’s folder belongs to another study. Name a folder of its own for each study.',
    );
  await schema
    .createTable('events')
    .ifNotExists()
    .addColumn('seq', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('body', 'text', (column) => column.notNull())
    .addColumn('attachment', 'blob')
    .execute();
  await schema
    .createTable('chunks')
    .ifNotExists()
    .addColumn('round', 'integer', (column) => column.notNull())
    .addColumn('sender', 'integer', (column) => column.notNull())
    .addColumn('chunk', 'integer', (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull())
    .addColumn('leaf', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('chunks_key', ['round', 'sender', 'chunk'])
    .execute();
  // Last, and in one statement: a folder half prepared has no version and is prepared again.
  if (version === undefined)
    await database
      .insertInto('meta')
      .values([
        { name: 'schema', value: schemaVersion },
        { name: 'study', value: study },
      ])
      .execute();
}

function storeOf(path: string, database: Kysely<Tables>, files: ChunkFiles): CoordinatorStore {
  const own = (round: number, sender: number) =>
    database.selectFrom('chunks').where('round', '=', round).where('sender', '=', sender);
  return {
    files,
    async append(event, document) {
      const row = encodeEvent(event, document);
      const inserted = await guarded(path, () =>
        database.insertInto('events').values(row).returning('seq').executeTakeFirstOrThrow(),
      );
      return inserted.seq;
    },
    async *events() {
      for (let after = 0; ;) {
        const page = await guarded(path, () =>
          database
            .selectFrom('events')
            .selectAll()
            .where('seq', '>', after)
            .orderBy('seq')
            .limit(eventsAtOnce)
            .execute(),
        );
        for (const row of page) {
          const event = decodeEvent(row.seq, row);
          yield { seq: row.seq, event, document: event.kind === 'message' ? null : row.attachment };
          after = row.seq;
        }
        if (page.length < eventsAtOnce) return;
      }
    },
    async recordChunk(round, sender, row) {
      await guarded(path, () =>
        database
          .insertInto('chunks')
          .values({ round, sender, ...row })
          .onConflict((conflict) => conflict.doNothing())
          .execute(),
      );
    },
    chunksOf: (round, sender) =>
      guarded(path, () => own(round, sender).select(['chunk', 'sha256', 'leaf']).orderBy('chunk').execute()),
    async dropChunks(round, sender) {
      await guarded(path, () =>
        database.deleteFrom('chunks').where('round', '=', round).where('sender', '=', sender).execute(),
      );
      await files.removeMasked(round, sender);
    },
    async keepChunks(rounds) {
      const kept = [...rounds];
      await guarded(path, () =>
        kept.length === 0
          ? database.deleteFrom('chunks').execute()
          : database.deleteFrom('chunks').where('round', 'not in', kept).execute(),
      );
      await files.keepMasked(rounds);
    },
    close: () => database.destroy(),
  };
}

async function guarded<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
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
}
