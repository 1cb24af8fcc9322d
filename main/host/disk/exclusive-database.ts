// One SQLite file that one process owns: what the coordinator's store and the sealed store of an institution stand on.

import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/**
 * Opens or creates `path` and its folder, readable by this account alone; durable on commit (WAL, synchronous = FULL).
 * @param prepare SQL of the first transaction, after further pragmas.
 * @throws what SQLite or the system says, for the caller to name the file.
 */
export function openExclusiveDatabase(
  path: string,
  { pragmas = '', prepare = '' }: { readonly pragmas?: string; readonly prepare?: string } = {},
): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  closeSync(openSync(path, 'a', 0o600));
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // Exclusive before WAL: then no second process, and no shared-memory file.
    database.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      ${pragmas}
      BEGIN IMMEDIATE;
      ${prepare}
      COMMIT;
    `);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
