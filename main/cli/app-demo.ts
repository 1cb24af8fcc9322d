// The app's demonstration: a relay and three made-up hospitals in processes of their own, beside the host's institution
// as the fourth. Steps and study are those of `consilience demo`. Design 1, journey 1; issue 6, "npm start".

import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OutputOf } from '../../app/bridge.ts';
import { UnavailableError } from '../../app/errors.ts';
import { openSignedContract } from '../../app/study/signed-contract.ts';
import { nodeCipher } from '../host/machine.ts';
import type { DemonstrationEvents } from '../host/bridge/host.ts';
import type { Demonstration } from '../host/bridge/system.ts';
import { readStatus } from '../host/participant/status.ts';
import { startTied } from './app-tied-child.ts';
import type { TiedChild } from './app-tied-child.ts';
import { delay, runToEnd } from './child.ts';
import { demoPaths, prepareStudy } from './demo-federation.ts';
import type { DemoPaths } from './demo-federation.ts';
import { syntheticSites } from './demo-study.ts';
import type { DemoSite } from './demo-study.ts';

const ownName = 'your-institution';
const studyName = 'demonstration';

export type AppDemoOptions = {
  /** The host's home, which takes part as one of the four. */
  readonly home: string;
  readonly rounds: number;
  readonly intervalSeconds: number;
};

export const demoFolder = (home: string): string => join(home, 'demonstration');
/** Unlocks the keys of a home that was made by a demonstration. */
export const demoCredential = (home: string): string => demoPaths(demoFolder(home)).credential(ownName);

/** Only a home without keys, or one that a demonstration made, can have one. */
export const canDemonstrate = (home: string): boolean =>
  !existsSync(join(home, 'keys.json')) || existsSync(demoCredential(home));

export function appDemonstration(options: AppDemoOptions, { onChange, onReady }: DemonstrationEvents): Demonstration {
  const { home } = options;
  const folder = demoFolder(home);
  const base = demoPaths(folder);
  const paths: DemoPaths = { ...base, site: (name) => (name === ownName ? home : base.site(name)) };
  const running = new Map<string, TiedChild>();
  let sites: readonly DemoSite[] = [];
  let state: OutputOf<'demo.get'>['state'] = canDemonstrate(home) ? 'none' : 'not-here';
  let said: string | null = null;
  let closed = false;
  let polling: NodeJS.Timeout | null = null;
  let institutions: OutputOf<'demo.get'>['institutions'] = [];

  function tell(next: typeof state, sentence: string | null): void {
    [state, said] = [next, sentence];
    onChange();
  }

  async function endAll(): Promise<void> {
    const all = [...running.values()];
    running.clear();
    if (polling !== null) clearInterval(polling);
    polling = null;
    for (const { process } of all) if (process.exitCode === null) process.kill('SIGTERM');
    await Promise.all(all.map(({ ended }) => ended));
  }

  async function begin(): Promise<void> {
    await endAll();
    await mkdir(folder, { recursive: true, mode: 0o700 });
    sites = await madeUpSites(join(folder, 'data'));
    if (!existsSync(paths.signed)) {
      const terms = { synthetic: true, rounds: options.rounds, intervalSeconds: options.intervalSeconds };
      await prepareStudy(paths, sites, terms, (line) => tell('preparing', line));
    }
    const { contract } = openSignedContract(nodeCipher, await readFile(paths.signed, 'utf8'));
    const relay = new URL(contract.coordinator.address);
    run('relay', relayArguments(relay.port));
    await answering(new URL('/v1/health', relay));
    for (const { name, silo } of others()) {
      if (closed) return;
      tell('preparing', `${name} reads the study terms and consents.`);
      if (!existsSync(join(paths.site(name), 'studies'))) await runToEnd(consentArguments(name, silo));
    }
    letOthersRun();
    onReady();
  }

  const relayArguments = (port: string): string[] => {
    const credential = paths.credential('coordinator');
    const where = ['--study', paths.signed, '--home', paths.coordinator, '--port', port];
    return ['coordinator', '--log', '--credential-file', credential].concat(where);
  };
  const consentArguments = (name: string, silo: string): string[] => {
    const where = ['--home', paths.site(name), '--credential-file', paths.credential(name)];
    return ['participant', 'consent', '--contract', paths.signed, '--data', silo].concat(where);
  };

  const others = (): readonly DemoSite[] => sites.filter(({ name }) => name !== ownName);

  function run(name: string, args: readonly string[]): void {
    if (closed) return;
    const one = startTied(args, paths.log(name));
    running.set(name, one);
    void one.ended.then((code) => {
      if (code === 0 || closed || running.get(name) !== one) return;
      tell('failed', `${name} ended with ${code}. Its log: ${paths.log(name)}`);
    });
  }

  async function answering(url: URL): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
      const ok = await fetch(url).then(
        (answer) => answer.ok,
        () => false,
      );
      if (ok || closed) return;
      await delay(100);
    }
    throw new UnavailableError('relay-down', `The relay does not answer. Its log: ${paths.log('relay')}`);
  }

  async function watch(): Promise<void> {
    const now = await Promise.all(
      others().map(async ({ name, organisation }) => {
        const status = await readStatus(paths.site(name)).catch(() => null);
        return { name, organisation, doing: status?.doing ?? 'waiting', closed: status?.rounds.closed ?? 0 };
      }),
    );
    if (JSON.stringify(now) === JSON.stringify(institutions)) return;
    institutions = now;
    onChange();
  }

  function letOthersRun(): void {
    if (polling !== null || closed) return;
    for (const { name } of others())
      run(name, ['participant', 'run', '--home', paths.site(name), '--credential-file', paths.credential(name)]);
    tell('running', null);
    polling = setInterval(() => void watch(), 1000);
  }

  return {
    get: () => ({ state, said, institutions: [...institutions] }),
    start() {
      if (state !== 'none' && state !== 'failed') return;
      tell('preparing', 'The demonstration is being prepared.');
      void begin().catch((error: unknown) => tell('failed', error instanceof Error ? error.message : String(error)));
    },
    recordsFor: (study) => (study === studyName ? (sites.find(({ name }) => name === ownName)?.silo ?? null) : null),
    async close() {
      closed = true;
      await endAll();
    },
  };
}

/** Three made-up hospitals, and a fourth that stands for the person's own; the same bytes at every start. */
async function madeUpSites(folder: string): Promise<DemoSite[]> {
  const made = await syntheticSites(folder, 4);
  return made.map((site, index) =>
    index === made.length - 1 ? { ...site, name: ownName, organisation: 'Your institution (demonstration)' } : site,
  );
}
