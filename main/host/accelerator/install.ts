// Installing, inspecting and removing the accelerator. It is built in a folder beside the place where it will stand, must
// pass the same self-test as every backend there, and only then takes that place; a failure leaves what was there before.
// Design 5, "Backends".

import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError, RefusalError, UnavailableError } from '../../../app/errors.ts';
import { NotHere } from '../../trainer/backend.ts';
import type { Trial } from '../../trainer/backend.ts';
import { acceleratorFolder, firstChanged, manifestName, packagePart, readManifest } from '../../trainer/accelerator.ts';
import type { Manifest } from '../../trainer/accelerator.ts';
import { tryApart } from '../../trainer/probe.ts';
import { diskError } from '../disk/disk-error.ts';
import { sha256OfFile } from '../disk/file-hash.ts';
import { bindingPackage, placeBindingSources } from './binding-sources.ts';
import { compileBinding, findCompiler } from './compile.ts';
import { readWheel, requireFits, thisMachine, unpackWheel } from './wheel.ts';
import type { Wheel } from './wheel.ts';

export type InstallOptions = {
  readonly wheel: string;
  /** SHA-256 that the wheel must have, as IT knows it from elsewhere; null: whatever it has is pinned. */
  readonly sha256: string | null;
  /** Archive of the binding's npm package, where it is neither installed nor can be fetched. */
  readonly packageArchive: string | null;
  readonly now: () => Date;
  readonly say: (step: string) => void;
};

export type AcceleratorState = {
  readonly folder: string;
  readonly manifest: Manifest;
  /** First file that is not as it was installed, or null. */
  readonly changed: string | null;
  readonly backends: { readonly [name in NativeName]: Trial };
};

export type NativeName = 'tfjs-node-gpu' | 'tfjs-node';

/** @throws InputError, RefusalError, UnavailableError: what is missing or does not fit; nothing is changed then */
export async function installAccelerator(options: InstallOptions): Promise<AcceleratorState> {
  const { say } = options;
  const folder = acceleratorFolder();
  say('Reading the wheel.');
  const wheel = await readWheel(options.wheel);
  say(`${wheel.name} ${wheel.version}, SHA-256 ${wheel.sha256}.`);
  if (options.sha256 !== null && options.sha256.toLowerCase() !== wheel.sha256)
    throw new RefusalError(
      'wheel-hash-differs',
      `The wheel’s SHA-256 is ${wheel.sha256}, not the one that --sha256 names. Do not use it before you know why.`,
    );
  requireFits(wheel, thisMachine());
  const compiler = await findCompiler();
  const building = await buildingFolder(folder);
  try {
    await build(building, wheel, compiler, options);
    say('Running the self-test on it.');
    const backends = await tryBackends(building);
    const works = Object.values(backends).some(({ state }) => state === 'works');
    if (!works) throw unusable(backends);
    await rm(folder, { recursive: true, force: true });
    await rename(building, folder);
    return { folder, manifest: readManifest(folder), changed: null, backends };
  } catch (error) {
    await rm(building, { recursive: true, force: true });
    throw diskError(error, `The folder ${folder}`);
  }
}

async function buildingFolder(folder: string): Promise<string> {
  try {
    await mkdir(dirname(folder), { recursive: true, mode: 0o700 });
    return await mkdtemp(`${folder}.new-`);
  } catch (error) {
    throw diskError(error, `The folder ${dirname(folder)}`);
  }
}

async function build(
  folder: string,
  wheel: Wheel,
  compiler: { readonly command: string; readonly name: string },
  { packageArchive, now, say }: InstallOptions,
): Promise<void> {
  say('Unpacking it.');
  await unpackWheel(wheel.path, folder);
  await placeBindingSources(join(folder, packagePart), packageArchive);
  say(`Compiling the binding with ${compiler.name}.`);
  await compileBinding(folder, compiler.command);
  await rm(join(folder, 'tensorflow', 'include'), { recursive: true });
  await rm(join(folder, packagePart, 'binding'), { recursive: true });
  const files = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const place = join(entry.parentPath, entry.name);
    const path = place.slice(folder.length + 1).replaceAll('\\', '/');
    await chmod(place, 0o644);
    files.push({ path, size: (await stat(place)).size, sha256: await sha256OfFile(place) });
  }
  const manifest: Manifest = {
    format: 'consilience/accelerator/1',
    installed: now().toISOString(),
    wheel: { name: wheel.name, version: wheel.version, file: basename(wheel.path), sha256: wheel.sha256 },
    binding: { package: bindingPackage.name, version: bindingPackage.version, compiler: compiler.name },
    files: files.sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
  await writeFile(join(folder, manifestName), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o644 });
}

async function tryBackends(folder: string): Promise<AcceleratorState['backends']> {
  const gpu = await tryApart({ name: 'tfjs-node-gpu' }, { accelerator: folder });
  return { 'tfjs-node-gpu': gpu, 'tfjs-node': await tryApart({ name: 'tfjs-node' }, { accelerator: folder }) };
}

function unusable(backends: AcceleratorState['backends']): UnavailableError {
  const reasons = Object.entries(backends).map(([name, trial]) =>
    trial.state === 'works' ? '' : `${name}: ${trial.reason}`,
  );
  const glibc = reasons.some((reason) => /GLIBC/.test(reason));
  const advice = glibc ? 'The wheel needs a newer system than this one.' : 'Try another version of TensorFlow.';
  return new UnavailableError(
    'accelerator-unusable',
    `It was built and does not work here (${reasons.join('; ').slice(0, 600)}). ${advice} Nothing was installed.`,
  );
}

/** @throws InputError `accelerator-none` where nothing is installed or its manifest is damaged */
export async function acceleratorState(): Promise<AcceleratorState> {
  const folder = acceleratorFolder();
  let manifest: Manifest;
  try {
    manifest = readManifest(folder);
  } catch (error) {
    const sentence = error instanceof Error ? error.message : '';
    throw new InputError('accelerator-none', `In ${folder}: ${sentence}.`);
  }
  return {
    folder,
    manifest,
    changed: await firstChanged(manifest, folder),
    backends: await tryBackends(folder),
  };
}

/** @returns the folder that was removed, or null where nothing was installed */
export async function removeAccelerator(): Promise<string | null> {
  const folder = acceleratorFolder();
  try {
    readManifest(folder);
  } catch (error) {
    if (error instanceof NotHere) return null;
  }
  await rm(folder, { recursive: true, force: true }).catch((error: unknown) => {
    throw diskError(error, `The folder ${folder}`);
  });
  return folder;
}
