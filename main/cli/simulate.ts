// `consilience simulate`: a study on given files in one process, by the same protocol code as the real processes; with
// --faults, made-up federations in a faulty world. Design 1, "Command line".

import { readFile } from 'node:fs/promises';
import { InputError } from '../../app/errors.ts';
import { parseDraft } from '../../app/study/signed-contract.ts';
import type { Mapping } from '../../app/training/mapping.ts';
import { readMappingFile } from '../host/import/mapping-file.ts';
import type { ModelPrivacy } from '../host/model/run.ts';
import type { SealedEvaluation } from '../host/sealing/sealed-evaluation.ts';
import { simulateFiles } from '../host/model/simulated-study.ts';
import { noiseAtLevel } from '../../app/review/round-event.ts';
import type { Adaptation } from '../../app/round/adaptation.ts';
import type { SimulatedStudy } from '../host/model/simulated-study.ts';
import { namedFiles, stringOption, UsageError } from './command.ts';
import type { Command, Invocation } from './command.ts';

export const simulateCommand: Command = {
  name: 'simulate',
  summary: 'Runs a study on given files in one process, by the same protocol code.',
  usage: [
    'simulate STUDY.json --silo NAME=FILE … [--test NAME=FILE …] [--mapping NAME=FILE …] [--seed S] [--out DIR] [--json]',
    'simulate --faults --seeds A..B [--json]',
  ],
  example:
    'consilience simulate study.json --silo north=north.csv --silo south=south.csv --silo west=west.csv --seed 1',
  options: {
    silo: {
      type: 'string',
      multiple: true,
      value: 'NAME=FILE',
      help: 'Records of one institution, by its roster name: CSV, JSON Lines, XLSX or Parquet.',
    },
    test: { type: 'string', multiple: true, value: 'NAME=FILE', help: 'Rows to test on, outside ε: they stay here.' },
    mapping: {
      type: 'string',
      multiple: true,
      value: 'NAME=FILE',
      help: 'How the columns of one institution’s files become the study’s.',
    },
    checkpoint: { type: 'string', value: 'DIR', help: 'A language study: the folder of its checkpoint.' },
    seed: { type: 'string', help: 'Repeats the run exactly. A seeded run is not private.' },
    faults: {
      type: 'boolean',
      help: 'Made-up federations with crashes, bad networks and disks, and liars; every promise is checked after every event.',
    },
    seeds: { type: 'string', value: 'A..B', help: 'With --faults: which federations. A seed replays exactly.' },
    out: { type: 'string', value: 'DIR', help: 'Keeps the trained model here, for "model export --run DIR".' },
  },
  async run(invocation) {
    const { positionals, options } = invocation;
    if (options['faults'] === true) {
      if (positionals.length > 0) throw new UsageError('--faults makes its own studies and takes no file.');
      const { simulateFaultyFederations } = await import('./simulate-faults.ts');
      return simulateFaultyFederations(invocation);
    }
    const [file, ...others] = positionals;
    if (file === undefined || others.length > 0) throw new UsageError('Give exactly one study file.');
    const silos = namedFiles(options, 'silo');
    const tests = namedFiles(options, 'test');
    const mappingFiles = namedFiles(options, 'mapping');
    const draft = parseDraft(await textOf(file));
    requireNames(
      draft.roster.map((entry) => entry.name),
      silos,
      new Map([...tests, ...mappingFiles]),
    );
    const mappings = new Map<string, Mapping>();
    for (const [name, path] of mappingFiles) mappings.set(name, await readMappingFile(path));
    const seed = stringOption(options, 'seed') ?? null;
    const study = await simulateFiles({
      draft,
      silos,
      tests,
      mappings,
      checkpoint: stringOption(options, 'checkpoint') ?? null,
      seed,
      onRound: (round, total) => {
        if (!invocation.json && process.stderr.isTTY) invocation.warn(`\rTraining round ${round} of ${total}`);
      },
    });
    const out = stringOption(options, 'out');
    if (out !== undefined) await keep(out, study, seed !== null);
    return reportStudy(invocation, study);
  },
};

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    throw new InputError('file-unreadable', `The study file "${file}" cannot be read. Check its path and permissions.`);
  }
}

/** @throws UsageError unless every institution has a silo and every name is in the roster. */
function requireNames(
  roster: readonly string[],
  silos: ReadonlyMap<string, string>,
  tests: ReadonlyMap<string, string>,
): void {
  const list = roster.join(', ');
  for (const name of [...silos.keys(), ...tests.keys()])
    if (!roster.includes(name)) throw new UsageError(`"${name}" is not in the study’s roster (${list}).`);
  const missing = roster.filter((name) => !silos.has(name));
  if (missing.length > 0)
    throw new UsageError(`These institutions of the roster have no --silo: ${missing.join(', ')}.`);
}

async function keep(folder: string, study: SimulatedStudy, seeded: boolean): Promise<void> {
  const { writeModelRun } = await import('../host/model/run.ts');
  const { contractHash } = await import('../../app/study/signed-contract.ts');
  const { nodeCipher } = await import('../host/machine.ts');
  const { toHex } = await import('../../app/encoding/bytes.ts');
  await writeModelRun(folder, {
    contract: study.contract,
    contractHash: toHex(contractHash(nodeCipher, study.contract)),
    released: study.released,
    model: study.model,
    rounds: study.rounds,
    metrics: study.metrics,
    privacy: runPrivacy(study.privacy),
    seeded,
  });
}

function runPrivacy(privacy: SimulatedStudy['privacy']): ModelPrivacy {
  const { unit, adjacency, delta, epsilon, accountant, noiseMultiplier, noise } = privacy;
  return { unit, adjacency, delta, epsilon, accountant, noiseMultiplier, noise };
}

function evaluationLines({ pooled }: SealedEvaluation, metric: SimulatedStudy['metric']): string[] {
  const { count, noise, accuracy, error, loss, tokens, auc, f1, macroF1, slices } = pooled;
  const orTooFew = (value: number | null): string => (value === null ? 'too few' : shown(value));
  return [
    `From the sums alone, second half of the rounds, on units that never trained (inside ε): about ${Math.round(count)} ± ${Math.ceil(noise)} tested;`,
    metric === 'rootMeanSquaredError'
      ? `mean absolute error ${orTooFew(error?.meanAbsolute ?? null)}, root mean squared error ${orTooFew(error?.rootMeanSquared ?? null)}.`
      : metric === 'perplexity'
        ? `perplexity, each ${tokens === null ? 'text' : 'token'} counted alike, ${orTooFew(loss === null ? null : Math.exp(loss))}.`
        : `accuracy ${orTooFew(accuracy)}, loss ${orTooFew(loss)}, AUC ${orTooFew(auc)}, F1 ${orTooFew(f1)}.`,
    ...(macroF1 === null
      ? []
      : [`Macro F1 ${shown(macroF1.value)}, of the ${macroF1.classes} classes with enough of their own.`]),
    ...slices.map(
      (slice) =>
        `  ${slice.column} = ${slice.category}: accuracy ${shown(slice.accuracy)} of about ${Math.round(slice.count)}`,
    ),
  ];
}

/** @returns 1, a failed check, where a privacy log does not verify. */
export function reportStudy({ json, out }: Invocation, study: SimulatedStudy): 0 | 1 {
  const { rounds, metrics, evaluation, privacy, adaptation, ledger, metric, model, bytesSent, review } = study;
  if (json) {
    const warnings = review.findings.map(({ code, reason }) => ({ code, reason }));
    const said = privacyLines(privacy).map((line) => line.trim());
    const told = { ...privacy, epsilon: privacy.epsilon.coordinator === null ? null : privacy.epsilon, said };
    const adapted = adaptation === null ? {} : { adaptation };
    const answer = {
      rounds,
      metric,
      metrics,
      evaluation,
      privacy: told,
      ...adapted,
      ledger,
      model,
      bytesSent,
      warnings,
    };
    out(`${JSON.stringify(answer)}\n`);
    return ledger.verified ? 0 : 1;
  }
  const lines = [`Rounds closed: ${rounds}.`];
  if (metrics !== null) {
    const width = Math.max(...Object.keys(metrics.federated.perInstitution).map((name) => name.length), 11);
    lines.push('', `${'institution'.padEnd(width)}  own site  federated   (${metric}, on this machine only)`);
    const { federated, ownSite } = metrics;
    const row = (name: string, own: number | undefined, all: number): string =>
      `${name.padEnd(width)}  ${own === undefined ? '    –' : shown(own)}     ${shown(all)}`;
    for (const [name, score] of Object.entries(federated.perInstitution))
      lines.push(row(name, ownSite?.perInstitution[name], score));
    lines.push(row('mean', ownSite?.mean, federated.mean));
  }
  if (evaluation !== null) lines.push('', ...evaluationLines(evaluation, metric));
  if (adaptation !== null) lines.push('', ...adaptationLines(study, adaptation));
  lines.push('', ...privacyLines(privacy), `Privacy logs verified: ${ledger.verified ? 'yes' : 'NO'}.`, '');
  out(lines.join('\n'));
  return ledger.verified ? 0 : 1;
}

function adaptationLines({ contract }: SimulatedStudy, { clip, noise }: Adaptation): string[] {
  const { clippingNorm } = contract.training;
  const { noiseMultiplier } = noiseAtLevel(contract, noise?.level ?? 0).privacy;
  return [
    ...(clip === undefined
      ? []
      : [`The clipping norm moved from ${clippingNorm} to ${clip.toPrecision(4)}, by the sums alone.`]),
    ...(noise === undefined
      ? []
      : [
          `The noise fell by ${noise.level} level(s), to a multiplier of ${noiseMultiplier!.toPrecision(4)}, by the sums alone.`,
        ]),
  ];
}

const shown = (value: number): string => value.toFixed(3);

function privacyLines(privacy: SimulatedStudy['privacy']): string[] {
  const { epsilon, delta, unit, adjacency, noise, institutionsPerPerson } = privacy;
  if (epsilon.coordinator === null)
    return ['ε: no bound. This study has no noise, so what one record contributed may be recoverable.'];
  const figure = (value: number | null): string => (value === null ? 'no bound' : value.toPrecision(3));
  return [
    `ε = ${figure(epsilon.coordinator)} at δ = ${delta} against coordinator and colluders, ${figure(epsilon.outsiders)} against outsiders`,
    `  (per ${unit}, ${adjacency}; one person in at most ${institutionsPerPerson} institution(s); RDP accountant)`,
    ...(privacy.hypothetical ? [`  Hypothetical: noise is ${noise}.`] : []),
  ];
}
