// The native library that `consilience accelerator install` built on this machine: where it lies, what its manifest pins,
// and what is held against it before the library is loaded. Native code sees the records, so it must be what was
// installed, and nobody else may have been able to write it. Design 5, "Backends".

import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { sha256OfFile } from '../host/disk/file-hash.ts';
import { NotHere } from './backend.ts';
import type { NativeLibrary } from './native.ts';

export const manifestName = 'manifest.json';
export const bindingName = 'tfjs_binding.node';
export const packagePart = 'package';
export const libraryPart = 'tensorflow';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const manifestSchema = z.strictObject({
  format: z.literal('consilience/accelerator/1'),
  installed: z.string(),
  wheel: z.strictObject({ name: z.string(), version: z.string(), file: z.string(), sha256: hash }),
  binding: z.strictObject({ package: z.string(), version: z.string(), compiler: z.string() }),
  /** Every file but the manifest, by its path with "/". */
  files: z.array(z.strictObject({ path: z.string(), size: z.int(), sha256: hash })),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** One for an account; CONSILIENCE_ACCELERATOR names another place. Trainers are told it by that variable. */
export function acceleratorFolder(): string {
  const named = process.env['CONSILIENCE_ACCELERATOR'];
  if (named !== undefined && named !== '') return named;
  const data = process.env['XDG_DATA_HOME'];
  return join(
    data === undefined || data === '' ? join(homedir(), '.local', 'share') : data,
    'consilience',
    'accelerator',
  );
}

/** @throws NotHere where nothing is installed; Error where the manifest cannot be read */
export function readManifest(folder = acceleratorFolder()): Manifest {
  let text: string;
  try {
    text = readFileSync(join(folder, manifestName), 'utf8');
  } catch {
    throw new NotHere('no accelerator is installed (consilience accelerator install)');
  }
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch {
    throw new Error('the manifest of the accelerator cannot be read; install it again');
  }
}

/** Larger files are hashed by `status` only: a library of 800 MB would delay every start by seconds. */
const mostHashedAtStart = 1 << 24;

/**
 * The library, after a look at everything that will be loaded: owner, modes, sizes, and the hashes of all but the largest.
 * @throws NotHere where nothing is installed; Error where it is not as it was installed
 */
export function acceleratorLibrary(folder = acceleratorFolder()): NativeLibrary {
  const manifest = readManifest(folder);
  requireOwn(folder);
  for (const { path, size, sha256 } of manifest.files) {
    const place = join(folder, path);
    requireOwn(place);
    if (statSync(place).size !== size) throw changed(path);
    if (size <= mostHashedAtStart && createHash('sha256').update(readFileSync(place)).digest('hex') !== sha256)
      throw changed(path);
  }
  return { packageFolder: join(folder, packagePart), binding: join(folder, bindingName) };
}

/** The first file that is not as it was installed, all bytes of all files read; null if none. */
export async function firstChanged(manifest: Manifest, folder = acceleratorFolder()): Promise<string | null> {
  for (const { path, sha256 } of manifest.files)
    if ((await sha256OfFile(join(folder, path)).catch(() => null)) !== sha256) return path;
  return null;
}

const changed = (path: string): Error =>
  new Error(`the accelerator’s file ${path} is not the one that was installed; install it again`);

/** Written by this account or the system's alone. */
function requireOwn(path: string): void {
  let found;
  try {
    found = statSync(path);
  } catch {
    throw new Error(`a file of the accelerator is missing (${path}); install it again`);
  }
  if (process.getuid === undefined) return;
  if ((found.uid !== process.getuid() && found.uid !== 0) || (found.mode & 0o022) !== 0)
    throw new Error(`others may write ${path}; take that away (chmod go-w) or install it again`);
}
