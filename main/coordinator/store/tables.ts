// The tables of a study, the same on both databases, and how an older version's become this one's: each step in one
// transaction with the number that says it was taken, so that a kill leaves the old or the new. Test: an untouched
// folder of version 1 in test/main/coordinator/fixtures.

import type { Generated, Kysely } from 'kysely';
import { RefusalError } from '../../../app/errors.ts';

export type Tables = {
  meta: { name: string; value: string };
  events: { seq: Generated<number>; body: string; attachment: Uint8Array | null };
  /** Chunks that lie durably as blobs. `leaf` is the vector's Merkle leaf: the root is checked without reading back. */
  chunks: { round: number; sender: number; chunk: number; sha256: string; leaf: string };
  /** Chunks of opened sums that lie durably as blobs. */
  opened: { round: number; chunk: number };
  /** PostgreSQL: one row, locked by whoever appends; the number of the newest event. */
  turn: { id: number; last: number };
  /** PostgreSQL: nonces of requests that any replica took, with the time (ms) until which they matter. */
  nonces: { nonce: string; until: number };
};

export type Dialect = 'sqlite' | 'postgres';

export const schemaVersion = 2;

type Database = Kysely<Tables>;

/** Steps by the version they start from; a new database takes all of them. */
const steps: readonly ((database: Database, dialect: Dialect) => Promise<void>)[] = [createFirst, addOpenedChunks];

/**
 * Creates what is missing and brings what is older up to date. Runs inside the caller's transaction.
 * @returns the version found; null for a new database.
 * @throws RefusalError `store-version`, `store-other-study`.
 */
export async function prepareTables(database: Database, dialect: Dialect, study: string): Promise<number | null> {
  await database.schema
    .createTable('meta')
    .ifNotExists()
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute();
  const meta = new Map((await database.selectFrom('meta').selectAll().execute()).map((row) => [row.name, row.value]));
  const written = meta.get('schema');
  const version = written === undefined ? 0 : Number(written);
  if (!Number.isSafeInteger(version) || version < 0 || version > schemaVersion)
    throw new RefusalError(
      'store-version',
      `The coordinator’s store was written by a newer version of the program (store ${written}, this program reads up to ${schemaVersion}). Use that version, or a new folder.`,
    );
  if (version > 0 && meta.get('study') !== study)
    throw new RefusalError(
      'store-other-study',
      'The coordinator’s store belongs to another study. Name a folder of its own for each study.',
    );
  for (const step of steps.slice(version)) await step(database, dialect);
  if (version === 0)
    await database
      .insertInto('meta')
      .values([
        { name: 'schema', value: String(schemaVersion) },
        { name: 'study', value: study },
      ])
      .execute();
  else if (version < schemaVersion)
    await database
      .updateTable('meta')
      .set({ value: String(schemaVersion) })
      .where('name', '=', 'schema')
      .execute();
  return version === 0 ? null : version;
}

/** Version 1, as it was written first. `ifNotExists`: a folder half prepared then had no version. */
async function createFirst({ schema }: Database, dialect: Dialect): Promise<void> {
  await schema
    .createTable('events')
    .ifNotExists()
    .addColumn('seq', 'integer', (column) =>
      dialect === 'sqlite' ? column.primaryKey().autoIncrement() : column.primaryKey(),
    )
    .addColumn('body', 'text', (column) => column.notNull())
    .addColumn('attachment', dialect === 'sqlite' ? 'blob' : 'bytea')
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
}

/** Version 2: sums are opened chunk by chunk, and replicas share a database. */
async function addOpenedChunks(database: Database, dialect: Dialect): Promise<void> {
  const { schema } = database;
  await schema
    .createTable('opened')
    .addColumn('round', 'integer', (column) => column.notNull())
    .addColumn('chunk', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('opened_key', ['round', 'chunk'])
    .execute();
  if (dialect === 'sqlite') return;
  await schema
    .createTable('turn')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('last', 'integer', (column) => column.notNull())
    .execute();
  await database.insertInto('turn').values({ id: 1, last: 0 }).execute();
  await schema
    .createTable('nonces')
    .addColumn('nonce', 'text', (column) => column.primaryKey())
    .addColumn('until', 'double precision', (column) => column.notNull())
    .execute();
}
