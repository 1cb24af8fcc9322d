// Builds what the desktop app is made of into dist/desktop: app/ (the shell, the preload and the built window; packed into
// the asar) and host/ (Node itself and this program's commands in a few files; beside the asar, because plain Node cannot
// read into one). app/host-files.json pins the SHA-256 of every file of host/. Design 8, "Packaging".

import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { builtinModules, createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { build } from 'esbuild';
import type { BuildOptions, Metafile } from 'esbuild';
import { z } from 'zod';
import { hostFilesName, nodeName } from '../desktop/host-files.ts';

const root = resolve(import.meta.dirname, import.meta.url.endsWith('.ts') ? '../..' : '../../..');

/** Native or found by path at run time, so they stay packages; the others become part of the bundle. */
const keptPackages = ['@napi-rs/keyring', 'webgpu', 'pg-native'];
/** Only its .wasm files are read, from where the package would be. */
const wasmPackage = '@tensorflow/tfjs-backend-wasm';

export type Bundle = { readonly shell: string; readonly host: string };

/** @param into folder that is made anew, but for the copy of Node; the window must be built already. */
export async function bundleDesktop(into = join(root, 'dist', 'desktop')): Promise<Bundle> {
  const [shell, host] = [join(into, 'app'), join(into, 'host')];
  await rm(shell, { recursive: true, force: true });
  await bundleHost(host);
  await bundleShell(shell);
  const files = Object.fromEntries(
    await Promise.all(
      (await filesIn(host)).map(async (file): Promise<[string, string]> => {
        const digest = createHash('sha256').update(await readFile(join(host, file)));
        return [file.split(sep).join('/'), digest.digest('hex')];
      }),
    ),
  );
  await writeFile(join(shell, hostFilesName), `${JSON.stringify({ files }, null, 1)}\n`);
  return { shell, host };
}

const common = { bundle: true, absWorkingDir: root, logLevel: 'warning', metafile: true } as const;

async function bundleShell(out: string): Promise<void> {
  const shared: BuildOptions = { ...common, format: 'cjs', external: ['electron'], outExtension: { '.js': '.cjs' } };
  await build({
    ...shared,
    platform: 'node',
    target: 'node24',
    entryPoints: { shell: 'main/desktop/index.ts' },
    outdir: out,
  });
  await build({
    ...shared,
    platform: 'browser',
    entryPoints: { preload: 'main/desktop/preload.ts' },
    outdir: out,
  });
  await cp(join(root, 'dist', 'renderer'), join(out, 'renderer'), { recursive: true });
  await cp(join(root, 'main', 'resources', 'icons'), join(out, 'icons'), { recursive: true });
  const { name, version, description, license } = await manifest();
  const own = { name, productName: 'Consilience', version, description, license, main: 'shell.cjs' };
  await writeFile(join(out, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
}

/**
 * The command line, and what it starts as processes and threads: each is named by its starter as './NAME.ts' or './NAME.js',
 * found beside it. All lie in one folder in the end, so no two may share a name.
 */
export function hostEntries(): string[] {
  const entries = ['main/cli/index.ts', 'main/cli/app-parent-watch.ts'];
  for (const name of readdirSync(join(root, 'main'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    const source = join(root, 'main', name);
    for (const [, started] of readFileSync(source, 'utf8').matchAll(/'\.\/([\w-]+)\.ts' : '\.\/\1\.js'/g))
      entries.push(
        relative(root, join(dirname(source), `${started}.ts`))
          .split(sep)
          .join('/'),
      );
  }
  const all = [...new Set(entries)];
  const names = all.map((entry) => basename(entry));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`two programs of the host are called ${twice}: ${all.join(', ')}`);
  return all;
}

/** What CommonJS packages inside an ES module expect. The names are ones that no source has: the bundler does not see them. */
const commonJsNames = [
  "import { createRequire as bundledRequireOf } from 'node:module';",
  "import { dirname as bundledFolderOf } from 'node:path';",
  "import { fileURLToPath as bundledPathOf } from 'node:url';",
  'const require = bundledRequireOf(import.meta.url);',
  'const __filename = bundledPathOf(import.meta.url);',
  'const __dirname = bundledFolderOf(__filename);',
].join(' ');

async function bundleHost(out: string): Promise<void> {
  await mkdir(out, { recursive: true });
  for (const one of await readdir(out))
    if (one !== nodeName) await rm(join(out, one), { recursive: true, force: true });
  const { metafile } = await build({
    ...common,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    splitting: true,
    entryPoints: hostEntries(),
    outdir: out,
    // All in one folder: a file finds another beside it, wherever its source stood.
    entryNames: '[name]',
    chunkNames: 'part-[hash]',
    external: keptPackages,
    // A CommonJS build has no named exports for a dynamic import here.
    mainFields: ['module', 'main'],
    banner: { js: commonJsNames },
  });
  for (const name of keptIn(metafile)) await keep(name, createRequire(join(root, 'package.json')), out);
  await keepWasm(out);
  await cp(join(root, 'dist', 'renderer'), join(out, 'dist', 'renderer'), { recursive: true });
  const { name, version } = await manifest();
  await writeFile(join(out, 'package.json'), `${JSON.stringify({ name, version, private: true, type: 'module' })}\n`);
  await copyNode(join(out, nodeName));
}

const keptIn = ({ outputs }: Metafile): string[] => {
  const names = Object.values(outputs).flatMap(({ imports }) =>
    imports.filter(({ external, path }) => external === true && !builtinModules.includes(path.replace(/^node:/, ''))),
  );
  return [...new Set(names.map(({ path }) => path))].filter((name) => keptPackages.includes(name));
};

const dependencies = z.looseObject({
  dependencies: z.record(z.string(), z.string()).optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
});

/** Copies a package and what it needs at run time, without binaries for other machines. */
async function keep(name: string, from: NodeJS.Require, out: string): Promise<void> {
  let folder: string;
  try {
    folder = dirname(from.resolve(`${name}/package.json`));
  } catch {
    return;
  }
  // The package of WebGPU holds a folder for every platform.
  const foreign = (path: string): boolean =>
    name === 'webgpu' &&
    /^dist[/\\]/.test(path) &&
    !path.includes(`${process.platform}-${process.arch}`) &&
    !path.includes(`${process.platform}-universal`);
  await cp(folder, join(out, 'node_modules', name), {
    recursive: true,
    dereference: true,
    filter: (source) => {
      const path = relative(folder, source);
      return !path.includes('node_modules') && !foreign(path);
    },
  });
  const needs = dependencies.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')));
  for (const one of Object.keys({ ...needs.dependencies, ...needs.optionalDependencies }))
    await keep(one, createRequire(join(folder, 'package.json')), out);
}

async function keepWasm(out: string): Promise<void> {
  const from = dirname(createRequire(join(root, 'package.json')).resolve(`${wasmPackage}/package.json`));
  const to = join(out, 'node_modules', wasmPackage);
  await mkdir(join(to, 'dist'), { recursive: true });
  for (const file of await readdir(join(from, 'dist')))
    if (file.endsWith('.wasm')) await copyFile(join(from, 'dist', file), join(to, 'dist', file));
  const { version } = z
    .looseObject({ version: z.string() })
    .parse(JSON.parse(await readFile(join(from, 'package.json'), 'utf8')));
  await writeFile(join(to, 'package.json'), JSON.stringify({ name: wasmPackage, version, main: 'dist/place.js' }));
  await writeFile(join(to, 'dist', 'place.js'), '// Marks where the .wasm files lie.\n');
}

/** The very Node that runs this; copied once, for it is large. */
async function copyNode(to: string): Promise<void> {
  const [ours, there] = [await stat(process.execPath), await stat(to).catch(() => null)];
  if (there !== null && there.size === ours.size && there.mtimeMs >= ours.mtimeMs) return;
  await copyFile(process.execPath, to);
  await chmod(to, 0o755);
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

async function manifest() {
  const text = await readFile(join(root, 'package.json'), 'utf8');
  return z
    .looseObject({ name: z.string(), version: z.string(), description: z.string(), license: z.string() })
    .parse(JSON.parse(text));
}

if (import.meta.main) {
  const { shell, host } = await bundleDesktop();
  process.stdout.write(`The shell is in ${shell}, the host in ${host}.\n`);
}
