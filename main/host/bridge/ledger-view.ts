// The privacy log as windows read it: entries on disk, read on from where the last reading ended, without a lock and
// without verifying. Whoever wants proof asks for `audit.verify`, which reads everything anew. Design 1, "Audit".

import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { toHex } from '../../../app/encoding/bytes.ts';
import { decodeEntry } from '../../../app/ledger/entry.ts';
import type { EntryKind } from '../../../app/ledger/entry.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import { ledgerFileName } from '../ledger/ledger-file.ts';
import { nodeCipher } from '../machine.ts';
import { ledgerFolder } from '../participant/home.ts';

export type LedgerView = {
  entries(): readonly EntryWithHash[];
  /** The same, of one kind: a call that needs a few kinds walks no long log. */
  ofKind(kind: EntryKind): readonly EntryWithHash[];
  /** Number of the first entry that cannot be read, where there is one: nothing after it is shown. */
  unreadable(): number | null;
  /** Reads what was added; resolves with whether anything was. @throws UnavailableError. */
  refresh(): Promise<boolean>;
};

/** Lines decoded before other work of the host gets its turn. */
export const linesAtOnce = 25;
const pieceBytes = 2 ** 18;
const none: readonly EntryWithHash[] = [];

/** @param turn gives other work its turn; tests count in it. */
export function ledgerView(home: string, turn: () => Promise<unknown> = () => nextTurn()): LedgerView {
  const path = join(ledgerFolder(home), ledgerFileName);
  let entries: EntryWithHash[] = [];
  let byKind = new Map<EntryKind, EntryWithHash[]>();
  /** Bytes of whole lines that were read. */
  let position = 0;
  let unreadable: number | null = null;
  let reading: Promise<unknown> = Promise.resolve();

  async function readOn(): Promise<boolean> {
    try {
      const handle = await open(path, 'r');
      try {
        const { size } = await handle.stat();
        // A log that became shorter is read from its beginning.
        if (size < position) [entries, byKind, position, unreadable] = [[], new Map(), 0, null];
        return size > position && unreadable === null && (await readLines(handle, size));
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false;
      throw diskError(error, `The ledger ${path}`);
    }
  }

  async function readLines(handle: FileHandle, size: number): Promise<boolean> {
    const began = entries.length;
    let rest: Uint8Array = new Uint8Array(0);
    let sinceTurn = 0;
    while (position + rest.length < size) {
      const piece = Buffer.alloc(Math.min(pieceBytes, size - position - rest.length));
      const { bytesRead } = await handle.read(piece, 0, piece.length, position + rest.length);
      if (bytesRead === 0) break;
      const bytes = Buffer.concat([rest, piece.subarray(0, bytesRead)]);
      let from = 0;
      for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, from)) {
        if (!take(new Uint8Array(bytes.subarray(from, end)))) return true;
        from = end + 1;
        if (++sinceTurn % linesAtOnce === 0) await turn();
      }
      rest = bytes.subarray(from);
    }
    return entries.length > began;
  }

  function take(line: Uint8Array): boolean {
    try {
      const one = { entry: decodeEntry(line), hash: toHex(nodeCipher.sha256(line)) };
      entries.push(one);
      const alike = byKind.get(one.entry.kind);
      if (alike === undefined) byKind.set(one.entry.kind, [one]);
      else alike.push(one);
      position += line.length + 1;
      return true;
    } catch {
      unreadable = entries.length + 1;
      return false;
    }
  }

  return {
    entries: () => entries,
    ofKind: (kind) => byKind.get(kind) ?? none,
    unreadable: () => unreadable,
    refresh() {
      const next = reading.then(readOn, readOn);
      reading = next;
      return next;
    },
  };
}
