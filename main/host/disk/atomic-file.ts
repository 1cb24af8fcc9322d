// Files that are either the old ones or the new ones, whole, also after a power cut: temporary file beside the target,
// fsync, rename, fsync of the folder. The target's folder must exist.

import { randomBytes } from 'node:crypto';
import { open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { diskError } from './disk-error.ts';

/** Makes names that were created, renamed or removed in a folder durable. Windows has no such call and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes `data` so that readers see the old content or the new, never a mixture. Durable when it resolves.
 * @param mode permissions of the file, owner only unless said otherwise
 * @throws UnavailableError `disk-full` or `disk-failed`; the old file is then untouched.
 */
export async function writeFileAtomically(path: string, data: Uint8Array | string, mode = 0o600): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(8).toString('hex')}.tmp`);
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw diskError(error, `The file ${path}`);
  }
}
