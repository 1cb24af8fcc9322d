// `consilience app`: the host of this home and a window onto it. Today the window is a browser on loopback; the Electron
// shell will be tried first once it exists. A host that already runs for the home gets one window more. Issue 6, item 5.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { roles } from '../../app/bridge.ts';
import type { Role, Session } from '../../app/bridge.ts';
import { RefusalError } from '../../app/errors.ts';
import { attachToHost, socketPath } from '../host/bridge-socket.ts';
import type { HostConnection } from '../host/bridge-socket.ts';
import { openHost } from '../host/host.ts';
import type { Host } from '../host/host.ts';
import type { KeySourceOptions } from '../host/key-source.ts';
import { readAssets } from '../loopback/assets.ts';
import { openLoopback } from '../loopback/server.ts';
import { appDemonstration, canDemonstrate, demoCredential } from './app-demo.ts';
import { runToEnd } from './child.ts';
import { UsageError, numberOption, stringOption } from './command.ts';
import type { Command, Invocation, OptionValues } from './command.ts';

/** The project's folder, whether this runs from the sources or from dist. */
const root = resolve(import.meta.dirname, import.meta.url.endsWith('.ts') ? '../..' : '../../..');

export const appCommand: Command = {
  name: 'app',
  summary: 'Opens the app: today in the browser of this machine (the desktop shell is not there yet).',
  usage: ['app [--loopback] [--no-open] [--demo] [--home DIR] [--port N] [--role ROLE] [--policy FILE]'],
  example: 'npm start -- --demo',
  options: {
    loopback: { type: 'boolean', help: 'In the browser, even where the desktop shell is present.' },
    'no-open': { type: 'boolean', help: 'Print the one-time address on a line of its own and wait.' },
    demo: {
      type: 'boolean',
      help: 'With the demonstration study: a relay and three made-up hospitals beside this one.',
    },
    home: {
      type: 'string',
      value: 'DIR',
      help: 'Folder of this institution (~/.consilience; for --demo a temporary one).',
    },
    port: { type: 'string', value: 'N', help: 'Port on 127.0.0.1; else any free one.' },
    role: {
      type: 'string',
      value: 'ROLE',
      help: 'Who sits at this window: steward (default), administrator or auditor.',
    },
    policy: { type: 'string', value: 'FILE', help: 'IT’s policy.json.' },
    'credential-file': { type: 'string', value: 'FILE', help: 'Holds the secret that unlocks the keys.' },
    rounds: { type: 'string', value: 'N', help: 'Training rounds of the demonstration (60).' },
    interval: { type: 'string', value: 'SECONDS', help: 'Pause between the demonstration’s rounds (2).' },
  },
  async run(invocation) {
    if (invocation.positionals.length > 0) throw new UsageError('app takes options only.');
    const { options } = invocation;
    const demo = options['demo'] === true;
    const home = await homeFolder(stringOption(options, 'home'), demo);
    const session: Session = { id: userInfo().username, role: roleOption(options), signIn: 'loopback' };
    const assets = readAssets(join(root, 'dist', 'renderer'));
    const host = await openOrNull(home, options, invocation);
    if (demo) {
      const demonstration = host?.demonstration ?? null;
      if (demonstration === null || demonstration.get().state === 'not-here')
        throw new RefusalError(
          'demonstration-elsewhere',
          `${home} belongs to an institution or its program runs already, so no demonstration runs in it. Give another --home, or none.`,
        );
      demonstration.start();
    }
    const connect = (): Promise<HostConnection> =>
      host === null ? attachToHost(socketPath(home), session) : Promise.resolve(host.connect(session));
    const port = numberOption(options, 'port', { least: 1024, most: 65_535, whole: true }) ?? 0;
    try {
      const loopback = await openLoopback({ assets, connect, port });
      try {
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
  },
};

function say(invocation: Invocation, home: string, address: string, attached: boolean): void {
  if (invocation.json) {
    invocation.out(`${JSON.stringify({ address, home, attached })}\n`);
    return;
  }
  if (invocation.options['loopback'] !== true)
    invocation.out('The desktop shell is not there yet, so the app opens in the browser of this machine.\n');
  invocation.out(`Everything is kept in ${home}${attached ? ', whose program runs already' : ''}. Ctrl+C ends this.\n`);
  invocation.out('One-time address, for one browser:\n');
  invocation.out(`${address}\n`);
}

async function homeFolder(asked: string | undefined, demo: boolean): Promise<string> {
  if (asked !== undefined) return resolve(asked);
  return demo ? mkdtemp(join(tmpdir(), 'consilience-app-')) : join(homedir(), '.consilience');
}

function roleOption(options: OptionValues): Role {
  const given = stringOption(options, 'role') ?? 'steward';
  const role = roles.find((one) => one === given);
  if (role === undefined) throw new UsageError(`--role must be one of ${roles.join(', ')}.`);
  return role;
}

/** null: another program is this home's host already. */
async function openOrNull(home: string, options: OptionValues, { warn }: Invocation): Promise<Host | null> {
  const rounds = numberOption(options, 'rounds', { least: 1, most: 1000, whole: true }) ?? 60;
  const intervalSeconds = numberOption(options, 'interval', { least: 0, most: 3600, whole: true }) ?? 2;
  try {
    return await openHost({
      home,
      keys: keysOf(options, home),
      policyPath: stringOption(options, 'policy') ?? null,
      version: await version(),
      exportLog: (out) => exportLog(home, out),
      demonstration:
        options['demo'] === true ? (events) => appDemonstration({ home, rounds, intervalSeconds }, events) : null,
      onDefect: (where, error) => warn(`consilience app: a defect in ${where}: ${String(error)}\n`),
    });
  } catch (error) {
    if (error instanceof RefusalError && error.code === 'in-use') return null;
    throw error;
  }
}

/** The credential that is named; else, in a folder that a demonstration made or may make, the demonstration's own. */
function keysOf(options: OptionValues, home: string): KeySourceOptions {
  const named = stringOption(options, 'credential-file');
  if (named !== undefined) return { credentialFile: named, keyring: false };
  return options['demo'] === true && canDemonstrate(home)
    ? { credentialFile: demoCredential(home), keyring: false }
    : {};
}

const exported = z.object({ entries: z.number(), files: z.array(z.string()) });

/** The auditor's own command, in a process of its own: a long log does not hold up the host. */
async function exportLog(home: string, out: string): Promise<{ entries: number; files: string[] }> {
  const { stdout } = await runToEnd(['ledger', 'export', home, '--out', out, '--json']);
  const { entries, files } = exported.parse(JSON.parse(stdout));
  return { entries, files };
}

async function version(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  return z.object({ version: z.string() }).parse(manifest).version;
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

function toldToStop(): Promise<void> {
  return new Promise((done) => {
    process.once('SIGTERM', () => done()).once('SIGINT', () => done());
  });
}
