// A TensorFlow Python wheel (PEP 427: a zip file), as IT brings it: what it is, whether it fits this machine, and the parts
// of it that the native binding needs: two libraries and the C headers. Design 5, "Backends".

import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { text } from 'node:stream/consumers';
import { openPromise } from 'yauzl';
import type { Entry, ZipFile } from 'yauzl';
import { InputError } from '../../../app/errors.ts';
import { diskError } from '../disk/disk-error.ts';
import { sha256OfFile } from '../disk/file-hash.ts';

export type Wheel = {
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** Platform tags, e.g. manylinux_2_27_x86_64. */
  readonly platforms: readonly string[];
  readonly sha256: string;
};

export type ThisMachine = {
  readonly platform: string;
  readonly architecture: string;
  /** Null where the C library is another one. */
  readonly glibc: string | null;
};

export function thisMachine(): ThisMachine {
  const report = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const glibc = report.header.glibcVersionRuntime ?? null;
  return { platform: process.platform, architecture: process.arch, glibc };
}

const libraries = ['tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2'];
const headers = ['tensorflow/include/tensorflow/c/c_api.h', 'tensorflow/include/tensorflow/c/eager/c_api.h'];
const wanted =
  /^tensorflow\/(libtensorflow_(cc|framework)\.so\.2$|include\/(tensorflow\/(c|core\/platform)|tsl|xla\/tsl)\/.*\.h$)/;
const mostText = 1 << 20;
/** TensorFlow's library is about 0.8 GB today. */
const mostBytes = 8e9;

/** @throws InputError `wheel-malformed`, `wheel-other`; UnavailableError */
export async function readWheel(path: string): Promise<Wheel> {
  const zip = await opened(path);
  try {
    const names = new Set<string>();
    let [metadata, tags] = ['', ''];
    for (const entry of await entriesOf(zip)) {
      names.add(entry.fileName);
      if (/^[^/]+\.dist-info\/METADATA$/.test(entry.fileName)) metadata = await textOf(zip, entry);
      if (/^[^/]+\.dist-info\/WHEEL$/.test(entry.fileName)) tags = await textOf(zip, entry);
    }
    const field = (name: string): string => new RegExp(`^${name}: *(.+)$`, 'm').exec(metadata)?.[1]?.trim() ?? '';
    const [name, version] = [field('Name'), field('Version')];
    if (tags === '' || name === '') throw malformed(path, 'it says neither its name nor its platform');
    const missing = [...libraries, ...headers].find((part) => !names.has(part));
    if (!/^tensorflow/i.test(name) || missing !== undefined)
      throw new InputError(
        'wheel-other',
        `${basename(path)} is ${name} ${version} and has no ${missing ?? 'TensorFlow'}. Bring a wheel of tensorflow or tensorflow-cpu for Linux (pip download tensorflow-cpu --no-deps).`,
      );
    const platforms = [...tags.matchAll(/^Tag: *[^-]+-[^-]+-(.+)$/gm)].map((match) => match[1]!.trim());
    return { path, name, version, platforms, sha256: await sha256OfFile(path) };
  } finally {
    zip.close();
  }
}

const machineNames: { readonly [architecture: string]: string } = { x64: 'x86_64', arm64: 'aarch64' };

/** @throws InputError `accelerator-platform`, `wheel-platform`, `wheel-glibc`: what differs and what to do */
export function requireFits(wheel: Pick<Wheel, 'name' | 'version' | 'platforms'>, machine: ThisMachine): void {
  const { platform, architecture, glibc } = machine;
  const wantedMachine = machineNames[architecture];
  if (platform !== 'linux' || wantedMachine === undefined)
    throw new InputError(
      'accelerator-platform',
      `The accelerator can be built on Linux (x64 and arm64) only; this is ${platform} ${architecture}. Graphics cards work here through WebGPU, without it.`,
    );
  const what = `${wheel.name} ${wheel.version} is built for ${wheel.platforms.join(', ') || 'no platform'}`;
  const own = wheel.platforms.filter((tag) => tag.includes('linux') && tag.endsWith(`_${wantedMachine}`));
  if (own.length === 0)
    throw new InputError(
      'wheel-platform',
      `${what}; this machine is linux ${wantedMachine}. Download the wheel for it (pip download … --platform manylinux_2_27_${wantedMachine} --no-deps --only-binary=:all:).`,
    );
  if (glibc === null)
    throw new InputError(
      'wheel-glibc',
      `${what}, which need the GNU C library; this system has another one. Use a system with glibc, or WebGPU.`,
    );
  const needs = own.map((tag) => /^manylinux_(\d+)_(\d+)_/.exec(tag)).filter((match) => match !== null);
  const [major, minor] = glibc.split('.').map(Number);
  const fits = needs.some(([, a, b]) => Number(a) < major! || (Number(a) === major && Number(b) <= minor!));
  if (needs.length > 0 && !fits)
    throw new InputError(
      'wheel-glibc',
      `${what}; this system has glibc ${glibc}, which is older. Use an older TensorFlow or a newer system.`,
    );
}

/** Unpacks libraries and headers into `folder`. @throws InputError `wheel-malformed`; UnavailableError */
export async function unpackWheel(path: string, folder: string): Promise<void> {
  const zip = await opened(path);
  try {
    let bytes = 0;
    for (const entry of await entriesOf(zip)) {
      if (!wanted.test(entry.fileName)) continue;
      bytes += entry.uncompressedSize;
      if (bytes > mostBytes) throw malformed(path, 'it unpacks to more than any TensorFlow');
      const place = join(folder, entry.fileName);
      await mkdir(dirname(place), { recursive: true });
      const source = await streamOf(zip, entry);
      await pipeline(source, createWriteStream(place, { mode: 0o644 })).catch((error: unknown) => {
        throw zipOrDisk(error, path, place);
      });
    }
  } finally {
    zip.close();
  }
}

async function opened(path: string): Promise<ZipFile> {
  try {
    return await openPromise(path, { autoClose: false, lazyEntries: true, validateEntrySizes: true });
  } catch (error) {
    throw zipOrDisk(error, path, path);
  }
}

/** yauzl refuses names that lead out of the folder. */
async function entriesOf(zip: ZipFile): Promise<Entry[]> {
  const entries: Entry[] = [];
  try {
    for await (const entry of zip.eachEntry()) entries.push(entry);
  } catch (error) {
    throw malformed('The wheel', error instanceof Error ? error.message : 'its directory is damaged');
  }
  return entries;
}

const streamOf = (zip: ZipFile, entry: Entry) => zip.openReadStreamPromise(entry);

async function textOf(zip: ZipFile, entry: Entry): Promise<string> {
  if (entry.uncompressedSize > mostText) throw malformed('The wheel', `${entry.fileName} is too long`);
  return text(await streamOf(zip, entry));
}

const malformed = (path: string, why: string): InputError =>
  new InputError('wheel-malformed', `${basename(path)} is no usable Python wheel: ${why}. Download it again.`);

function zipOrDisk(error: unknown, path: string, place: string): Error {
  const told = diskError(error, `The file ${place}`);
  return told === error ? malformed(path, told.message) : told;
}
