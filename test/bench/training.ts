// Private fine-tuning of a small real language model on real clinical notes (../shared): a rank-8 adapter on all linear
// maps of stories260K, MTS-Dialog's section_text, eight institutions, in the whole protocol. Perplexity on the validation
// file: the checkpoint as it is, federated without noise, private, and each institution alone.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import { InputError } from '../../app/errors.ts';
import type { Task } from '../../app/study/task.ts';
import { evaluateLanguage } from '../../app/training/language/evaluate.ts';
import { initialAdapter } from '../../app/training/language/adapter.ts';
import { possibleTargets } from '../../app/training/language/modules.ts';
import { isLanguageTask } from '../../app/training/types.ts';
import { checkpointHash, openCheckpoint } from '../../main/host/checkpoint/checkpoint-folder.ts';
import { readTable } from '../../main/host/import/read-table.ts';
import { simulateFiles } from '../../main/host/model/simulated-study.ts';
import type { SimulatedStudy } from '../../main/host/model/simulated-study.ts';
import { chooseBackend } from '../../main/trainer/candidates.ts';
import { openLanguage } from '../../main/trainer/language.ts';
import { languageDraft } from './language-study.ts';
import { trainingSpeedBench } from './training-speed.ts';

const shared = path.resolve(import.meta.dirname, '../../../shared');
export const model = path.join(shared, 'models/stories260K');
const notes = path.join(shared, 'data/mts-dialog');
export const institutions = 8;

type Note = { readonly section_header: string; readonly section_text: string };

const notesOf = (name: string): Note[] =>
  parse(readFileSync(path.join(notes, name)), { columns: true, bom: true }) as Note[];

const csvOf = (rows: readonly Note[]): string =>
  [
    'section_header,section_text',
    ...rows.map((row) => [row.section_header, row.section_text].map(quoted).join(',')),
  ].join('\n');
const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;

/** Why the bench cannot run here; null where it can. */
export const languageMissing = (): string | null =>
  existsSync(model) && existsSync(notes) ? null : 'the small model or the notes (../shared) are not on this machine';

export async function adapted(freezeA: boolean, rank = 8): Promise<Task['model']> {
  const checkpoint = await openCheckpoint(model);
  await checkpoint.close();
  const { configuration } = checkpoint;
  return {
    kind: 'adapted-checkpoint',
    checkpoint: { hash: await checkpointHash(model), configuration },
    adapter: { kind: 'lora', rank, alpha: 2 * rank, targets: possibleTargets(configuration), freezeA, seed: 1 },
  };
}

export const table = {
  format: 'csv' as const,
  columnNames: null,
  missingTokens: [],
  features: [
    { kind: 'text' as const, column: 'section_text', tokens: 128, pieces: 1, whenMissing: { rule: 'refuse' as const } },
  ],
  personColumn: null,
};

/** Rows of the training file dealt out in turn, and the validation file, as files that the import reads. */
export function filesIn(folder: string) {
  const training = notesOf('MTS-Dialog-TrainingSet.csv');
  const silos = new Map<string, string>();
  for (let at = 0; at < institutions; at++) {
    const file = path.join(folder, `site-${at + 1}.csv`);
    writeFileSync(file, csvOf(training.filter((_, row) => row % institutions === at)));
    silos.set(`site-${at + 1}`, file);
  }
  const test = path.join(folder, 'validation.csv');
  writeFileSync(test, csvOf(notesOf('MTS-Dialog-ValidationSet.csv')));
  const roster = [...silos.keys()].map((name) => ({ name, nominalUnits: Math.ceil(training.length / institutions) }));
  const classes = [...new Set(training.map((row) => row.section_header))].sort();
  return { silos, test, roster, classes };
}

/**
 * Chosen on the validation file by pooled experiments, as the bench says. Private: large batches and few rounds, because the
 * noise for one ε weighs least there, and a small rate, because Adam turns noise of any size into steps of its rate.
 */
export const settings = {
  noNoise: {
    rounds: 150,
    training: {
      samplingRate: 0.1,
      clippingNorm: 10,
      server: { kind: 'fedadam', learningRate: 0.02, firstDecay: 0.9, secondDecay: 0.99, adaptivity: 1e-3 },
    },
  },
  private: {
    rounds: 60,
    training: {
      samplingRate: 0.3,
      clippingNorm: 1,
      server: { kind: 'fedadam', learningRate: 0.005, firstDecay: 0.9, secondDecay: 0.99, adaptivity: 1e-3 },
    },
  },
  // A class is told from the first 64 tokens, so that both ends in half an hour of one core.
  headers: {
    rounds: 60,
    training: {
      samplingRate: 0.15,
      clippingNorm: 10,
      server: { kind: 'fedadam', learningRate: 0.005, firstDecay: 0.9, secondDecay: 0.99, adaptivity: 1e-3 },
    },
  },
  headersPrivate: {
    rounds: 40,
    training: {
      samplingRate: 0.15,
      clippingNorm: 1,
      server: { kind: 'fedadam', learningRate: 0.005, firstDecay: 0.9, secondDecay: 0.99, adaptivity: 1e-3 },
    },
  },
} as const;

/** Parts of the bench, each of which can be run alone: `training language private`. */
export const languageParts = ['no-noise', 'private', 'headers', 'headers-private'] as const;
export type LanguagePart = (typeof languageParts)[number];

type Setting = (typeof settings)[keyof typeof settings];

/** Rounds after which the joint model is tested, besides the last. */
const curveEvery = 15;

export async function languageModelBench(parts: readonly LanguagePart[] = languageParts): Promise<object> {
  const missing = languageMissing();
  if (missing !== null) return { skipped: missing };
  const folder = mkdtempSync(path.join(tmpdir(), 'language-bench-'));
  try {
    const { silos, test, roster, classes } = filesIn(folder);
    const taskOf = async (kind: 'causal-lm' | 'text-classification', few = false): Promise<Task> => ({
      kind,
      table: {
        ...table,
        features: table.features.map((feature) => ({ ...feature, tokens: kind === 'causal-lm' ? 128 : 64 })),
        label: kind === 'causal-lm' ? { kind: 'none' } : { kind: 'classes', column: 'section_header', classes },
      },
      // Fewer numbers to noise, where classes are learned privately.
      model: await adapted(few, few ? 4 : 8),
    });
    const run = async (
      name: LanguagePart,
      kind: 'causal-lm' | 'text-classification',
      { rounds, training }: Setting,
      epsilon: number | null,
    ) => {
      if (!parts.includes(name)) return null;
      const task = await taskOf(kind, name === 'headers-private');
      const models = new Map<number, Float32Array>();
      const study = await simulateFiles({
        draft: languageDraft({ name, task, roster, rounds, training, epsilon }),
        silos,
        // The validation file is one and the same for everybody; each institution alone is tested on it too.
        tests: new Map((epsilon === null ? roster : roster.slice(0, 1)).map((one) => [one.name, test])),
        checkpoint: model,
        seed: '1',
        ownSite: epsilon === null,
        onModel: (round, released) => {
          if (round % curveEvery === 0) models.set(round, Float32Array.from(released));
          process.stderr.write(`${name}: round ${round} of ${rounds}\n`);
        },
      });
      return { ...figures(study), curve: await curveOf(task, test, models) };
    };
    await chooseBackend();
    const [noNoise, noised] = [
      await run('no-noise', 'causal-lm', settings.noNoise, null),
      await run('private', 'causal-lm', settings.private, 8),
    ];
    const [headers, headersPrivate] = [
      await run('headers', 'text-classification', settings.headers, null),
      await run('headers-private', 'text-classification', settings.headersPrivate, 8),
    ];
    return {
      base: (await curveOf(await taskOf('causal-lm'), test, new Map([[0, null]])))[0]!.score,
      noNoise: noNoise?.score ?? null,
      private: noised === null ? null : { perplexity: noised.score, ...noised.privacy },
      ownSite: noNoise?.ownSite ?? null,
      curves: { noNoise: noNoise?.curve ?? null, private: noised?.curve ?? null },
      sectionHeaders: {
        ownSite: headers?.ownSite ?? null,
        federated: headers?.score ?? null,
        private: headersPrivate === null ? null : { accuracy: headersPrivate.score, ...headersPrivate.privacy },
        curves: { federated: headers?.curve ?? null, private: headersPrivate?.curve ?? null },
        commonest: commonestShare(silos, test),
      },
      institutions,
      note: 'Measured on the validation file, outside ε, on which the settings were chosen. Seeded, so hypothetical.',
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Accuracy on the test file of always saying the class that is most common in training. */
function commonestShare(silos: ReadonlyMap<string, string>, test: string): number {
  const headersOf = (file: string): string[] =>
    parse<Note>(readFileSync(file), { columns: true }).map((note) => note.section_header);
  const counts = new Map<string, number>();
  for (const header of [...silos.values()].flatMap(headersOf)) counts.set(header, (counts.get(header) ?? 0) + 1);
  const [most] = [...counts].sort(([, one], [, other]) => other - one)[0]!;
  const tested = headersOf(test);
  return tested.filter((header) => header === most).length / tested.length;
}

const figures = ({ metrics, privacy, contract, rounds }: SimulatedStudy) => ({
  score: metrics!.federated.mean,
  ownSite: metrics!.ownSite?.mean ?? null,
  privacy: {
    epsilon: privacy.epsilon.coordinator,
    delta: privacy.delta,
    unit: privacy.unit,
    adjacency: privacy.adjacency,
    colluders: contract.sealing.colluders,
    noiseMultiplier: privacy.noiseMultiplier,
    rounds,
  },
});

/** Perplexity or accuracy of each model on a file; null stands for the checkpoint as it is. */
async function curveOf(task: Task, file: string, models: ReadonlyMap<number, Float32Array | null>) {
  if (!isLanguageTask(task)) throw new TypeError('task must be one of language');
  const language = await openLanguage(task, model);
  try {
    const records = await readTable(file, task.table, { labels: true, tokenise: language.tokenise });
    const curve: { readonly round: number; readonly score: number }[] = [];
    for (const [round, parameters] of models) {
      const metrics = await evaluateLanguage(language, parameters ?? initialAdapter(language.layout), records);
      curve.push({ round, score: metrics.kind === 'causal-lm' ? metrics.perplexity : metrics.accuracy });
    }
    return curve;
  } finally {
    language.model.dispose();
  }
}

/** Ratios of speed, and what a language study reaches; `training speed` and `training language [PART …]` measure some. */
export async function trainingBench([part, ...wanted]: readonly string[] = []): Promise<object> {
  const parts = languageParts.filter((one) => wanted.length === 0 || wanted.includes(one));
  if (parts.length < wanted.length)
    throw new InputError('bench-part', `The parts of "training language" are ${languageParts.join(', ')}.`);
  return {
    ...(part === 'language' ? {} : await trainingSpeedBench()),
    ...(part === 'speed' ? {} : { languageModel: await languageModelBench(parts) }),
  };
}
