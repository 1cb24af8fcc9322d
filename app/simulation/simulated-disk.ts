// A disk as disks are: what was appended and not synced may be there after a crash, or not, or in part with its end torn
// off or full of zeros. Above it a store and a ledger that keep what their ports promise, the way the real ones do.

import { concat, fromHex, fromUtf8, readU32, toHex, u32 } from '../encoding/bytes.ts';
import { canonicalBytes } from '../encoding/canonical-json.ts';
import { equalBytes } from '../encoding/bytes.ts';
import { InvariantError } from '../errors.ts';
import { appendEntry, startVerification } from '../ledger/chain.ts';
import { hostActor } from '../ledger/entry.ts';
import type { EntryBody, EntryKind } from '../ledger/entry.ts';
import type { Cipher } from '../ports.ts';
import type { EntryWithHash } from '../round/study-ledger.ts';
import type { Draws } from './draws.ts';

export type SimulatedFile = {
  /** What a reader of the running machine sees: durable or not. */
  bytes(): Uint8Array;
  /** What is certain to be there after a crash. */
  durable(): Uint8Array;
  append(bytes: Uint8Array): void;
  sync(): void;
  /** Cuts the file to its first `length` bytes, durably. */
  cut(length: number): void;
  crash(): void;
};

/** `forgetful`: a disk that says "synced" and is not. No promise holds on it; tests show that the checks notice. */
export function simulatedFile(draws: Draws, forgetful = false): SimulatedFile {
  let durable = new Uint8Array(0);
  let pending = new Uint8Array(0);
  return {
    bytes: () => concat(durable, pending),
    durable: () => durable,
    append(bytes) {
      pending = new Uint8Array(concat(pending, bytes));
    },
    sync() {
      if (forgetful) return;
      durable = new Uint8Array(concat(durable, pending));
      pending = new Uint8Array(0);
    },
    cut(length) {
      durable = new Uint8Array(concat(durable, pending).subarray(0, length));
      pending = new Uint8Array(0);
    },
    crash() {
      const kept = pending.slice(0, draws.whole(0, pending.length));
      // A file system may have made the file longer and not yet written the end of it.
      if (kept.length > 0 && draws.chance(0.3)) kept.fill(0, draws.whole(0, kept.length - 1));
      durable = new Uint8Array(concat(durable, kept));
      pending = new Uint8Array(0);
    },
  };
}

type Records = Map<string, Uint8Array>;
export type Changes = readonly { readonly key: string; readonly value: Uint8Array | null }[];

/** Records of a journal: u32 length ‖ SHA-256 ‖ changes. A record whose hash fails was never finished. */
export function encodeChanges(cipher: Cipher, changes: Changes): Uint8Array {
  const body = canonicalBytes(changes.map(({ key, value }) => ({ key, value: value && toHex(value) })));
  return concat(u32(body.length), cipher.sha256(body), body);
}

/** What the journal says after a start; what a crash tore off its end is cut away. */
export function recoverStore(cipher: Cipher, file: SimulatedFile): Records {
  const bytes = file.bytes();
  const records: Records = new Map();
  let at = 0;
  while (at + 36 <= bytes.length) {
    const end = at + 36 + readU32(bytes, at);
    const body = bytes.subarray(at + 36, end);
    if (end > bytes.length || !equalBytes(cipher.sha256(body), bytes.subarray(at + 4, at + 36))) break;
    applyChanges(records, JSON.parse(fromUtf8(body)) as { key: string; value: string | null }[]);
    at = end;
  }
  file.cut(at);
  return records;
}

function applyChanges(records: Records, changes: readonly { key: string; value: string | null }[]): void {
  for (const { key, value } of changes)
    if (value === null) records.delete(key);
    else records.set(key, fromHex(value));
}

export function setRecords(records: Records, changes: Changes): void {
  for (const { key, value } of changes)
    if (value === null) records.delete(key);
    else records.set(key, value.slice());
}

const newline = 0x0a;

/** Whole lines of a ledger file: what follows the last newline, or a last line with zeros in it, was never finished. */
export function wholeLines(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let from = 0;
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, from)) {
    lines.push(bytes.subarray(from, at));
    from = at + 1;
  }
  return lines;
}

export type SimulatedLedger = {
  readonly entries: EntryWithHash[];
  /** Puts the line into the file; the caller syncs it before it goes on. */
  append<Kind extends EntryKind>(kind: Kind, body: EntryBody<Kind>, now: number): EntryWithHash;
};

/** Opens the ledger as after a start. @throws InvariantError `ledger-broken` if what is whole does not verify. */
export function recoverLedger(cipher: Cipher, file: SimulatedFile): SimulatedLedger {
  const lines = wholeLines(file.bytes());
  if (lines.at(-1)?.includes(0) === true) lines.pop();
  file.cut(lines.reduce((total, line) => total + line.length + 1, 0));
  const verifier = startVerification(cipher, []);
  const entries = lines.map((line): EntryWithHash => {
    const entry = verifier.push(line);
    if (entry === null) throw new InvariantError('ledger-broken', 'A recovered ledger does not verify.');
    return { entry, hash: toHex(cipher.sha256(line)) };
  });
  const verification = verifier.finish();
  if (!verification.ok) throw new InvariantError('ledger-broken', 'A recovered ledger does not verify.');
  let { head } = verification;
  return {
    entries,
    append(kind, body, now) {
      const appended = appendEntry(cipher, head, now, hostActor, kind, body);
      head = appended.head;
      file.append(concat(appended.line, Uint8Array.of(newline)));
      const entry = { entry: appended.entry, hash: head.last };
      entries.push(entry);
      return entry;
    },
  };
}
