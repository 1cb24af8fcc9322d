// `consilience app`: a window onto this home's host. Electron where its binary is there or can be had, otherwise a browser on
// loopback, which it says in one line. A host that already runs for the home gets one window more. Issue 6, item 5.

import { spawn } from 'node:child_process';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { roles } from '../../app/bridge.ts';
import type { Role, Session } from '../../app/bridge.ts';
import { RefusalError } from '../../app/errors.ts';
import { attachToHost, socketPath } from '../host/bridge/socket.ts';
import type { HostConnection } from '../host/bridge/socket.ts';
import type { Host } from '../host/bridge/host.ts';
import { readAssets } from '../window/assets.ts';
import { openLoopback } from '../loopback/server.ts';
import { runDesktop } from './app-desktop.ts';
import {
  demonstrationElsewhere,
  homeFolder,
  hostOptions,
  openCommandHost,
  programFolder,
  refuseTwoCredentials,
  toldToStop,
} from './app-host.ts';
import { UsageError, numberOption, stringOption } from './command.ts';
import type { Command, Invocation, OptionValues } from './command.ts';

export const appCommand: Command = {
  name: 'app',
  summary: 'Opens the app: the desktop window where Electron can be had, else the browser of this machine.',
  usage: ['app [--loopback] [--no-open] [--demo] [--home DIR] [--port N] [--role ROLE] [--policy FILE]'],
  example: 'consilience app --demo',
  options: {
    loopback: { type: 'boolean', help: 'In the browser, even where the desktop window could be had.' },
    'no-open': { type: 'boolean', help: 'Print the one-time address on a line of its own and wait.' },
    ...hostOptions,
    port: { type: 'string', value: 'N', help: 'In the browser, on this port of 127.0.0.1; else any free one.' },
    role: {
      type: 'string',
      value: 'ROLE',
      help: 'Who sits at this window: steward (default), administrator or auditor.',
    },
  },
  async run(invocation) {
    if (invocation.positionals.length > 0) throw new UsageError('app takes options only.');
    const { options } = invocation;
    refuseTwoCredentials(options);
    const session: Session = { id: userInfo().username, role: roleOption(options), signIn: 'loopback' };
    const port = numberOption(options, 'port', { least: 1024, most: 65_535, whole: true });
    let why: string | null = null;
    if (options['loopback'] !== true && options['no-open'] !== true && port === undefined && !invocation.json) {
      const desktop = await runDesktop(invocation);
      if ('code' in desktop) return desktop.code;
      why = desktop.reason;
    }
    return runLoopback(invocation, { session, port: port ?? 0, why });
  },
};

type LoopbackRun = {
  readonly session: Session;
  readonly port: number;
  /** Why there is no desktop window; null where none was wanted. */
  readonly why: string | null;
};

async function runLoopback(invocation: Invocation, { session, port, why }: LoopbackRun): Promise<0> {
  const { options } = invocation;
  const assets = readAssets(join(programFolder, 'dist', 'renderer'));
  const home = await homeFolder(options);
  const host = await openOrNull(home, invocation);
  const connect = (): Promise<HostConnection> =>
    host === null ? attachToHost(socketPath(home), session) : Promise.resolve(host.connect(session));
  try {
    const loopback = await openLoopback({ assets, connect, port });
    try {
      if (why !== null) invocation.out(`${why}, so the app opens in the browser of this machine.\n`);
      say(invocation, home, loopback.address, host === null);
      if (options['no-open'] !== true) openInBrowser(loopback.address, invocation);
      await toldToStop();
    } finally {
      await loopback.close();
    }
  } finally {
    await host?.close();
  }
  return 0;
}

function say(invocation: Invocation, home: string, address: string, attached: boolean): void {
  if (invocation.json) {
    invocation.out(`${JSON.stringify({ address, home, attached })}\n`);
    return;
  }
  invocation.out(`Everything is kept in ${home}${attached ? ', whose program runs already' : ''}. Ctrl+C ends this.\n`);
  invocation.out('One-time address, for one browser:\n');
  invocation.out(`${address}\n`);
}

function roleOption(options: OptionValues): Role {
  const given = stringOption(options, 'role') ?? 'steward';
  const role = roles.find((one) => one === given);
  if (role === undefined) throw new UsageError(`--role must be one of ${roles.join(', ')}.`);
  return role;
}

/** null: another program is this home's host already. */
async function openOrNull(home: string, { options, warn }: Invocation): Promise<Host | null> {
  try {
    return await openCommandHost({ home, options, warn });
  } catch (error) {
    if (!(error instanceof RefusalError) || error.code !== 'in-use') throw error;
    if (options['demo'] === true) throw demonstrationElsewhere(home);
    return null;
  }
}

function openInBrowser(address: string, { warn }: Invocation): void {
  const [command, args]: [string, string[]] =
    process.platform === 'darwin'
      ? ['open', [address]]
      : process.platform === 'win32'
        ? ['rundll32', ['url.dll,FileProtocolHandler', address]]
        : ['xdg-open', [address]];
  const child = spawn(command, args, { stdio: 'ignore', detached: true });
  child.once('error', () => warn('No browser could be started; open the address above in one.\n'));
  child.unref();
}
