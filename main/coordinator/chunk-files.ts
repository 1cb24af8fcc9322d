// Vectors on disk, one file a chunk: masked contributions by round and sender, opened sums by round. Each file is there
// whole or not at all, and durable before anything says that it is. Object storage can take this file's place. Design 6.

import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder, writeFileAtomically } from '../host/atomic-file.ts';
import { diskError, systemCode } from '../host/disk-error.ts';

export type ChunkFiles = {
  writeMasked(round: number, sender: number, chunk: number, bytes: Uint8Array): Promise<void>;
  /** Null where there is no such chunk. */
  readMasked(round: number, sender: number, chunk: number): Promise<Uint8Array | null>;
  removeMasked(round: number, sender: number): Promise<void>;
  /** Masked contributions of every round but these. */
  keepMasked(rounds: ReadonlySet<number>): Promise<void>;
  writeSum(round: number, chunk: number, bytes: Uint8Array): Promise<void>;
  readSum(round: number, chunk: number): Promise<Uint8Array | null>;
};

export async function openChunkFiles(folder: string): Promise<ChunkFiles> {
  const masked = join(folder, 'masked');
  const sums = join(folder, 'sums');
  const maskedFolder = (round: number, sender: number): string => join(masked, String(round), String(sender));
  await guarded(async () => {
    for (const made of [masked, sums]) await mkdir(made, { recursive: true, mode: 0o700 });
    await syncFolder(folder);
  });
  return {
    writeMasked: (round, sender, chunk, bytes) => write(maskedFolder(round, sender), chunk, bytes),
    readMasked: (round, sender, chunk) => read(join(maskedFolder(round, sender), String(chunk))),
    removeMasked: (round, sender) => guarded(() => rm(maskedFolder(round, sender), { recursive: true, force: true })),
    keepMasked: (rounds) =>
      guarded(async () => {
        for (const name of await readdir(masked))
          if (!rounds.has(Number(name))) await rm(join(masked, name), { recursive: true, force: true });
      }),
    writeSum: (round, chunk, bytes) => write(join(sums, String(round)), chunk, bytes),
    readSum: (round, chunk) => read(join(sums, String(round), String(chunk))),
  };
}

async function write(folder: string, chunk: number, bytes: Uint8Array): Promise<void> {
  await guarded(async () => {
    if ((await mkdir(folder, { recursive: true, mode: 0o700 })) === undefined) return;
    // A new folder's name must be as durable as the file in it.
    for (const parent of [dirname(folder), dirname(dirname(folder))]) await syncFolder(parent);
  });
  await writeFileAtomically(join(folder, String(chunk)), bytes);
}

async function read(path: string): Promise<Uint8Array | null> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw diskError(error, 'A stored vector');
  }
}

async function guarded<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw diskError(error, 'The folder of stored vectors');
  }
}
