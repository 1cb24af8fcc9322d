// Runs this very program's commands as processes of their own, for `demo`: the same entry, the same Node, no shell.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { UnavailableError } from '../../app/errors.ts';

const entry = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './index.ts' : './index.js', import.meta.url));

export type Finished = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Runs a command to its end. @throws UnavailableError `command-failed` with what it said, if it did not end with 0. */
export async function runToEnd(args: readonly string[]): Promise<Finished> {
  const child = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString('utf8')));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString('utf8')));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) {
    const said = (stderr.trim() || stdout.trim()).slice(0, 2000);
    throw new UnavailableError(
      'command-failed',
      `"consilience ${args.slice(0, 2).join(' ')}" ended with ${code}: ${said}`,
    );
  }
  return { code, stdout, stderr };
}

export type Running = {
  readonly process: ChildProcess;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
};

/** Starts a command that goes on; what it prints goes to `logFile`. */
export function start(args: readonly string[], logFile: string): Running {
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', log, log] });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
  return { process: child, ended };
}

export const delay = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
