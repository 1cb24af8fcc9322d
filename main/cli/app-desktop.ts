// The desktop window from a checkout: finds Electron's binary, or fetches it once where its own downloader reaches it, and
// starts the built shell (dist/desktop) in it. Every reason why not is one clause for a person. Issue 6, item 5.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { programFolder } from './app-host.ts';
import type { Invocation, OptionValues } from './command.ts';

/** Ends the command with `code`, or says why there is no window. */
export type DesktopOutcome = { readonly code: 0 | 1 } | { readonly reason: string };

const passedOn = ['home', 'policy', 'credential-file', 'rounds', 'interval', 'role'] as const;
/** A window that ends with an error sooner than this never stood on the screen. */
const startMs = 10_000;

export async function runDesktop({ options, warn }: Invocation): Promise<DesktopOutcome> {
  if (process.platform === 'linux' && !process.env['DISPLAY'] && !process.env['WAYLAND_DISPLAY'])
    return { reason: 'There is no screen for a desktop window' };
  const electron = await electronBinary(warn);
  if ('reason' in electron) return electron;
  const shell = await builtShell();
  if (shell === null) return { reason: 'The desktop window is not built (npm run build)' };
  const started = performance.now();
  const child = spawn(electron.binary, [shell, ...shellArguments(options)], { stdio: 'inherit' });
  const code = await new Promise<number | null>((done) => {
    child.once('error', () => done(null));
    child.once('exit', done);
  });
  if (code === 0) return { code: 0 };
  if (performance.now() - started < startMs)
    return { reason: `Electron did not start (${code === null ? 'it was ended' : `it ended with ${code}`})` };
  return { code: 1 };
}

/** One word each, because Chromium puts the words of a second start in another order. */
export function shellArguments(options: OptionValues): string[] {
  const named = passedOn.flatMap((name) => {
    const value = options[name];
    return typeof value === 'string' ? [`--${name}=${value}`] : [];
  });
  return options['demo'] === true ? ['--demo', ...named] : named;
}

async function electronBinary(warn: (text: string) => void): Promise<{ binary: string } | { reason: string }> {
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  } catch {
    return { reason: 'Electron is not installed here' };
  }
  const found = binaryIn(folder);
  if (found !== null) return { binary: found };
  const reason = await reasonNotToFetch();
  if (reason !== null) return { reason };
  warn('Electron is fetched once, about 100 MB.\n');
  await new Promise<void>((done) => {
    const child = spawn(process.execPath, [join(folder, 'install.js')], { stdio: 'ignore' });
    child.once('error', () => done());
    child.once('exit', () => done());
  });
  const fetched = binaryIn(folder);
  return fetched === null ? { reason: 'Electron’s binary is not here and could not be fetched' } : { binary: fetched };
}

function binaryIn(folder: string): string | null {
  const named = join(folder, 'path.txt');
  if (!existsSync(named)) return null;
  const binary = join(folder, 'dist', readFileSync(named, 'utf8').trim());
  return existsSync(binary) ? binary : null;
}

/** A machine without a way out should not wait for a download that cannot come. */
async function reasonNotToFetch(): Promise<string | null> {
  const from = process.env['ELECTRON_MIRROR'] ?? process.env['npm_config_electron_mirror'] ?? 'https://github.com';
  try {
    await fetch(from, { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(4000) });
    return null;
  } catch {
    return `Electron’s binary is not here and cannot be had (${URL.parse(from)?.host ?? from} does not answer)`;
  }
}

/** Built from the sources where this is a checkout. */
async function builtShell(): Promise<string | null> {
  if (import.meta.url.endsWith('.ts')) {
    const { bundleDesktop } = await import('../packaging/bundle.ts');
    return (await bundleDesktop()).shell;
  }
  const shell = join(programFolder, 'dist', 'desktop', 'app');
  return existsSync(join(shell, 'package.json')) ? shell : null;
}
