// A command of this program in a process that ends with its parent, however that ends: it holds the reading end of a pipe
// whose writing end only the parent has, and stops in good order when the pipe closes.

import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const entry = fileURLToPath(new URL(`./index.${extension}`, import.meta.url));
const watcher = new URL(`./app-parent-watch.${extension}`, import.meta.url).href;

export type TiedChild = {
  readonly process: ChildProcess;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
};

/**
 * @param logFile where what it prints goes.
 * @param heard its standard output goes to whoever started it instead.
 */
export function startTied(args: readonly string[], logFile: string, heard = false): TiedChild {
  const log = openSync(logFile, 'a', 0o600);
  const stdio: StdioOptions = ['pipe', heard ? 'pipe' : log, log];
  const child = spawn(process.execPath, ['--import', watcher, entry, ...args], { stdio });
  closeSync(log);
  const ended = new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
  return { process: child, ended };
}
