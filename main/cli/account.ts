// `consilience account`: ε for a schedule of (Poisson-sampled) Gaussian releases by every accountant that applies, one
// schedule from the options or many from a file; or the noise multiplier for a target ε. Spec: design 1, design 4.

import { readFile } from 'node:fs/promises';
import { InputError, RefusalError } from '../../app/errors.ts';
import { calibrateNoiseMultiplier } from '../../app/privacy/calibrate.ts';
import type { GaussianEvent } from '../../app/privacy/events.ts';
import { gdpAccountant } from '../../app/privacy/gdp-accountant.ts';
import { rdpAccountant } from '../../app/privacy/rdp-accountant.ts';
import { delta as checkedDelta } from '../../app/units.ts';
import { numberOption, requiredOption, stringOption, UsageError } from './command.ts';
import type { Command, Invocation, OptionValues } from './command.ts';

type Schedule = {
  readonly samplingRate: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
  readonly delta: number;
};

/** ε by accountant; null where it does not apply, does not exist yet, or bounds nothing. */
type Epsilons = { readonly rdp: number | null; readonly pld: number | null; readonly gdp: number | null };

const mostSteps = 1e9;
/** Beyond these a number is a slip of the pen, and float64 could no longer say ε. */
const noiseRange = { least: 1e-3, most: 1e6 };
const leastDelta = 1e-300;

export const accountCommand: Command = {
  name: 'account',
  summary: 'How much privacy a schedule of noised releases costs (ε at δ), by every accountant.',
  usage: [
    'account --sampling-rate Q --noise-multiplier S --steps T --delta D [--json]',
    'account --sampling-rate Q --target-epsilon E --steps T --delta D [--json]',
    'account --batch FILE',
  ],
  example: 'npm run -s consilience -- account --sampling-rate 0.01 --noise-multiplier 1 --steps 1000 --delta 1e-5',
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
      help: 'In place of --noise-multiplier: print the least that keeps ε (by RDP) at most E.',
    },
    steps: { type: 'string', value: 'T', help: 'Number of releases.' },
    delta: { type: 'string', value: 'D', help: 'Probability with which the ε bound may fail, between 0 and 1.' },
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
    return one(invocation);
  },
};

function one({ options, json, out }: Invocation): 0 {
  const target = numberOption(options, 'target-epsilon', { least: 0, aboveLeast: true, most: 1e6 });
  if (target !== undefined && options['noise-multiplier'] !== undefined)
    throw new UsageError('Give --noise-multiplier or --target-epsilon, not both.');
  const samplingRate = needed(options, 'sampling-rate', { least: 0, aboveLeast: true, most: 1 });
  const given = target === undefined ? needed(options, 'noise-multiplier', noiseRange) : undefined;
  const steps = needed(options, 'steps', { least: 1, most: mostSteps, whole: true });
  const delta = needed(options, 'delta', { least: leastDelta, most: 1 });
  if (delta === 1) throw new UsageError('--delta must be below 1.');
  const noiseMultiplier =
    given ?? calibrateNoiseMultiplier({ epsilon: target!, delta, samplingRate, steps, least: noiseRange.least });
  const schedule = { samplingRate, noiseMultiplier, steps, delta };
  const epsilon = epsilons(schedule);
  if (json) {
    out(`${JSON.stringify({ ...schedule, adjacency: 'add-or-remove', epsilon })}\n`);
    return 0;
  }
  const lines = [
    ['RDP', epsilon.rdp, ''],
    ['PLD', epsilon.pld, 'not available in this version'],
    ['GDP', epsilon.gdp, 'does not apply to sampled releases'],
  ] as const;
  out(
    [
      `${steps} releases, sampling rate ${samplingRate}, noise multiplier ${target === undefined ? noiseMultiplier : noiseMultiplier.toPrecision(7)}, add-or-remove neighbours`,
      ...lines.map(
        ([name, value, why]) => `  ${name}  ${value === null ? why : `ε = ${shown(value)} at δ = ${delta}`}`,
      ),
      '',
    ].join('\n'),
  );
  return 0;
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

function epsilons(schedule: Schedule): Epsilons {
  const delta = checkedDelta(schedule.delta);
  const event: GaussianEvent = {
    mechanism: 'gaussian',
    noiseMultiplier: schedule.noiseMultiplier,
    samplingRate: schedule.samplingRate,
    steps: schedule.steps,
    adjacency: 'add-or-remove',
  };
  const by = (account: ReturnType<typeof rdpAccountant>): number | null => {
    if (account.unsupported(event) !== null) return null;
    account.compose(event);
    const epsilon = account.epsilon(delta);
    if (!Number.isFinite(epsilon))
      throw new RefusalError('no-bound', `The ${account.name} accountant bounds no ε for this schedule.`);
    return epsilon;
  };
  return { rdp: by(rdpAccountant('add-or-remove')), pld: null, gdp: by(gdpAccountant('add-or-remove')) };
}

async function batch(file: string): Promise<readonly unknown[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new InputError('batch-unreadable', `--batch cannot read "${file}" (${code}).`, { cause: error });
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
  return items.map((item: unknown, index) => ({ ...(item as object), epsilon: epsilons(schedules[index]!) }));
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
