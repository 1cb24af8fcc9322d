// The demonstration's federation: every step is one of this program's own commands in a process of its own, in the order
// in which real people would give them. One participant is killed in mid-round and brought back. Design 1, "demo".

import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { UnavailableError } from '../../app/errors.ts';
import { readStatus } from '../host/participant/status.ts';
import type { ParticipantStatus } from '../host/participant/status.ts';
import { delay, runToEnd, start } from './child.ts';
import type { Running } from './child.ts';
import { demoDraft } from './demo-study.ts';
import type { DemoSite } from './demo-study.ts';
import { percent } from './output.ts';

export type DemoPaths = {
  readonly folder: string;
  readonly study: string;
  readonly signed: string;
  readonly invitation: string;
  readonly lead: string;
  readonly coordinator: string;
  readonly site: (name: string) => string;
  readonly log: (name: string) => string;
  readonly credential: (name: string) => string;
};

export function demoPaths(folder: string): DemoPaths {
  return {
    folder,
    study: join(folder, 'study.json'),
    signed: join(folder, 'study-signed.json'),
    invitation: join(folder, 'invitation.json'),
    lead: join(folder, 'lead'),
    coordinator: join(folder, 'coordinator'),
    site: (name) => join(folder, 'sites', name),
    log: (name) => join(folder, 'logs', `${name}.log`),
    credential: (name) => join(folder, 'credentials', name),
  };
}

const keysFor = (paths: DemoPaths, name: string): string[] => ['--credential-file', paths.credential(name)];

export type DemoTold = (line: string) => void;

/** Writes, invites, enrols, signs. @returns the coordinator's port. */
export async function prepareStudy(
  paths: DemoPaths,
  sites: readonly DemoSite[],
  terms: { readonly synthetic: boolean; readonly rounds: number },
  tell: DemoTold,
): Promise<number> {
  for (const folder of ['credentials', 'logs', 'sites'])
    await mkdir(join(paths.folder, folder), { recursive: true, mode: 0o700 });
  for (const name of ['lead', 'coordinator', ...sites.map((site) => site.name)])
    await writeFile(paths.credential(name), `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  const port = await freePort();
  tell('The coordinator makes its key; the lead writes the study and invites.');
  const key = await runToEnd(['coordinator', 'key', '--home', paths.coordinator, ...keysFor(paths, 'coordinator')]);
  const coordinatorKey = key.stdout.trim();
  const address = `http://127.0.0.1:${port}`;
  const draft = demoDraft({ ...terms, address, coordinatorKey, sites, now: Date.now() });
  await writeFile(paths.study, `${JSON.stringify({ ...draft, roster: [] }, null, 2)}\n`);
  const lead = ['--home', paths.lead, ...keysFor(paths, 'lead')];
  await runToEnd(['study', 'invite', paths.study, '--out', paths.invitation, ...lead]);
  tell('Each institution makes its own keys and privacy log, and enrols.');
  const enrolments = await inTurns(sites, async (site) => {
    const enrolment = join(paths.folder, `enrolment-${site.name}.json`);
    await runToEnd([
      'participant',
      'join',
      paths.invitation,
      '--home',
      paths.site(site.name),
      ...keysFor(paths, site.name),
      '--name',
      site.name,
      '--organisation',
      site.organisation,
      '--units',
      String(site.nominalUnits),
      '--out',
      enrolment,
    ]);
    return enrolment;
  });
  await runToEnd(['study', 'add', paths.study, ...enrolments]);
  await runToEnd(['study', 'sign', paths.study, '--out', paths.signed, ...lead]);
  tell('The lead has signed the study terms.');
  return port;
}

/** Two at a time: key derivation is slow on purpose, and this may be a small machine. */
async function inTurns<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const out: R[] = [];
  for (let at = 0; at < items.length; at += 2) out.push(...(await Promise.all(items.slice(at, at + 2).map(act))));
  return out;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new UnavailableError('no-port', 'No free port could be had on this machine.'));
      });
    });
  });
}

export type DemoRun = {
  /** Statuses at the end, by site. */
  readonly statuses: ReadonlyMap<string, ParticipantStatus>;
  /** Who was killed in which round and at which stage. */
  readonly killed: { readonly site: string; readonly round: number; readonly stage: string } | null;
  readonly seconds: number;
};

const runArguments = (paths: DemoPaths, name: string): string[] => [
  'participant',
  'run',
  '--home',
  paths.site(name),
  ...keysFor(paths, name),
];

/** Consents, runs all rounds with one kill and return, and ends every process. */
export async function runFederation(
  paths: DemoPaths,
  sites: readonly DemoSite[],
  options: { readonly port: number; readonly rounds: number; readonly killAtRound: number },
  tell: DemoTold,
): Promise<DemoRun> {
  const coordinator = start(
    [
      'coordinator',
      '--study',
      paths.signed,
      '--home',
      paths.coordinator,
      '--port',
      String(options.port),
      '--log',
      ...keysFor(paths, 'coordinator'),
    ],
    paths.log('coordinator'),
  );
  const running = new Map<string, Running>();
  try {
    await reachable(`http://127.0.0.1:${options.port}/v1/health`, coordinator, paths.log('coordinator'));
    tell('Each institution checks the terms and its records, and consents.');
    await inTurns(sites, (site) =>
      runToEnd([
        'participant',
        'consent',
        '--home',
        paths.site(site.name),
        ...keysFor(paths, site.name),
        '--contract',
        paths.signed,
        '--data',
        site.silo,
      ]),
    );
    tell(`Training begins: ${sites.length} institutions, ${options.rounds} rounds.`);
    const began = Date.now();
    for (const { name } of sites) running.set(name, start(runArguments(paths, name), paths.log(name)));
    const killed = await watch(paths, sites, running, options, tell);
    const statuses = new Map<string, ParticipantStatus>();
    for (const { name } of sites) statuses.set(name, (await readStatus(paths.site(name)))!);
    return { statuses, killed, seconds: (Date.now() - began) / 1000 };
  } finally {
    for (const { process } of running.values()) if (process.exitCode === null) process.kill('SIGTERM');
    coordinator.process.kill('SIGTERM');
    await Promise.all([coordinator.ended, ...Array.from(running.values(), (one) => one.ended)]);
  }
}

async function reachable(url: string, coordinator: Running, log: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (coordinator.process.exitCode !== null) break;
    try {
      if ((await fetch(url)).ok) return;
    } catch {
      // Not listening yet.
    }
    await delay(100);
  }
  const said = (await readFile(log, 'utf8').catch(() => '')).slice(-1000);
  throw new UnavailableError('coordinator-down', `The coordinator did not start. Its log says: ${said}`);
}

async function watch(
  paths: DemoPaths,
  sites: readonly DemoSite[],
  running: Map<string, Running>,
  options: { readonly rounds: number; readonly killAtRound: number },
  tell: DemoTold,
): Promise<DemoRun['killed']> {
  const victim = sites.at(-1)!.name;
  let killed: DemoRun['killed'] = null;
  let told = 0;
  for (;;) {
    const statuses = new Map<string, ParticipantStatus | null>();
    for (const { name } of sites) statuses.set(name, await readStatus(paths.site(name)));
    const closed = Math.max(...Array.from(statuses.values(), (status) => status?.rounds.closed ?? 0));
    if (closed > told) {
      told = closed;
      tell(progressLine(closed, options.rounds, statuses));
    }
    const status = statuses.get(victim);
    if (killed === null && status !== null && status !== undefined && isTheMoment(status, options.killAtRound)) {
      const child = running.get(victim)!;
      child.process.kill('SIGKILL');
      await child.ended;
      killed = { site: victim, round: status.round!, stage: status.stage! };
      tell(`${victim} was killed (kill -9) in round ${status.round} at stage "${status.stage}".`);
      await othersClosed(paths, sites, killed.round);
      running.set(victim, start(runArguments(paths, victim), paths.log(victim)));
      tell(`The others closed round ${killed.round} without it. ${victim} was started again and catches up.`);
    }
    const ended = await Promise.race([
      Promise.all([...running].map(async ([name, one]) => [name, await one.ended] as const)),
      delay(40).then(() => null),
    ]);
    if (ended === null) continue;
    const failed = ended.filter(([, code]) => code !== 0);
    if (failed.length === 0) return killed;
    const [name, code] = failed[0]!;
    const said = (await readFile(paths.log(name), 'utf8')).slice(-1500);
    throw new UnavailableError('participant-failed', `${name} ended with ${code}. Its log says: ${said}`);
  }
}

/** Signed for the round, its contribution not yet in it; where that moment passes unseen, a later one serves. */
function isTheMoment({ round, stage }: ParticipantStatus, from: number): boolean {
  if (round === null || stage === null || round < from) return false;
  return (
    ['shares', 'opened'].includes(stage) || (round > from + 1 && ['ready', 'masked', 'consistency'].includes(stage))
  );
}

/** Waits until somebody has closed the round, or a minute. */
async function othersClosed(paths: DemoPaths, sites: readonly DemoSite[], round: number): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    for (const { name } of sites) if (((await readStatus(paths.site(name)))?.rounds.lastClosed ?? 0) >= round) return;
    await delay(150);
  }
}

export function progressLine(
  closed: number,
  rounds: number,
  statuses: ReadonlyMap<string, ParticipantStatus | null>,
): string {
  const each = [...statuses].map(([name, status]) => {
    const share = status?.epsilon.share;
    return `${name} ${status?.rounds.closed ?? 0}${share === undefined || share === null ? '' : ` (${percent(share)} of its ε)`}`;
  });
  return `Round ${String(closed).padStart(String(rounds).length)} of ${rounds} closed · ${each.join(' · ')}`;
}
