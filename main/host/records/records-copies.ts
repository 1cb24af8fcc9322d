// The encrypted copies of records in a home: one for each import, its key in a file of its own, wrapped by the home's keys
// as all its secrets are. What no study points to any more is destroyed, its key first: without the key the rest is noise,
// also where a disk keeps old blocks. Design 1, "Data".

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readFile, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { RefusalError } from '../../../app/errors.ts';
import type { Records } from '../../../app/training/records.ts';
import { syncFolder, writeFileAtomically } from '../disk/atomic-file.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import type { Keystore } from '../keys/keystore.ts';
import { makeFolder, readTextIfThere, studyPaths } from '../participant/home.ts';
import { newCopyKey, writeRecordsCopy } from './records-copy-file.ts';
import type { CopyToRead } from './records-copy-file.ts';

export const recordsFolder = (home: string): string => join(home, 'records');

const pathsOf = (home: string, id: string): { copy: string; key: string } => ({
  copy: join(recordsFolder(home), `${id}.copy`),
  key: join(recordsFolder(home), `${id}.key`),
});
const purposeOf = (id: string): string => `records/${id}`;
const bindingOf = (study: string, digest: string): string => `consilience/records/1 ${study} ${digest}`;

/** What dataset.json says of the records of a study. */
export type RecordsPointer = {
  readonly name: string;
  /** Where the file lay when it was read. */
  readonly path: string;
  /** Name of the encrypted copy; null: the file is read where it lies. */
  readonly copy: string | null;
  /** Folder of the checkpoint that a language study trains beside; null where none was given. */
  readonly checkpoint: string | null;
};

/** null where nothing is noted. */
export async function recordsPointer(home: string, study: string): Promise<RecordsPointer | null> {
  const text = await readTextIfThere(studyPaths(home, study).dataset);
  const value: unknown = text === null ? null : JSON.parse(text);
  if (typeof value !== 'object' || value === null || !('name' in value) || !('path' in value)) return null;
  const copy =
    'copy' in value && typeof value.copy === 'string' && /^[0-9a-f]{32}$/.test(value.copy) ? value.copy : null;
  const checkpoint = 'checkpoint' in value && typeof value.checkpoint === 'string' ? value.checkpoint : null;
  return { name: String(value.name), path: String(value.path), copy, checkpoint };
}

/** @returns the copy's name. @throws UnavailableError; nothing of it is left then. */
export async function keepRecords(
  home: string,
  keystore: Pick<Keystore, 'seal'>,
  of: { readonly study: string; readonly digest: string },
  records: Records,
): Promise<string> {
  const id = randomBytes(16).toString('hex');
  const paths = pathsOf(home, id);
  const key = newCopyKey();
  await makeFolder(recordsFolder(home));
  try {
    await writeFileAtomically(paths.key, keystore.seal(key, purposeOf(id)));
    await writeRecordsCopy({ path: paths.copy, key, binding: bindingOf(of.study, of.digest) }, records);
    return id;
  } catch (error) {
    await destroyRecords(home, id);
    throw error;
  } finally {
    key.fill(0);
  }
}

/** @throws RefusalError `records-gone`, `state-altered`; UnavailableError. */
export async function openRecords(
  home: string,
  keystore: Pick<Keystore, 'open'>,
  id: string,
  of: { readonly study: string; readonly digest: string },
): Promise<CopyToRead> {
  const paths = pathsOf(home, id);
  const binding = bindingOf(of.study, of.digest);
  try {
    return { path: paths.copy, key: keystore.open(new Uint8Array(await readFile(paths.key)), purposeOf(id)), binding };
  } catch (error) {
    if (systemCode(error) === 'ENOENT')
      throw new RefusalError(
        'records-gone',
        `The key of the encrypted copy ${paths.copy} is gone. Give consent again with the records; nothing was sent.`,
      );
    throw diskError(error, `The key of the encrypted copy ${paths.copy}`);
  }
}

/** The key first, overwritten before its name goes; then the copy. What is gone already is no error. */
export async function destroyRecords(home: string, id: string): Promise<void> {
  const paths = pathsOf(home, id);
  try {
    await overwrite(paths.key);
    for (const path of [paths.key, paths.copy]) await unlink(path).catch(ignoreAbsent);
    if (existsSync(recordsFolder(home))) await syncFolder(recordsFolder(home));
  } catch (error) {
    throw diskError(error, `The encrypted copy ${paths.copy}`);
  }
}

async function overwrite(path: string): Promise<void> {
  try {
    const handle = await open(path, 'r+');
    try {
      const { size } = await handle.stat();
      await handle.write(randomBytes(size), 0, size, 0);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    ignoreAbsent(error);
  }
}

/** Destroys what no study of the home points to: a version that was replaced, or what a killed import left. */
export async function sweepRecords(home: string): Promise<void> {
  const folder = recordsFolder(home);
  const found = await namesIn(folder);
  if (found.length === 0) return;
  const wanted = new Set<string>();
  for (const study of await namesIn(join(home, 'studies'))) {
    if (!/^[0-9a-f]{64}$/.test(study)) continue;
    const pointer = await recordsPointer(home, study);
    if (pointer !== null && pointer.copy !== null) wanted.add(pointer.copy);
  }
  const stale = new Set(found.map((name) => name.split('.').find((part) => part !== '')!));
  for (const id of stale) if (!wanted.has(id)) await destroyRecords(home, id);
  // What was being written when the program was killed, under its temporary name.
  for (const name of await namesIn(folder))
    if (name.endsWith('.part') || name.endsWith('.tmp')) await unlink(join(folder, name)).catch(ignoreAbsent);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw diskError(error, `The folder ${folder}`);
  }
}

function ignoreAbsent(error: unknown): void {
  if (systemCode(error) !== 'ENOENT') throw error;
}
