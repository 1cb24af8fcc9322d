// `consilience account`: ε for a schedule of (Poisson-sampled) Gaussian releases by every accountant that applies, one
// schedule from the options or many from a file; or the member left open for a target ε. Spec: design 1, design 4.

import { readFile } from 'node:fs/promises';
import { InputError } from '../../app/errors.ts';
import { accountantNames } from '../../app/privacy/calibrate.ts';
import type { AccountantName } from '../../app/privacy/calibrate.ts';
import { diskError } from '../host/disk/disk-error.ts';
import { scheduleFigures } from '../../app/review/schedule-figures.ts';
import type { ScheduleFigures } from '../../app/review/schedule-figures.ts';
import { adjacencyOf } from '../../app/study/consent.ts';
import { calibrated, curve, curvePoints, figures } from './account-figures.ts';
import type { Epsilons, Grid, Schedule } from './account-figures.ts';
import { numberOption, requiredOption, stringOption, UsageError } from './command.ts';
import type { Command, Invocation, OptionValues } from './command.ts';
import { readToCheck } from './study-file.ts';

const mostSteps = 1e9;
/** Beyond these a number is a slip of the pen, and float64 could no longer say ε. */
const noiseRange = { least: 1e-3, most: 1e6 };
const leastDelta = 1e-300;

export const accountCommand: Command = {
  name: 'account',
  summary: 'How much privacy a schedule of noised releases costs (ε at δ), by every accountant.',
  usage: [
    'account --sampling-rate Q --noise-multiplier S --steps T --delta D [--plan] [--json]',
    'account --target-epsilon E [--accountant A] --delta D, and two of --sampling-rate, --noise-multiplier, --steps',
    'account --study STUDY.json [--plan]',
    'account --batch FILE',
  ],
  example: 'consilience account --sampling-rate 0.01 --noise-multiplier 1 --steps 1000 --delta 1e-5',
  options: {
    'sampling-rate': {
      type: 'string',
      value: 'Q',
      help: 'Poisson sampling rate, above 0 to 1 (1: every unit each time).',
    },
    'noise-multiplier': {
      type: 'string',
      value: 'S',
      help: 'Standard deviation of the noise, divided by the clipping norm.',
    },
    'target-epsilon': {
      type: 'string',
      value: 'E',
      help: 'Print the least noise, the most steps or the largest rate (whichever is left out) with ε at most E.',
    },
    accountant: {
      type: 'string',
      value: 'A',
      help: 'Whose ε --target-epsilon means: rdp (default), pld, gdp or zcdp.',
    },
    plan: { type: 'boolean', help: 'Print ε after each release, or after 1, 2, 3, 5, 10, 20 … of many.' },
    steps: { type: 'string', value: 'T', help: 'Number of releases.' },
    delta: { type: 'string', value: 'D', help: 'Probability with which the ε bound may fail, between 0 and 1.' },
    study: {
      type: 'string',
      value: 'FILE',
      help: 'Account for the schedule of a study draft or of signed terms: every attempt, charged at its worst case.',
    },
    batch: {
      type: 'string',
      value: 'FILE',
      help: 'A JSON array of {"samplingRate","noiseMultiplier","steps","delta"}; prints it with "epsilon" added to each.',
    },
  },
  async run(invocation) {
    if (invocation.positionals.length > 0)
      throw new UsageError('account takes options only; see: consilience account --help');
    const file = stringOption(invocation.options, 'batch');
    if (file !== undefined) {
      const others = Object.keys(accountCommand.options).filter(
        (name) => name !== 'batch' && invocation.options[name] !== undefined,
      );
      if (others.length > 0) throw new UsageError(`--batch stands alone; leave out --${others.join(', --')}.`);
      invocation.out(`${JSON.stringify(await batch(file), null, 2)}\n`);
      return 0;
    }
    const terms = stringOption(invocation.options, 'study');
    return terms === undefined ? one(invocation) : ofStudy(terms, invocation);
  },
};

/** A study's schedule as the contract check prices it, by every accountant. */
async function ofStudy(file: string, { options, json, out }: Invocation): Promise<0> {
  const others = Object.keys(accountCommand.options).filter(
    (name) => name !== 'study' && name !== 'plan' && options[name] !== undefined,
  );
  if (others.length > 0)
    throw new UsageError(`--study takes --plan alone beside it; leave out --${others.join(', --')}.`);
  const { contract } = await readToCheck(file);
  const { privacy, training, sealing, schedule } = contract;
  const whole = scheduleFigures(contract);
  const plan =
    options['plan'] === true
      ? curvePoints(schedule.attempts).map((attempts) => scheduleFigures(contract, attempts))
      : null;
  const facts = {
    study: contract.name,
    attempts: schedule.attempts,
    delta: privacy.delta,
    unit: training.unit,
    adjacency: adjacencyOf(contract),
    institutionsPerPerson: training.institutionsPerPerson,
    colluders: sealing.colluders,
  };
  if (json) {
    const curved = plan?.map(({ attempts, by }) => ({ attempts, epsilon: epsilonsOf(by) }));
    const answer = { ...facts, epsilon: epsilonsOf(whole.by), refused: refusalsOf(whole.by) };
    out(`${JSON.stringify(plan === null ? answer : { ...answer, plan: curved })}\n`);
    return 0;
  }
  const unit = `per ${facts.unit}${facts.unit === 'institution' ? '' : ' at one institution'}, ${facts.adjacency}${facts.institutionsPerPerson > 1 ? `, in up to ${facts.institutionsPerPerson} institutions` : ''}`;
  out(
    [
      `${facts.study}: ${facts.attempts} attempts, aborted ones charged too, against the coordinator with ${facts.colluders} colluders (${unit})`,
      ...accountantNames.map((name) => {
        const one = whole.by[name];
        const said = one.epsilon === null ? one.why.sentence : `ε = ${shown(one.epsilon)} at δ = ${facts.delta}`;
        return `  ${titles[name]}  ${said}${one.epsilon === null ? '' : notes[name]}`;
      }),
      ...(plan === null
        ? []
        : curveLines(plan.map(({ attempts, by }) => ({ step: attempts, epsilon: epsilonsOf(by) })))),
      '',
    ].join('\n'),
  );
  return 0;
}

const titles: { readonly [name in AccountantName]: string } = { rdp: 'RDP', pld: 'PLD', gdp: 'GDP', zcdp: 'zCDP' };
const notes: { readonly [name in AccountantName]: string } = {
  rdp: ' (consents, ceilings and the guard count this)',
  pld: ' (of this fixed schedule; never priced again by what was realised)',
  gdp: '',
  zcdp: '',
};

type ByAccountant = ScheduleFigures['by'];
type OptionalEpsilons = { readonly [name in AccountantName]: number | null };

const epsilonsOf = (by: ByAccountant): OptionalEpsilons =>
  Object.fromEntries(accountantNames.map((name) => [name, by[name].epsilon])) as OptionalEpsilons;

const refusalsOf = (by: ByAccountant): { readonly [name: string]: string } =>
  Object.fromEntries(
    accountantNames.flatMap((name) => {
      const one = by[name];
      return one.epsilon === null ? [[name, one.why.code]] : [];
    }),
  );

function curveLines(plan: readonly { readonly step: number; readonly epsilon: OptionalEpsilons }[]): string[] {
  return [
    '  after      RDP        PLD        GDP        zCDP',
    ...plan.map(({ step, epsilon }) =>
      `  ${String(step).padEnd(10)} ${accountantNames.map((name) => orDash(epsilon[name]).padEnd(10)).join(' ')}`.trimEnd(),
    ),
  ];
}

function one({ options, json, out }: Invocation): 0 {
  const target = numberOption(options, 'target-epsilon', { least: 0, aboveLeast: true, most: 1e6 });
  if (target === undefined && options['accountant'] !== undefined)
    throw new UsageError('--accountant says whose ε --target-epsilon means; every accountant is printed anyway.');
  const members = ['sampling-rate', 'noise-multiplier', 'steps'] as const;
  const left = members.filter((name) => options[name] === undefined);
  if (target !== undefined && left.length === 0)
    throw new UsageError('Give --target-epsilon or all of --sampling-rate, --noise-multiplier and --steps, not both.');
  // Of several that are missing, the first is named; with a target one may be.
  for (const name of target === undefined ? left : left.slice(1)) requiredOption(options, name);
  const samplingRate = numberOption(options, 'sampling-rate', { least: 0, aboveLeast: true, most: 1 });
  const noiseMultiplier = numberOption(options, 'noise-multiplier', noiseRange);
  const steps = numberOption(options, 'steps', { least: 1, most: mostSteps, whole: true });
  const delta = needed(options, 'delta', { least: leastDelta, most: 1 });
  if (delta === 1) throw new UsageError('--delta must be below 1.');
  const accountant = accountantOption(options);
  const schedule: Schedule =
    target === undefined
      ? { samplingRate: samplingRate!, noiseMultiplier: noiseMultiplier!, steps: steps!, delta }
      : calibrated({ samplingRate, noiseMultiplier, steps, delta }, target, accountant, noiseRange.least);
  const { epsilon, grid } = figures(schedule);
  const plan = options['plan'] === true ? curve(schedule) : null;
  if (json) {
    const answer = { ...schedule, adjacency: 'add-or-remove', epsilon, pldGrid: grid };
    out(`${JSON.stringify(plan === null ? answer : { ...answer, plan })}\n`);
    return 0;
  }
  const found = target === undefined ? null : left[0]!;
  const digits = (name: (typeof members)[number], value: number): string =>
    name === found && name !== 'steps' ? value.toPrecision(7) : String(value);
  out(
    [
      `${schedule.steps} releases, sampling rate ${digits('sampling-rate', schedule.samplingRate)}, noise multiplier ${digits('noise-multiplier', schedule.noiseMultiplier)}, add-or-remove neighbours`,
      ...rows(epsilon, grid).map(
        ([name, value, note]) =>
          `  ${name}  ${value === null ? note : `ε = ${shown(value)} at δ = ${delta}${note === '' ? '' : ` (${note})`}`}`,
      ),
      ...(plan === null ? [] : curveLines(plan)),
      '',
    ].join('\n'),
  );
  return 0;
}

/** What PLD's grid may add is said where it could be seen. */
const worthSaying = 1e-3;

const unsampledOnly = 'does not apply to sampled releases';
const orDash = (epsilon: number | null): string => (epsilon === null ? '–' : shown(epsilon));

function rows(epsilon: Epsilons, grid: Grid): readonly (readonly [string, number | null, string])[] {
  const loose =
    grid === null || grid.looseness <= worthSaying
      ? ''
      : `up to ${grid.looseness.toPrecision(1)} too large, from losses in steps of ${grid.discretisation.toPrecision(2)}`;
  return [
    ['RDP', epsilon.rdp, ''],
    ['PLD', epsilon.pld, loose],
    ['GDP', epsilon.gdp, epsilon.gdp === null ? unsampledOnly : ''],
    ['zCDP', epsilon.zcdp, epsilon.zcdp === null ? unsampledOnly : ''],
  ];
}

function accountantOption(options: OptionValues): AccountantName {
  const given = stringOption(options, 'accountant') ?? 'rdp';
  const name = accountantNames.find((one) => one === given);
  if (name === undefined) throw new UsageError(`--accountant must be one of ${accountantNames.join(', ')}.`);
  return name;
}

function needed(options: OptionValues, name: string, range: Parameters<typeof numberOption>[2]): number {
  requiredOption(options, name);
  return numberOption(options, name, range)!;
}

/** Rounded up in the fourth digit: a printed ε never promises more than the number behind it. */
function shown(epsilon: number): string {
  if (epsilon === 0) return '0';
  const unit = 10 ** (Math.floor(Math.log10(epsilon)) - 3);
  return String(Number((Math.ceil(epsilon / unit) * unit).toPrecision(4)));
}

async function batch(file: string): Promise<readonly unknown[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { message } = diskError(error, `The batch ${file}`);
    throw new InputError('batch-unreadable', message, { cause: error });
  }
  let items: unknown;
  try {
    items = JSON.parse(text);
  } catch {
    throw new InputError('batch-not-json', `--batch needs a file with one JSON array; "${file}" is not JSON.`);
  }
  if (!Array.isArray(items)) throw new InputError('batch-not-array', `--batch needs a JSON array in "${file}".`);
  // Everything is checked before anything is computed, so that a long file fails at once.
  const schedules = items.map((item: unknown, index) => scheduleOf(item, index));
  return items.map((item: unknown, index) => ({ ...(item as object), epsilon: figures(schedules[index]!).epsilon }));
}

function scheduleOf(item: unknown, index: number): Schedule {
  if (typeof item !== 'object' || item === null || Array.isArray(item))
    throw new InputError('batch-entry', `Entry ${index} of the batch must be an object.`);
  const members = item as { readonly [name: string]: unknown };
  const read = (name: string, ok: (value: number) => boolean, wants: string): number => {
    const value = members[name];
    if (typeof value !== 'number' || !ok(value))
      throw new InputError('batch-entry', `Entry ${index} of the batch: "${name}" must be ${wants}.`);
    return value;
  };
  return {
    samplingRate: read('samplingRate', (q) => q > 0 && q <= 1, 'a number above 0 to 1'),
    noiseMultiplier: read(
      'noiseMultiplier',
      (z) => z >= noiseRange.least && z <= noiseRange.most,
      `a number from ${noiseRange.least} to ${noiseRange.most}`,
    ),
    steps: read('steps', (t) => Number.isSafeInteger(t) && t >= 1 && t <= mostSteps, 'a whole number from 1 to 1e9'),
    delta: read('delta', (d) => d >= leastDelta && d < 1, 'a number above 0 and below 1'),
  };
}
