// The privacy log as windows read it: entries on disk, read on from where the last reading ended, without a lock and
// without verifying. Whoever wants proof asks for `audit.verify`, which reads everything anew. Design 1, "Audit".

import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { toHex } from '../../app/encoding/bytes.ts';
import { decodeEntry } from '../../app/ledger/entry.ts';
import type { EntryWithHash } from '../../app/round/study-ledger.ts';
import { diskError, systemCode } from './disk-error.ts';
import { ledgerFileName } from './ledger-file.ts';
import { nodeCipher } from './machine.ts';
import { ledgerFolder } from './participant-home.ts';

export type LedgerView = {
  entries(): readonly EntryWithHash[];
  /** Number of the first entry that cannot be read, where there is one: nothing after it is shown. */
  unreadable(): number | null;
  /** Reads what was added; resolves with whether anything was. @throws UnavailableError. */
  refresh(): Promise<boolean>;
};

/** Lines decoded before other work of the host gets its turn. */
const linesAtOnce = 50;

export function ledgerView(home: string): LedgerView {
  const path = join(ledgerFolder(home), ledgerFileName);
  let entries: EntryWithHash[] = [];
  let position = 0;
  let unreadable: number | null = null;
  let reading: Promise<unknown> = Promise.resolve();

  async function readOn(): Promise<boolean> {
    const bytes = await bytesFrom();
    if (bytes === null || unreadable !== null) return false;
    let from = 0;
    let lines = 0;
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, from)) {
      const line = new Uint8Array(bytes.subarray(from, end));
      try {
        entries.push({ entry: decodeEntry(line), hash: toHex(nodeCipher.sha256(line)) });
      } catch {
        unreadable = entries.length + 1;
        return true;
      }
      from = end + 1;
      position += line.length + 1;
      if (++lines % linesAtOnce === 0) await nextTurn();
    }
    return lines > 0;
  }

  /** Bytes after `position`; null where there are none. A log that became shorter is read from its beginning. */
  async function bytesFrom(): Promise<Buffer | null> {
    try {
      const handle = await open(path, 'r');
      try {
        const { size } = await handle.stat();
        if (size < position) [entries, position, unreadable] = [[], 0, null];
        if (size === position) return null;
        const bytes = Buffer.alloc(size - position);
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, position);
        return bytes.subarray(0, bytesRead);
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return null;
      throw diskError(error, `The ledger ${path}`);
    }
  }

  return {
    entries: () => entries,
    unreadable: () => unreadable,
    refresh() {
      const next = reading.then(readOn, readOn);
      reading = next;
      return next;
    },
  };
}
