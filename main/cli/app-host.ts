// The host as `app` and `host` open it: its folder, its keys, its demonstration, from the same options.

import { existsSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { RefusalError, UnavailableError } from '../../app/errors.ts';
import { openHost } from '../host/bridge/host.ts';
import type { Host } from '../host/bridge/host.ts';
import type { KeySourceOptions } from '../host/keys/key-source.ts';
import { appDemonstration, canDemonstrate, demoCredential } from './app-demo.ts';
import { startTied } from './app-tied-child.ts';
import { numberOption, stringOption } from './command.ts';
import type { Command, OptionValues } from './command.ts';

export const hostOptions: Command['options'] = {
  demo: {
    type: 'boolean',
    help: 'With the demonstration study: a relay and three made-up hospitals beside this one.',
  },
  home: {
    type: 'string',
    value: 'DIR',
    help: 'Folder of this institution (~/.consilience; for --demo a temporary one).',
  },
  policy: { type: 'string', value: 'FILE', help: 'IT’s policy.json.' },
  'credential-file': { type: 'string', value: 'FILE', help: 'Holds the secret that unlocks the keys.' },
  rounds: { type: 'string', value: 'N', help: 'Training rounds of the demonstration (60).' },
  interval: { type: 'string', value: 'SECONDS', help: 'Pause between the demonstration’s rounds (2).' },
};

/** The folder that holds package.json: of the checkout, of the installed package, of the bundle. */
export const programFolder = folderAbove(import.meta.dirname);

export async function homeFolder(options: OptionValues): Promise<string> {
  const asked = stringOption(options, 'home');
  if (asked !== undefined) return resolve(asked);
  return options['demo'] === true ? mkdtemp(join(tmpdir(), 'consilience-app-')) : join(homedir(), '.consilience');
}

export type HostCommand = {
  readonly home: string;
  readonly options: OptionValues;
  readonly warn: (text: string) => void;
  readonly onStopAsked?: () => void;
};

/**
 * @throws what openHost throws; RefusalError `demonstration-elsewhere` where --demo was asked of an institution's folder,
 * `demonstration-credential` where it was asked with a credential.
 */
export async function openCommandHost({ home, options, warn, onStopAsked }: HostCommand): Promise<Host> {
  refuseTwoCredentials(options);
  const rounds = numberOption(options, 'rounds', { least: 1, most: 1000, whole: true }) ?? 60;
  const intervalSeconds = numberOption(options, 'interval', { least: 0, most: 3600, whole: true }) ?? 2;
  const demo = options['demo'] === true;
  const host = await openHost({
    home,
    keys: keysOf(options, home),
    policyPath: stringOption(options, 'policy') ?? null,
    version: await version(),
    demonstration: demo ? (events) => appDemonstration({ home, rounds, intervalSeconds }, events) : null,
    ...(demo ? {} : { openDemonstration: () => openDemonstration(home) }),
    ...(onStopAsked === undefined ? {} : { onStopAsked }),
    onDefect: (where, error) => warn(`consilience: a defect in ${where}: ${String(error)}\n`),
  });
  if (!demo) return host;
  if (host.demonstration === null || host.demonstration.get().state === 'not-here') {
    await host.close();
    throw demonstrationElsewhere(home);
  }
  host.demonstration.start();
  return host;
}

/** A demonstration makes its keys with a credential of its own; another one would not unlock them at the consent. */
export function refuseTwoCredentials(options: OptionValues): void {
  if (options['demo'] === true && stringOption(options, 'credential-file') !== undefined)
    throw new RefusalError(
      'demonstration-credential',
      'A demonstration makes its own credential and takes no other. Leave out --credential-file, or --demo.',
    );
}

export const demonstrationElsewhere = (home: string): RefusalError =>
  new RefusalError(
    'demonstration-elsewhere',
    `${home} belongs to an institution or its program runs already, so no demonstration runs in it. Give another --home, or none.`,
  );

/** The credential that is named; else, in a folder that a demonstration made or may make, the demonstration's own. */
function keysOf(options: OptionValues, home: string): KeySourceOptions {
  const named = stringOption(options, 'credential-file');
  if (named !== undefined) return { credentialFile: named, keyring: false };
  return options['demo'] === true && canDemonstrate(home)
    ? { credentialFile: demoCredential(home), keyring: false }
    : {};
}

const opened = z.object({ address: z.url() });

/** The app with a demonstration, in a temporary folder and a process that ends with this one. */
async function openDemonstration(home: string): Promise<{ address: string }> {
  const log = join(home, 'demonstration.log');
  const child = startTied(['app', '--loopback', '--no-open', '--json', '--demo'], log, true);
  let said = '';
  const line = new Promise<string>((done) => {
    child.process.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('\n')) done(said);
    });
  });
  const address = opened.safeParse(parsedLine(await Promise.race([line, child.ended.then(() => '')])));
  if (!address.success)
    throw new UnavailableError('demonstration-failed', `The demonstration could not be started. Its log: ${log}`);
  return address.data;
}

function parsedLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

export async function version(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(join(programFolder, 'package.json'), 'utf8'));
  return z.object({ version: z.string() }).parse(manifest).version;
}

function folderAbove(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const above = dirname(folder);
  if (above === folder) throw new Error('package.json is not above this program');
  return folderAbove(above);
}

export function toldToStop(): Promise<void> {
  return new Promise((done) => {
    process.once('SIGTERM', () => done()).once('SIGINT', () => done());
  });
}
