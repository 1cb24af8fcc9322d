// A study's whole history as plain files: the signed terms, changes of the coordinator's key, every event as a line, the
// vectors that are kept, and a manifest with the hash of each. It is the backup, the record that stays when a study is over, and the way from one store
// to another. Keys are not in it. Written beside its target and renamed, so that a cut leaves no half archive.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { InputError, RefusalError } from '../../app/errors.ts';
import { hex32 } from '../../app/study/fields.ts';
import { syncFolder, writeFileAtomically } from '../host/disk/atomic-file.ts';
import { diskError } from '../host/disk/disk-error.ts';
import { sha256OfFile } from '../host/disk/file-hash.ts';
import type { CoordinatorStore } from './store.ts';
import { decodeEvent, encodeEvent } from './store/stored-event.ts';

const manifestSchema = z.strictObject({
  format: z.literal('consilience/coordinator-archive/1'),
  study: hex32,
  written: z.iso.datetime(),
  events: z.number().int().nonnegative(),
  /** SHA-256 of every file beside this one, by path. */
  files: z.record(z.string().regex(/^[a-z]+[a-z0-9./]*$/), hex32),
});

export type ArchiveManifest = z.infer<typeof manifestSchema>;

const eventSchema = z.strictObject({ seq: z.number().int(), body: z.string(), attachment: z.string().nullable() });
const chunkSchema = z.strictObject({
  round: z.number().int(),
  sender: z.number().int(),
  chunk: z.number().int(),
  sha256: hex32,
  leaf: hex32,
});

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** What of the vectors is worth keeping: opened sums, and sealed contributions of rounds that may still be asked about. */
export type KeptVectors = {
  readonly contract: Uint8Array;
  /** Signed changes of the coordinator's key; null where there are none. */
  readonly keyChanges: Uint8Array | null;
  readonly study: string;
  /** Rounds with an opened sum. */
  readonly closed: readonly number[];
  /** Rounds whose sealed contributions are kept, with the institutions that may have sent some. */
  readonly kept: readonly { readonly round: number; readonly senders: readonly number[] }[];
  readonly chunks: number;
};

/**
 * @param folder must not exist yet
 * @throws RefusalError `archive-exists`; UnavailableError of disk and store.
 */
export async function writeArchive(
  store: CoordinatorStore,
  { contract, keyChanges, study, closed, kept, chunks }: KeptVectors,
  folder: string,
  now: Date,
): Promise<ArchiveManifest> {
  const beside = `${folder}.part`;
  if (await isThere(folder)) throw new RefusalError('archive-exists', `There is something at ${folder} already.`);
  await rm(beside, { recursive: true, force: true });
  await mkdir(beside, { recursive: true, mode: 0o700 });
  const files: Record<string, string> = {};
  const put = async (name: string, bytes: Uint8Array): Promise<void> => {
    await mkdir(dirname(join(beside, name)), { recursive: true, mode: 0o700 });
    await writeFileAtomically(join(beside, name), bytes);
    files[name] = sha256(bytes);
  };
  await put('contract.json', contract);
  if (keyChanges !== null) await put('keys.json', keyChanges);
  let events = 0;
  files['events.jsonl'] = await writeLines(join(beside, 'events.jsonl'), async (line) => {
    for await (const { seq, event, document } of store.events(0)) {
      const { body, attachment } = encodeEvent(event, document);
      await line({ seq, body, attachment: attachment && Buffer.from(attachment).toString('base64') });
      events += 1;
    }
  });
  for (const round of closed)
    for (let chunk = 0; chunk < chunks; chunk++) {
      const bytes = await store.files.readSum(round, chunk);
      if (bytes !== null) await put(`sums/${round}/${chunk}`, bytes);
    }
  files['chunks.jsonl'] = await writeLines(join(beside, 'chunks.jsonl'), async (line) => {
    for (const { round, senders } of kept)
      for (const sender of senders)
        for (const row of await store.chunksOf(round, sender)) {
          const bytes = await store.files.readMasked(round, sender, row.chunk);
          if (bytes === null) continue;
          await put(`masked/${round}/${sender}/${row.chunk}`, bytes);
          await line({ round, sender, chunk: row.chunk, sha256: row.sha256, leaf: row.leaf });
        }
  });
  const manifest: ArchiveManifest = {
    format: 'consilience/coordinator-archive/1',
    study,
    written: now.toISOString(),
    events,
    files,
  };
  await writeFileAtomically(join(beside, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await rename(beside, folder);
  await syncFolder(dirname(folder));
  return manifest;
}

/**
 * The manifest, once every file has the hash that it names.
 * @throws InputError `archive-malformed`, `archive-damaged` (names the file).
 */
export async function checkArchive(folder: string): Promise<ArchiveManifest> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw diskError(error, `The archive ${folder}`);
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success || Object.keys(parsed.data.files).some((name) => name.split('/').includes('..')))
    throw new InputError('archive-malformed', `${folder} holds no archive of a coordinator that this program knows.`);
  for (const [name, expected] of Object.entries(parsed.data.files)) {
    const found = await sha256OfFile(join(folder, name)).catch((error: unknown) => {
      throw diskError(error, `The archive’s file ${name}`);
    });
    if (found !== expected)
      throw new InputError(
        'archive-damaged',
        `The archive’s file ${name} is not the one that was written. Use another copy.`,
      );
  }
  return parsed.data;
}

/** The signed changes of the coordinator's key in a checked archive; null where there are none. */
export async function archivedKeyChanges(folder: string, { files }: ArchiveManifest): Promise<string | null> {
  if (files['keys.json'] === undefined) return null;
  return readFile(join(folder, 'keys.json'), 'utf8').catch((error: unknown) => {
    throw diskError(error, 'The archive’s file keys.json');
  });
}

/**
 * Puts an archive into an empty store. What was open is given up, and `skipRounds` numbers are passed over: they may have
 * been used after the archive was written, and a number is used once.
 * @throws RefusalError `store-not-empty`; InputError as checkArchive.
 */
export async function restoreArchive(
  store: CoordinatorStore,
  folder: string,
  { skipRounds, now }: { readonly skipRounds: number; readonly now: number },
): Promise<ArchiveManifest> {
  const manifest = await checkArchive(folder);
  for await (const { seq } of store.events(0))
    throw new RefusalError(
      'store-not-empty',
      `The store holds a study already (event ${seq}). Restore into a new folder or database.`,
    );
  for (const name of Object.keys(manifest.files)) {
    const [kind, round, ...rest] = name.split('/');
    const bytes = kind === 'sums' || kind === 'masked' ? new Uint8Array(await readFile(join(folder, name))) : null;
    if (bytes === null) continue;
    if (kind === 'sums') await store.files.writeSum(Number(round), Number(rest[0]), bytes);
    else await store.files.writeMasked(Number(round), Number(rest[0]), Number(rest[1]), bytes);
  }
  for await (const { round, sender, ...row } of linesOf(join(folder, 'chunks.jsonl'), chunkSchema))
    await store.recordChunk(round, sender, row);
  for await (const { seq, body, attachment } of linesOf(join(folder, 'events.jsonl'), eventSchema)) {
    const bytes = attachment === null ? null : new Uint8Array(Buffer.from(attachment, 'base64'));
    const event = decodeEvent(seq, { body, attachment: bytes });
    await store.inTurn((turn) => turn.append(event, event.kind === 'message' ? null : bytes));
  }
  await store.inTurn((turn) => turn.append({ kind: 'restored', skip: skipRounds, now }, null));
  return manifest;
}

/** @returns SHA-256 of what was written. */
async function writeLines(
  path: string,
  produce: (line: (value: object) => Promise<void>) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256');
  const handle = await open(path, 'wx', 0o600);
  try {
    await produce(async (value) => {
      const text = `${JSON.stringify(value)}\n`;
      hash.update(text);
      await handle.write(text);
    });
    await handle.sync();
  } catch (error) {
    throw diskError(error, `The archive’s file ${path}`);
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}

async function* linesOf<Output>(path: string, schema: z.ZodType<Output>): AsyncGenerator<Output> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const parsed = schema.safeParse(JSON.parse(line));
    if (!parsed.success) throw new InputError('archive-malformed', `A line of ${path} is malformed.`);
    yield parsed.data;
  }
}

async function isThere(path: string): Promise<boolean> {
  return readdir(path).then(
    () => true,
    () => false,
  );
}
