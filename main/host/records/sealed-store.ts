// The port Store on disk: one SQLite file, every value encrypted by the keystore and bound to its key. One `write` is one
// transaction, durable when it resolves (WAL, synchronous = FULL). Key names are not secret and hold no content. An old
// file put back whole is not noticed here: the ledger's head in every Ready tells (app/ledger/head.ts).

import { join } from 'node:path';
import { RefusalError, UnavailableError } from '../../../app/errors.ts';
import type { Store } from '../../../app/ports.ts';
import { syncFolder } from '../disk/atomic-file.ts';
import { diskError } from '../disk/disk-error.ts';
import { openExclusiveDatabase } from '../disk/exclusive-database.ts';
import type { Keystore } from '../keys/keystore.ts';
import { isSqliteBusy } from '../disk/process-lock.ts';

export type SealedStore = Store & {
  /** Keys that begin with `prefix`, in order. */
  keys(prefix: string): Promise<readonly string[]>;
  close(): void;
};

const sqliteFull = 13;

/**
 * Opens or creates `state.sqlite` in the folder. One process at a time.
 * @throws RefusalError `in-use`, or on reading `state-altered`; UnavailableError `disk-full` or `disk-failed`.
 */
export async function openSealedStore(options: {
  readonly folder: string;
  readonly keystore: Pick<Keystore, 'seal' | 'open'>;
}): Promise<SealedStore> {
  const { folder, keystore } = options;
  const path = join(folder, 'state.sqlite');
  const database = guarded(path, () =>
    openExclusiveDatabase(path, {
      pragmas: 'PRAGMA secure_delete = ON;',
      prepare: 'CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;',
    }),
  );
  await syncFolder(folder);
  const select = database.prepare('SELECT value FROM records WHERE key = ?');
  const upsert = database.prepare(
    'INSERT INTO records (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  const remove = database.prepare('DELETE FROM records WHERE key = ?');
  const list = database.prepare('SELECT key FROM records WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key');
  const purposeOf = (key: string): string => `record/${key}`;

  return {
    read: async (key) =>
      guarded(path, () => {
        const value = select.get(key)?.['value'];
        return value instanceof Uint8Array ? keystore.open(value, purposeOf(key)) : null;
      }),
    async write(changes) {
      const sealed = changes.map(({ key, value }) => ({
        key,
        value: value === null ? null : keystore.seal(value, purposeOf(key)),
      }));
      guarded(path, () => {
        database.exec('BEGIN IMMEDIATE');
        try {
          for (const { key, value } of sealed) {
            if (value === null) remove.run(key);
            else upsert.run(key, value);
          }
          database.exec('COMMIT');
        } catch (error) {
          if (database.isTransaction) database.exec('ROLLBACK');
          throw error;
        }
      });
    },
    keys: async (prefix) => guarded(path, () => list.all(prefix).map((row) => String(row['key']))),
    close() {
      if (database.isOpen) database.close();
    },
  };
}

function guarded<Result>(path: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (isSqliteBusy(error))
      throw new RefusalError(
        'in-use',
        `The state ${path} is in use by another running program. Close that one first.`,
        {
          cause: error,
        },
      );
    if (error instanceof Error && 'errcode' in error && typeof error.errcode === 'number')
      throw error.errcode === sqliteFull
        ? new UnavailableError('disk-full', `The state ${path} could not be written: the disk is full.`, {
            cause: error,
          })
        : new UnavailableError('disk-failed', `The state ${path} could not be read or written.`, { cause: error });
    throw diskError(error, `The state ${path}`);
  }
}
