// Blobs as files: temporary file, fsync, rename, fsync of the folders (main/host/disk/atomic-file.ts).

import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder, writeFileAtomically } from '../../host/disk/atomic-file.ts';
import { diskError, systemCode } from '../../host/disk/disk-error.ts';
import type { Blobs } from './blobs.ts';

export async function fileBlobs(folder: string): Promise<Blobs> {
  await guarded(async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await syncFolder(folder);
  });
  return {
    async put(name, bytes) {
      const path = join(folder, name);
      await guarded(async () => {
        const made = await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        // A new folder's name must be as durable as the file in it.
        if (made === undefined) return;
        for (let at = dirname(path); at !== dirname(made); at = dirname(at)) await syncFolder(dirname(at));
      });
      await writeFileAtomically(path, bytes);
    },
    async get(name) {
      try {
        return new Uint8Array(await readFile(join(folder, name)));
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return null;
        throw diskError(error, 'A stored vector');
      }
    },
    removeAll: (below) => guarded(() => rm(join(folder, below), { recursive: true, force: true })),
    names: (below) =>
      guarded(async () => {
        try {
          return await readdir(join(folder, below));
        } catch (error) {
          if (systemCode(error) === 'ENOENT') return [];
          throw error;
        }
      }),
  };
}

async function guarded<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw diskError(error, 'The folder of stored vectors');
  }
}
