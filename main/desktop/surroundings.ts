// Where things lie around the shell: the home, the shell's own profile, the host's program; one instance a home.

import { app } from 'electron';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Session } from '../../app/bridge.ts';
import { UnavailableError } from '../../app/errors.ts';
import { invitationLinkScheme } from '../../app/study/invitation-link.ts';
import { attachToHost, socketPath } from '../host/bridge/socket.ts';
import type { HostConnection } from '../host/bridge/socket.ts';
import { hostFilesName, readPins } from './host-files.ts';
import type { HostLinkOptions } from './host-link.ts';
import { startHost } from './host-process.ts';
import type { ShellArguments } from './shell-arguments.ts';

export type Place = {
  readonly home: string;
  /** Chromium's folder: electron's lock on it makes one instance a home. */
  readonly profile: string;
  /** What a start at sign-in repeats. */
  readonly words: readonly string[];
};

export function placeOf({ home: asked, demo }: ShellArguments): Place {
  const usual = app.getPath('userData');
  if (asked === null && !demo) return { home: join(homedir(), '.consilience'), profile: usual, words: [] };
  const home = asked ?? mkdtempSync(join(tmpdir(), 'consilience-app-'));
  const short = createHash('sha256').update(home).digest('hex').slice(0, 24);
  return { home, profile: join(usual, 'homes', short), words: [`--home=${home}`] };
}

export function linkOptions(root: string, home: string, { role, hostOptions }: ShellArguments): HostLinkOptions {
  const session: Session = { id: userInfo().username, role, signIn: 'desktop' };
  // Beside the asar; in a checkout beside the shell's folder.
  const folder = join(app.isPackaged ? process.resourcesPath : join(root, '..'), 'host');
  return {
    attach: async () => ownVersion(await attachToHost(socketPath(home), session)),
    start: () => startHost({ folder, pins: readPins(join(root, hostFilesName)), home, options: hostOptions }),
    pause: wait,
    now: () => performance.now(),
  };
}

/** A host that an older or newer app left running is asked to end, so that this app's own can start. */
async function ownVersion(connection: HostConnection): Promise<HostConnection> {
  const reply = await connection.call('session.get', {});
  const version = reply.ok ? (reply.value as { version?: unknown }).version : null;
  if (version === app.getVersion()) return connection;
  const stopped = await connection.call('host.stop', {});
  if (!stopped.ok) return connection;
  connection.close();
  throw new UnavailableError('no-host', 'Another version ran here and was told to end.');
}

/** Another instance, in a folder of its own. @returns whether it was started. */
export function demonstrate(): Promise<boolean> {
  const words = app.isPackaged ? ['--demo'] : [app.getAppPath(), '--demo'];
  // An account that can have no sandbox cannot have one there either.
  if (app.commandLine.hasSwitch('no-sandbox')) words.push('--no-sandbox');
  const child = spawn(process.execPath, words, { detached: true, stdio: 'ignore' });
  child.unref();
  return new Promise((done) => {
    child.once('spawn', () => done(true));
    child.once('error', () => done(false));
  });
}

/** Linux learns it from the package's desktop entry. */
export function registerLinks(): void {
  if (app.isPackaged && process.platform !== 'linux') app.setAsDefaultProtocolClient(invitationLinkScheme);
}

export const wait = (milliseconds: number): Promise<void> =>
  new Promise((done) => {
    setTimeout(done, milliseconds);
  });
