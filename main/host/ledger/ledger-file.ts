// The ledger on disk: ledger.jsonl (append-only), checkpoint, one process at a time. Whatever waits for an entry waits
// until its line is written and synced. The whole chain is verified on opening. Design 4, "The ledger".
// Appends that arrive together share one write and one sync, in the order in which they came.

import { createHash } from 'node:crypto';
import { mkdir, open, readFile, readdir } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../../app/encoding/bytes.ts';
import { InvariantError, RefusalError, UnavailableError } from '../../../app/errors.ts';
import { appendEntry, startVerification } from '../../../app/ledger/chain.ts';
import type { Appended } from '../../../app/ledger/chain.ts';
import { writeCheckpoint } from '../../../app/ledger/checkpoint.ts';
import type { LedgerHead } from '../../../app/ledger/checkpoint.ts';
import { decodeEntry, encodeEntry, hostActor, ledgerTime } from '../../../app/ledger/entry.ts';
import type { Actor, Entry, EntryBody, EntryKind } from '../../../app/ledger/entry.ts';
import type { Cipher, Clock, Signer } from '../../../app/ports.ts';
import { syncFolder, writeFileAtomically } from '../disk/atomic-file.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import { linesOf } from '../disk/line-reader.ts';
import { lockForThisProcess } from '../disk/process-lock.ts';

export const ledgerFileName = 'ledger.jsonl';
export const checkpointFileName = 'checkpoint';
const tornPrefix = 'ledger.torn-';

export type AppendedEntry = { readonly entry: Entry; /** SHA-256 of its line, hex. */ readonly hash: string };

export type Ledger = {
  /**
   * Resolves when the entry is on disk.
   * @throws TypeError when the body does not follow the kind's schema; UnavailableError `disk-full`, `disk-failed` or
   * `ledger-closed`: then nothing was appended.
   */
  append<Kind extends EntryKind>(kind: Kind, body: EntryBody<Kind>, actor?: Actor): Promise<AppendedEntry>;
  /** Signs the present head, replaces the checkpoint file, returns its text. */
  checkpoint(): Promise<string>;
  /** What is on disk: number of entries and hash of the last. */
  head(): LedgerHead;
  /** The entries on disk when the walk begins, from number `from`. */
  entries(from?: number): AsyncGenerator<AppendedEntry>;
  /** Waits for appends under way, writes a checkpoint if one is due, frees the lock. */
  close(): Promise<void>;
};

/** What tests replace to make a disk fail. Both act on the open ledger file. */
export type LedgerDisk = {
  write(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number>;
  sync(handle: FileHandle): Promise<void>;
};

const realDisk: LedgerDisk = {
  write: async (handle, bytes, position) => (await handle.write(bytes, 0, bytes.length, position)).bytesWritten,
  sync: (handle) => handle.datasync(),
};

export type LedgerOptions = {
  readonly folder: string;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly cipher: Cipher;
  readonly disk?: LedgerDisk;
};

type Waiting = {
  readonly make: (head: LedgerHead) => Appended;
  readonly resolve: (appended: AppendedEntry) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * Opens or creates the ledger of a participant's folder.
 * @throws RefusalError `in-use`, `ledger-broken` (with the first bad entry) or `ledger-lost`; UnavailableError.
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { folder, signer, clock, cipher, disk = realDisk } = options;
  const path = join(folder, ledgerFileName);
  const checkpointPath = join(folder, checkpointFileName);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const lock = lockForThisProcess(join(folder, 'ledger.lock'), `The ledger in ${folder}`);
  let handle: FileHandle | null = null;
  try {
    handle = await openOrCreate(folder, path, checkpointPath);
    return await start(handle);
  } catch (error) {
    await handle?.close();
    lock.release();
    throw diskError(error, `The ledger ${path}`);
  }

  async function start(file: FileHandle): Promise<Ledger> {
    let head: LedgerHead;
    let length: number;
    let checkpointedSize = -1;
    let failed = false;
    let closed = false;
    let waiting: Waiting[] = [];
    let running: Promise<void> = Promise.resolve();

    const stored = await readFile(checkpointPath, 'utf8').catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return null;
      throw error;
    });
    const verifier = startVerification(cipher, stored === null ? [] : [stored], signer.publicKey);
    const named = new Set<unknown>();
    let tail: Uint8Array | null = null;
    length = 0;
    for await (const line of linesOf(file)) {
      // A line that was never synced may also end in blocks of zeros; only the last line is ever cut away.
      if (!line.complete || (line.last && line.bytes.includes(0))) {
        tail = line.bytes;
        break;
      }
      const entry = verifier.push(line.bytes);
      if (entry?.kind === 'recovery') named.add(entry.body['file']);
      length += line.bytes.length + 1;
    }
    const verification = verifier.finish();
    if (!verification.ok)
      throw new RefusalError(
        'ledger-broken',
        `The ledger in ${folder} does not verify, so nothing is done with it. ${verification.findings[0]!.sentence}`,
      );
    if (stored === null && verification.head.size > 0)
      throw new RefusalError(
        'ledger-broken',
        `The checkpoint of the ledger in ${folder} is gone, so a shortened ledger could not be told from a whole one. Put the file "checkpoint" back from a backup.`,
      );
    head = verification.head;
    checkpointedSize = verification.vouchedSize ?? -1;
    if (tail !== null) await cutTail(tail);
    await recordRecoveries();
    if (checkpointedSize < 0) await makeCheckpoint();

    /** The side file is durable before the tail is cut; whichever recovery has no entry yet gets one at the next start. */
    async function cutTail(bytes: Uint8Array): Promise<void> {
      const digest = createHash('sha256').update(bytes).digest('hex');
      await writeFileAtomically(join(folder, `${tornPrefix}${head.size + 1}-${digest}`), bytes);
      await file.truncate(length);
      await file.sync();
    }

    async function recordRecoveries(): Promise<void> {
      for (const name of (await readdir(folder)).sort()) {
        const parts = /^ledger\.torn-(\d+)-([0-9a-f]{64})$/.exec(name);
        if (parts === null || named.has(name)) continue;
        const { size } = await fileSize(join(folder, name));
        const body = { reason: 'torn-last-line', file: name, bytes: size, sha256: parts[2]!, at: Number(parts[1]) };
        await enqueue((at) => appendEntry(cipher, at, clock.now(), hostActor, 'recovery', body));
      }
    }

    function enqueue(make: Waiting['make']): Promise<AppendedEntry> {
      return new Promise((resolve, reject) => {
        waiting.push({ make, resolve, reject });
        if (waiting.length === 1) void serially(flush);
      });
    }

    function serially<Result>(work: () => Promise<Result>): Promise<Result> {
      const done = running.then(work);
      running = done.then(
        () => {},
        () => {},
      );
      return done;
    }

    async function flush(): Promise<void> {
      const batch = waiting;
      waiting = [];
      try {
        refuseIfFailed();
        const appended: Appended[] = [];
        let next = head;
        for (const { make } of batch) {
          const one = make(next);
          appended.push(one);
          next = one.head;
        }
        const newline = Uint8Array.of(0x0a);
        const bytes = Buffer.concat(appended.flatMap(({ line }) => [line, newline]));
        await writeAll(bytes);
        head = next;
        length += bytes.length;
        for (const [index, one] of appended.entries()) batch[index]!.resolve({ entry: one.entry, hash: one.head.last });
      } catch (error) {
        const told = diskError(error, `The ledger ${path}`);
        for (const { reject } of batch) reject(told);
      }
    }

    async function writeAll(bytes: Uint8Array): Promise<void> {
      try {
        let at = 0;
        while (at < bytes.length) {
          const written = await disk.write(file, bytes.subarray(at), length + at);
          if (written <= 0)
            throw new InvariantError('ledger-write-stalled', 'The disk took no bytes and gave no reason.');
          at += written;
        }
      } catch (error) {
        await undo();
        throw error;
      }
      try {
        await disk.sync(file);
      } catch (error) {
        // After a failed sync nobody knows what the disk holds; only reading it again tells.
        failed = true;
        throw error;
      }
    }

    async function undo(): Promise<void> {
      try {
        await file.truncate(length);
        await file.sync();
      } catch {
        failed = true;
      }
    }

    function refuseIfFailed(): void {
      if (failed)
        throw new UnavailableError(
          'ledger-failed',
          'The disk failed while the ledger was written, so it must be opened anew. Start the program again.',
        );
    }

    async function makeCheckpoint(): Promise<string> {
      refuseIfFailed();
      const text = writeCheckpoint(cipher, signer, head, clock.now());
      await writeFileAtomically(checkpointPath, text);
      checkpointedSize = head.size;
      return text;
    }

    const refuseIfClosed = (): void => {
      if (closed) throw new UnavailableError('ledger-closed', 'The ledger is closed; nothing was written to it.');
    };

    return {
      async append(kind, body, actor = hostActor) {
        refuseIfClosed();
        // Wrong bodies are refused here, alone, and never fail a batch; what was said is copied before it can change.
        const draft = { seq: 1, time: ledgerTime(clock.now()), actor, kind, body, previous: head.last } as Entry;
        const own = decodeEntry(encodeEntry(draft));
        return enqueue((at) =>
          appendEntry(cipher, at, clock.now(), own.actor, kind, own.body as EntryBody<typeof kind>),
        );
      },
      async checkpoint() {
        refuseIfClosed();
        return serially(makeCheckpoint);
      },
      head: () => head,
      entries: (from = 1) => walk(path, length, from, cipher),
      async close() {
        if (closed) return;
        closed = true;
        try {
          await serially(async () => {
            if (!failed && checkpointedSize < head.size) await makeCheckpoint();
          });
        } finally {
          await file.close();
          lock.release();
        }
      },
    };
  }
}

async function openOrCreate(folder: string, path: string, checkpointPath: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
  const checkpoint = await readFile(checkpointPath, 'utf8').catch(() => null);
  if (checkpoint !== null)
    throw new RefusalError(
      'ledger-lost',
      `The ledger in ${folder} is gone, but its checkpoint is still there. Put ledger.jsonl back from a backup; what was spent is not forgotten.`,
    );
  const handle = await open(path, 'wx+', 0o600);
  await handle.sync();
  await syncFolder(folder);
  return handle;
}

async function fileSize(path: string): Promise<{ size: number }> {
  const handle = await open(path, 'r');
  try {
    return { size: (await handle.stat()).size };
  } finally {
    await handle.close();
  }
}

async function* walk(path: string, length: number, from: number, cipher: Cipher): AsyncGenerator<AppendedEntry> {
  const handle = await open(path, 'r');
  try {
    for await (const line of linesOf(handle, length)) {
      const entry = decodeEntry(line.bytes);
      if (entry.seq >= from) yield { entry, hash: toHex(cipher.sha256(line.bytes)) };
    }
  } finally {
    await handle.close();
  }
}
