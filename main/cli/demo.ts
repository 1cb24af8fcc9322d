// `consilience demo`: a whole federation on this machine, real processes and sockets, one participant killed and brought
// back; ends with what the training brought, what it cost, and where everything lies. Design 1, "Command line".

import { mkdir, mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { RefusalError } from '../../app/errors.ts';
import { privacyFigures } from '../../app/review/privacy-figures.ts';
import type { Contract } from '../../app/study/contract.ts';
import { adjacencyOf } from '../../app/study/consent.ts';
import { openSignedContract } from '../../app/study/signed-contract.ts';
import { evaluate } from '../../app/training/evaluate.ts';
import { architectureOf } from '../../app/training/model.ts';
import { trainOwnSite } from '../../app/training/own-site.ts';
import { requireAccepted } from '../../app/training/records.ts';
import { nodeCipher } from '../host/machine.ts';
import { ledgerFolder } from '../host/participant/home.ts';
import { readTable } from '../host/import/read-table.ts';
import { chooseBackend } from '../trainer/candidates.ts';
import { runToEnd } from './child.ts';
import { namedFiles, numberOption, stringOption, UsageError } from './command.ts';
import type { Command } from './command.ts';
import { demoPaths, prepareStudy, runFederation } from './demo-federation.ts';
import type { DemoPaths, DemoRun } from './demo-federation.ts';
import { givenSites, syntheticSites } from './demo-study.ts';
import type { DemoSite } from './demo-study.ts';

export const demoCommand: Command = {
  name: 'demo',
  summary: 'A whole federation on this machine: real processes, real sockets, one participant killed and brought back.',
  usage: ['demo [--institutions 4] [--rounds 30] [--home DIR] [--silo NAME=FILE … --test NAME=FILE …] [--json]'],
  example: 'consilience demo',
  options: {
    institutions: { type: 'string', value: 'N', help: 'How many made-up hospitals take part, 3 to 12 (4).' },
    rounds: { type: 'string', value: 'N', help: 'Training rounds, 1 to 1000 (30).' },
    home: { type: 'string', value: 'DIR', help: 'An empty folder to keep everything in; else a temporary one.' },
    silo: {
      type: 'string',
      multiple: true,
      value: 'NAME=FILE',
      help: 'Records of one institution, with the columns of the heart-disease template; three or more of them.',
    },
    test: { type: 'string', multiple: true, value: 'NAME=FILE', help: 'Rows of that institution to test on.' },
  },
  async run(invocation) {
    const { options, positionals } = invocation;
    if (positionals.length > 0) throw new UsageError('demo takes options only.');
    const rounds = numberOption(options, 'rounds', { least: 1, most: 1000, whole: true }) ?? 30;
    const institutions = numberOption(options, 'institutions', { least: 3, most: 12, whole: true });
    const silos = namedFiles(options, 'silo');
    const tests = namedFiles(options, 'test');
    requireUsable(silos, tests, institutions);
    const folder = await demoFolder(stringOption(options, 'home'));
    const tell = (line: string): void => {
      if (!invocation.json) invocation.out(`${line}\n`);
    };
    tell(`Everything is kept in ${folder}`);
    const synthetic = silos.size === 0;
    const sites = synthetic
      ? await syntheticSites(join(folder, 'data'), institutions ?? 4)
      : await givenSites(silos, tests);
    const paths = demoPaths(folder);
    const port = await prepareStudy(paths, sites, { synthetic, rounds }, tell);
    const killAtRound = Math.min(rounds, Math.max(1, Math.ceil(rounds / 3)));
    const run = await runFederation(paths, sites, { port, rounds, killAtRound }, tell);
    const outcome = await outcomeOf(paths, sites, run);
    if (invocation.json) invocation.out(`${JSON.stringify(outcome)}\n`);
    else invocation.out(`${reportText(outcome)}\n`);
    return outcome.ledgersVerified && outcome.modelsAgree ? 0 : 1;
  },
};

function requireUsable(
  silos: ReadonlyMap<string, string>,
  tests: ReadonlyMap<string, string>,
  institutions: number | undefined,
): void {
  if (silos.size === 0 && tests.size > 0) throw new UsageError('--test needs the --silo of the same name.');
  if (silos.size > 0 && silos.size < 3)
    throw new UsageError('A federation needs three institutions at least: give three or more --silo.');
  if (silos.size > 0 && institutions !== undefined)
    throw new UsageError('--institutions is for made-up hospitals; with --silo their number is that of the files.');
  for (const name of tests.keys())
    if (!silos.has(name)) throw new UsageError(`--test names "${name}", which has no --silo.`);
}

async function demoFolder(asked: string | undefined): Promise<string> {
  if (asked === undefined) return mkdtemp(join(tmpdir(), 'consilience-demo-'));
  const folder = resolve(asked);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if ((await readdir(folder)).length > 0)
    throw new RefusalError('folder-not-empty', `The folder ${folder} is not empty. Give an empty or a new one.`);
  return folder;
}

type Outcome = {
  readonly folder: string;
  readonly study: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly accuracy: readonly { readonly name: string; readonly ownSite: number; readonly federated: number }[];
  readonly privacy: {
    readonly unit: string;
    readonly adjacency: string;
    readonly delta: number;
    readonly epsilon: { readonly coordinator: number | null; readonly outsiders: number | null };
    readonly used: { readonly [name: string]: number | null };
    readonly accountant: string;
  };
  readonly dropoutsSurvived: number;
  readonly killed: DemoRun['killed'];
  readonly ledgersVerified: boolean;
  readonly modelsAgree: boolean;
  readonly model: string;
};

async function outcomeOf(paths: DemoPaths, sites: readonly DemoSite[], run: DemoRun): Promise<Outcome> {
  const { contract, hash } = openSignedContract(nodeCipher, await readFile(paths.signed, 'utf8'));
  const model = join(paths.folder, 'model');
  const first = sites[0]!.name;
  await runToEnd([
    'model',
    'export',
    '--home',
    paths.site(first),
    '--credential-file',
    paths.credential(first),
    '--out',
    model,
  ]);
  let verified = true;
  for (const { name } of sites)
    verified &&= await runToEnd(['ledger', 'verify', ledgerFolder(paths.site(name))]).then(
      () => true,
      () => false,
    );
  const statuses = [...run.statuses.values()];
  const cohorts = await cohortsOf(paths, first);
  const charged = { ...contract, schedule: { ...contract.schedule, attempts: Math.max(1, cohorts.length) } };
  return {
    folder: paths.folder,
    study: Buffer.from(hash).toString('hex'),
    rounds: Math.max(...statuses.map((status) => status.rounds.closed)),
    seconds: run.seconds,
    accuracy: await accuracies(contract, sites, model),
    privacy: {
      unit: contract.training.unit,
      adjacency: adjacencyOf(contract),
      delta: contract.privacy.delta,
      epsilon: {
        coordinator: privacyFigures(charged).epsilon.coordinator,
        outsiders: privacyFigures(charged).epsilon.outsiders,
      },
      used: Object.fromEntries([...run.statuses].map(([name, status]) => [name, status.epsilon.used])),
      accountant: 'rdp',
    },
    dropoutsSurvived: cohorts.reduce((lost, cohort) => lost + sites.length - cohort, 0),
    killed: run.killed,
    ledgersVerified: verified,
    modelsAgree: new Set(statuses.map((status) => status.model)).size === 1,
    model,
  };
}

/** Sizes of the cohorts whose sums were opened, as one institution's privacy log has them. */
async function cohortsOf(paths: DemoPaths, name: string): Promise<number[]> {
  const lines = (await readFile(join(ledgerFolder(paths.site(name)), 'ledger.jsonl'), 'utf8')).trim().split('\n');
  return lines
    .map((line) => JSON.parse(line) as { kind: string; body: { cohort?: unknown } })
    .filter((entry) => entry.kind === 'round-closed')
    .map((entry) => (Array.isArray(entry.body.cohort) ? entry.body.cohort.length : 0));
}

async function accuracies(contract: Contract, sites: readonly DemoSite[], model: string): Promise<Outcome['accuracy']> {
  await chooseBackend();
  const architecture = architectureOf(contract.task);
  const out: Outcome['accuracy'][number][] = [];
  for (const { name, silo, test } of sites) {
    if (test === null) continue;
    const own = await trainOwnSite(contract.task, requireAccepted(await readTable(silo, contract.task.table)));
    const rows = requireAccepted(await readTable(test, contract.task.table));
    const metrics = evaluate(contract.task, architecture, own, rows);
    const predicted = await runToEnd(['model', 'predict', model, '--data', test, '--json']);
    const { metrics: federated } = JSON.parse(predicted.stdout) as { metrics: { accuracy: number } };
    out.push({
      name,
      ownSite: metrics.kind === 'classification' ? metrics.accuracy : Number.NaN,
      federated: federated.accuracy,
    });
  }
  return out;
}

function reportText(outcome: Outcome): string {
  const { accuracy, privacy, killed } = outcome;
  const width = Math.max(11, ...accuracy.map(({ name }) => name.length));
  const share = (value: number): string => value.toFixed(3);
  const mean = (pick: (row: Outcome['accuracy'][number]) => number): number =>
    accuracy.reduce((total, row) => total + pick(row), 0) / accuracy.length;
  const figure = (value: number | null): string => (value === null ? 'no bound' : value.toPrecision(3));
  const table =
    accuracy.length === 0
      ? []
      : [
          `${'institution'.padEnd(width)}  own site  federated   (accuracy on its own test rows, outside ε)`,
          ...accuracy.map((row) => `${row.name.padEnd(width)}  ${share(row.ownSite)}     ${share(row.federated)}`),
          `${'mean'.padEnd(width)}  ${share(mean((row) => row.ownSite))}     ${share(mean((row) => row.federated))}`,
          'Own-site models are trained without noise and without anybody; the federated one is private.',
          '',
        ];
  return [
    '',
    `${outcome.rounds} training rounds closed in ${outcome.seconds.toFixed(0)} s.`,
    '',
    ...table,
    `Privacy: ε = ${figure(privacy.epsilon.coordinator)} against the coordinator and its assumed colluders (worst case), ${figure(privacy.epsilon.outsiders)} against outsiders,`,
    `  at δ = ${privacy.delta}, per ${privacy.unit} at one institution, ${privacy.adjacency} (RDP accountant).`,
    killed === null
      ? 'No participant was killed: the study was over before its moment came.'
      : `${killed.site} was killed in round ${killed.round} (stage "${killed.stage}"), came back and holds the same model.`,
    `Missing contributions survived: ${outcome.dropoutsSurvived}.`,
    `Privacy logs verified: ${outcome.ledgersVerified ? 'all' : 'NOT ALL'}. Models equal everywhere: ${outcome.modelsAgree ? 'yes' : 'NO'}.`,
    '',
    `Model   ${outcome.model}`,
    `Logs    ${join(outcome.folder, 'sites', '*', 'ledger')}`,
    `Study   ${join(outcome.folder, 'study-signed.json')} (${outcome.study.slice(0, 8)})`,
  ].join('\n');
}
