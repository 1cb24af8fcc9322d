// The native binding's unmodified sources and kernels: from the npm package where it is installed (npm 12 keeps it), else
// from its archive, given as a file or fetched by npm from whatever registry npm uses here. npm 9 to 11 throw the package
// away, because its own download fails. An archive is held to the hash that stands in this project's lockfile. Design 5.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { InputError, UnavailableError } from '../../../app/errors.ts';
import { diskError } from '../disk/disk-error.ts';

export const bindingPackage = {
  name: '@tensorflow/tfjs-node-gpu',
  version: '4.22.0',
  sha512: 'p//NN6DGiN4hInUmIkRffaFVMcdTREUMjPyjW04J7OXvB2zBlQimj61eFKSgRrH3f5TnOfKzb0n56he/B6a4bw==',
} as const;

/** Sources of the binding, and the JavaScript that backend and kernels consist of. */
const wanted =
  /^(package\.json|binding\/[\w.]+\.(cc|h)|dist\/(nodejs_kernel_backend|register_all_kernels|int64_tensors)\.js|dist\/kernels\/\w+\.js)$/;
const needed = ['package.json', 'binding/tfjs_backend.cc', 'binding/tfjs_binding.cc', 'dist/nodejs_kernel_backend.js'];

/**
 * Puts them into `folder`, laid out as in the package.
 * @param archive the package's .tgz, or null @throws InputError `binding-package-other`; UnavailableError
 */
export async function placeBindingSources(folder: string, archive: string | null): Promise<void> {
  const installed = archive === null ? installedFolder() : null;
  if (installed === null) await unpack(await archiveBytes(folder, archive), folder);
  else
    for (const name of await readdir(installed, { recursive: true })) {
      const path = name.replaceAll('\\', '/');
      if (!wanted.test(path)) continue;
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await copyFile(join(installed, path), join(folder, path));
    }
  const found = new Set((await readdir(folder, { recursive: true })).map((name) => name.replaceAll('\\', '/')));
  const missing = needed.find((name) => !found.has(name));
  if (missing !== undefined)
    throw new InputError('binding-package-other', `The package ${bindingPackage.name} has no ${missing}.`);
}

function installedFolder(): string | null {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${bindingPackage.name}/package.json`));
  } catch {
    return null;
  }
}

const mostArchive = 1 << 26;

async function archiveBytes(folder: string, archive: string | null): Promise<Uint8Array> {
  const path = archive ?? (await packedByNpm(folder));
  const bytes = await readFile(path).catch((error: unknown) => {
    throw diskError(error, `The file ${path}`);
  });
  requireArchive(bytes, path);
  return promisify(gunzip)(bytes, { maxOutputLength: mostArchive });
}

/** @throws InputError `binding-package-other` for any other bytes than the pinned release's */
export function requireArchive(bytes: Uint8Array, path: string): void {
  if (createHash('sha512').update(bytes).digest('base64') !== bindingPackage.sha512)
    throw new InputError(
      'binding-package-other',
      `${basename(path)} is not the archive of ${bindingPackage.name} ${bindingPackage.version} that this program was made for (its SHA-512 differs). Get it by: npm pack ${bindingPackage.name}@${bindingPackage.version}`,
    );
}

async function packedByNpm(folder: string): Promise<string> {
  const { name, version } = bindingPackage;
  await mkdir(folder, { recursive: true });
  try {
    const args = ['pack', `${name}@${version}`, '--pack-destination', folder, '--ignore-scripts', '--silent'];
    const { stdout } = await promisify(execFile)('npm', args, { timeout: 120_000, cwd: folder });
    return join(folder, stdout.trim().split('\n').at(-1)!);
  } catch {
    throw new UnavailableError(
      'binding-package-missing',
      `The package ${name} is not installed, and npm could not fetch it. Where a registry is reachable run: npm pack ${name}@${version} — and give the file with --package.`,
    );
  }
}

/** The regular files of a tar archive (POSIX ustar, as npm writes it) that are wanted. */
async function unpack(tar: Uint8Array, folder: string): Promise<void> {
  const text = (from: number, length: number): string =>
    Buffer.from(tar.subarray(from, from + length))
      .toString('latin1')
      .replace(/\0.*$/s, '');
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const size = Number.parseInt(text(at + 124, 12), 8);
    if (!(size >= 0) || at + 512 + size > tar.length)
      throw new InputError('binding-package-other', 'The archive of the package is cut off. Get it again.');
    const prefix = text(at + 345, 155);
    const name = `${prefix === '' ? '' : `${prefix}/`}${text(at, 100)}`.replace(/^package\//, '');
    const kind = text(at + 156, 1);
    if ((kind === '0' || kind === '') && wanted.test(name)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), tar.subarray(at + 512, at + 512 + size), { mode: 0o644 });
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
}
