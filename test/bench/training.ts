// Private fine-tuning of a small real language model on real clinical notes (../shared): a rank-8 adapter on all linear
// maps of stories260K, MTS-Dialog's section_text, eight institutions, in the whole protocol. Perplexity on the validation
// file: the checkpoint as it is, federated without noise, private, and each institution alone.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import type { Task } from '../../app/study/task.ts';
import { evaluateLanguage } from '../../app/training/language/evaluate.ts';
import { initialAdapter } from '../../app/training/language/adapter.ts';
import { possibleTargets } from '../../app/training/language/modules.ts';
import { isLanguageTask } from '../../app/training/types.ts';
import { checkpointHash, openCheckpoint } from '../../main/host/checkpoint/checkpoint-folder.ts';
import { readTable } from '../../main/host/import/read-table.ts';
import { simulateFiles } from '../../main/host/simulated-study.ts';
import type { SimulatedStudy } from '../../main/host/simulated-study.ts';
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

export async function adapted(freezeA: boolean): Promise<Task['model']> {
  const checkpoint = await openCheckpoint(model);
  await checkpoint.close();
  const { configuration } = checkpoint;
  return {
    kind: 'adapted-checkpoint',
    checkpoint: { hash: await checkpointHash(model), configuration },
    adapter: { kind: 'lora', rank: 8, alpha: 16, targets: possibleTargets(configuration), freezeA, seed: 1 },
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

/** A start, not tuned: rates and lengths of pooled experiments on these notes. */
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
      samplingRate: 0.1,
      clippingNorm: 1,
      server: { kind: 'fedadam', learningRate: 0.01, firstDecay: 0.9, secondDecay: 0.99, adaptivity: 1e-3 },
    },
  },
} as const;

export async function languageModelBench(): Promise<object> {
  const missing = languageMissing();
  if (missing !== null) return { skipped: missing };
  const folder = mkdtempSync(path.join(tmpdir(), 'language-bench-'));
  try {
    const { silos, test, roster, classes } = filesIn(folder);
    const causal: Task = {
      kind: 'causal-lm',
      table: { ...table, label: { kind: 'none' } },
      model: await adapted(false),
    };
    const first = roster[0]!.name;
    const run = (name: string, task: Task, chosen: (typeof settings)['noNoise' | 'private'], epsilon: number | null) =>
      simulateFiles({
        draft: languageDraft({ name, task, roster, rounds: chosen.rounds, training: chosen.training, epsilon }),
        silos,
        // The validation file is one and the same for everybody; it is read once.
        tests: new Map([[first, test]]),
        checkpoint: model,
        seed: '1',
        ownSite: epsilon === null,
      });
    await chooseBackend();
    const base = await perplexityOfBase(causal, test);
    const noNoise = await run('notes-no-noise', causal, settings.noNoise, null);
    const noised = await run('notes-private', causal, settings.private, 8);
    const classify: Task = {
      kind: 'text-classification',
      table: { ...table, label: { kind: 'classes', column: 'section_header', classes } },
      model: await adapted(false),
    };
    const plainClasses = await run('headers-no-noise', classify, settings.noNoise, null);
    const privateClasses = await run('headers-private', classify, settings.private, 8);
    const scoreOf = (study: SimulatedStudy): number => study.metrics!.federated.mean;
    return {
      base,
      noNoise: scoreOf(noNoise),
      private: {
        perplexity: scoreOf(noised),
        epsilon: noised.privacy.epsilon.coordinator,
        delta: noised.privacy.delta,
        unit: noised.privacy.unit,
        adjacency: noised.privacy.adjacency,
        colluders: noised.contract.sealing.colluders,
        noiseMultiplier: noised.privacy.noiseMultiplier,
        rounds: noised.rounds,
      },
      ownSite: noNoise.metrics!.ownSite!.mean,
      sectionHeaders: {
        ownSite: plainClasses.metrics!.ownSite!.mean,
        federated: scoreOf(plainClasses),
        private: scoreOf(privateClasses),
        epsilon: privateClasses.privacy.epsilon.coordinator,
      },
      institutions,
      note: 'Measured on the validation file, outside ε. Seeded, so hypothetical; settings are not tuned.',
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function perplexityOfBase(task: Task, file: string): Promise<number | null> {
  if (!isLanguageTask(task)) return null;
  const language = await openLanguage(task, model);
  try {
    const records = await readTable(file, task.table, { labels: true, tokenise: language.tokenise });
    const metrics = await evaluateLanguage(language, initialAdapter(language.layout), records);
    return metrics.kind === 'causal-lm' ? metrics.perplexity : null;
  } finally {
    language.model.dispose();
  }
}

/** Ratios of speed, and what a language study reaches; `training speed` and `training language` measure one of them. */
export async function trainingBench([part]: readonly string[] = []): Promise<object> {
  return {
    ...(part === 'language' ? {} : await trainingSpeedBench()),
    ...(part === 'speed' ? {} : { languageModel: await languageModelBench() }),
  };
}
