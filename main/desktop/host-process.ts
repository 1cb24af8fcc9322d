// Starts the host as a plain Node process of its own, which goes on when the shell ends. Its files are checked first; how
// the start went comes over a channel that both sides then close. Design 2, "Processes" (desktop).

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { RefusalError, UnavailableError } from '../../app/errors.ts';
import { hostMessageSchema } from '../host/bridge/message.ts';
import { nodeName, requirePinned } from './host-files.ts';
import type { Pins } from './host-files.ts';

export type HostProgram = {
  /** Holds Node and the host's program. */
  readonly folder: string;
  readonly pins: Pins;
  readonly home: string;
  /** Further words for `consilience host`. */
  readonly options: readonly string[];
};

export const hostLog = (home: string): string => join(home, 'host.log');
const mostLogBytes = 1024 * 1024;

/**
 * Resolves when windows may attach.
 * @throws RefusalError `host-altered`, or what the host refused with (`in-use` where another has the home);
 * UnavailableError `host-not-started`.
 */
export async function startHost({ folder, pins, home, options }: HostProgram): Promise<void> {
  await requirePinned(folder, pins);
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const path = hostLog(home);
  const long = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > mostLogBytes;
  const log = openSync(path, long ? 'w' : 'a', 0o600);
  const words = [join(folder, 'index.js'), 'host', '--stoppable', `--home=${home}`, ...options];
  const child = spawn(join(folder, nodeName), words, {
    cwd: home,
    detached: true,
    env: plainEnvironment(),
    stdio: ['ignore', log, log, 'ipc'],
    windowsHide: true,
  });
  closeSync(log);
  const message = await new Promise<unknown>((done) => {
    child.once('message', done);
    child.once('error', () => done(null));
    child.once('exit', () => done(null));
  });
  child.unref();
  const told = hostMessageSchema.safeParse(message);
  if (!told.success)
    throw new UnavailableError('host-not-started', `The program behind this window did not start. Its log: ${path}`);
  if (told.data.state === 'refused') throw new RefusalError(told.data.error.code, told.data.error.message);
}

/** The person's environment without what would change how Node runs. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(?:NODE_|ELECTRON_|LD_PRELOAD$|DYLD_)/.test(name)),
  );
}
