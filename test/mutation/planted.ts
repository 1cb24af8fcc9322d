// A bug planted in one module of the product, for one run of tests: what is replaced by what, and whether a test notices.
// The product's files are not touched (one-change.ts).

import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { variable } from './one-change.ts';
import type { Replacement } from './one-change.ts';

/** `source`: the whole file as it was when the run began, so that nobody's edits get in between. */
export type Change = {
  readonly file: string;
  readonly source: string;
  readonly at: number;
  readonly from: string;
  readonly to: string;
};

export const root = path.resolve(import.meta.dirname, '../..');
const longestMs = 300_000;

export const readSource = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** @throws Error where the file holds the text no longer, or more than once where `once` is wanted. */
export function single(file: string, from: string, to: string, source = readSource(file), once = false): Change {
  const at = source.indexOf(from);
  if (at < 0) throw new Error(`${file} no longer holds: ${from}`);
  if (once && source.includes(from, at + 1)) throw new Error(`${file} holds more than once: ${from}`);
  return { file, source, at, from, to };
}

export function passes(replacement: Replacement | null, file: string): Promise<boolean> {
  const args = ['--import', path.join(root, 'test/mutation/one-change.ts'), file];
  const env = replacement === null ? process.env : { ...process.env, [variable]: JSON.stringify(replacement) };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env,
      stdio: 'ignore',
      timeout: longestMs,
      killSignal: 'SIGKILL',
    });
    child.on('close', (code) => resolve(code === 0));
  });
}

/** @returns the first test file that fails with the change; null where none does. */
export async function noticedBy(
  { file, source, at, from, to }: Change,
  folder: string,
  files: readonly string[],
): Promise<string | null> {
  const instead = path.join(folder, `${path.basename(file, '.ts')}-${at}.ts`);
  writeFileSync(instead, source.slice(0, at) + to + source.slice(at + from.length));
  for (const test of files) if (!(await passes({ file, instead }, test))) return test;
  return null;
}
