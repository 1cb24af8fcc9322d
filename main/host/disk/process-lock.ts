// One process at a time: an exclusive SQLite transaction on a lock file. The operating system frees it when the process
// dies, however it dies, so there is no stale lock and no process number that another process may have got since.

import { DatabaseSync } from 'node:sqlite';
import { RefusalError } from '../../../app/errors.ts';
import { diskError } from './disk-error.ts';

export type ProcessLock = { release(): void };

export function isSqliteBusy(error: unknown): boolean {
  return (
    error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' && (error.errcode & 0xff) === 5
  );
}

/**
 * @param path the lock file; it stays, empty
 * @param what what is locked, as the subject of a sentence
 * @throws RefusalError `in-use` when another process (or this one) holds it
 */
export function lockForThisProcess(path: string, what: string): ProcessLock {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (isSqliteBusy(error))
      throw new RefusalError('in-use', `${what} is in use by another running program. Close that one first.`, {
        cause: error,
      });
    throw diskError(error, `The lock file ${path}`);
  }
  const held = database;
  return {
    release() {
      if (held.isOpen) held.close();
    },
  };
}
