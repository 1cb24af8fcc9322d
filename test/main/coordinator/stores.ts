// On which database the suites of this folder run. A file that says `useDatabases(server)` before it imports them runs
// the same tests on PostgreSQL, each federation in a database of its own; else they run on SQLite.

import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import { namespaceOf } from '../../../main/coordinator/store/postgres.ts';
import type { PostgresServer } from './postgres-server.ts';

type Place = { readonly folder: string; readonly study: string; readonly database?: string };

let server: PostgresServer | null = null;
let databases = 0;

export function useDatabases(running: PostgresServer): void {
  server = running;
}

/** The address of an empty database; null where SQLite is used. */
export async function freshDatabase(): Promise<string | null> {
  return server === null ? null : server.create(`fresh_${++databases}`);
}

/** A copy of a database that nobody has open, as the option of openCoordinatorStore. */
export async function copiedDatabase(from: string | null): Promise<{ readonly database?: string }> {
  if (from === null) return {};
  return { database: await server!.create(`copy_${++databases}`, new URL(from).pathname.slice(1)) };
}

/** Changes a store behind its back, while nobody has it open. @returns the number of rows changed. */
export async function alterStore(place: Place, statement: string): Promise<number> {
  if (place.database === undefined) {
    const database = new DatabaseSync(path.join(place.folder, 'coordinator.sqlite'));
    const { changes } = database.prepare(statement).run();
    database.close();
    return Number(changes);
  }
  const client = new Client({
    connectionString: place.database,
    options: `-c search_path=${namespaceOf(place.study)}`,
  });
  await client.connect();
  const { rowCount } = await client.query(statement);
  await client.query('UPDATE turn SET last = (SELECT coalesce(max(seq), 0) FROM events)');
  await client.end();
  return rowCount ?? 0;
}
