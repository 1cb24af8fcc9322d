// What the demonstration learns and from whom: made-up hospitals and a small network, or the caller's own files with the
// heart-disease columns; the contract's numbers follow from the same derivation that a lead's do.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex, utf8 } from '../../app/encoding/bytes.ts';
import { InputError } from '../../app/errors.ts';
import { deriveDraft } from '../../app/review/derive.ts';
import { seededRandom } from '../../app/simulation/seeded-machine.ts';
import { syntheticHospital } from '../../app/simulation/synthetic-records.ts';
import type { ContractDraft } from '../../app/study/contract.ts';
import type { Task } from '../../app/study/task.ts';
import { parameterCount } from '../../app/training/model.ts';
import { nodeCipher } from '../host/machine.ts';
import { templateDraft } from './study-templates.ts';

export type DemoSite = {
  readonly name: string;
  readonly organisation: string;
  readonly silo: string;
  readonly test: string | null;
  readonly nominalUnits: number;
};

const rows = { train: 800, test: 500 } as const;
const dataSeed = 'demonstration';

/** Made-up hospitals, their records written below `folder`. */
export async function syntheticSites(folder: string, institutions: number): Promise<DemoSite[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const sites: DemoSite[] = [];
  for (let site = 0; site < institutions; site++) {
    const name = `hospital-${site + 1}`;
    const made = syntheticHospital(seededRandom(nodeCipher, dataSeed, name), site, rows);
    const [silo, test] = [join(folder, `${name}-train.csv`), join(folder, `${name}-test.csv`)];
    await writeFile(silo, made.train, { mode: 0o600 });
    await writeFile(test, made.test, { mode: 0o600 });
    sites.push({ name, organisation: `Hospital ${site + 1} (made up)`, silo, test, nominalUnits: made.trainRows });
  }
  return sites;
}

/** The caller's own files; the nominal number of units is the number of data lines, which here need not be secret. */
export async function givenSites(
  silos: ReadonlyMap<string, string>,
  tests: ReadonlyMap<string, string>,
): Promise<DemoSite[]> {
  const sites: DemoSite[] = [];
  for (const [name, silo] of silos) {
    let text: string;
    try {
      text = await readFile(silo, 'utf8');
    } catch {
      throw new InputError(
        'file-unreadable',
        `The records file "${silo}" cannot be read. Check its path and permissions.`,
      );
    }
    const nominalUnits = Math.max(1, text.split('\n').filter((line) => line.trim() !== '').length - 1);
    sites.push({ name, organisation: name, silo, test: tests.get(name) ?? null, nominalUnits });
  }
  return sites;
}

const number = (column: string, least: number, most: number, value?: number): Task['table']['features'][number] => ({
  kind: 'number',
  column,
  least,
  most,
  outside: 'clamp',
  whenMissing: value === undefined ? { rule: 'refuse' } : { rule: 'indicator', value },
});

const category = (column: string, ...categories: string[]): Task['table']['features'][number] => ({
  kind: 'category',
  column,
  categories,
  encoding: categories.length > 2 ? 'one-hot' : 'one-hot-drop-first',
  unknown: 'refuse',
  whenMissing: { rule: 'refuse' },
});

/** About a thousand parameters: fourteen features, sixty-four hidden units. */
const syntheticTask: Task = {
  kind: 'tabular-classification',
  table: {
    format: 'csv',
    columnNames: null,
    missingTokens: [],
    features: [
      number('age', 20, 95),
      category('sex', 'f', 'm'),
      number('systolic', 80, 220),
      number('cholesterol', 100, 450, 215),
      number('hba1c', 4, 13),
      number('bmi', 15, 50),
      category('smoker', '0', '1'),
      category('pain', 'none', 'atypical', 'typical'),
      number('heart_rate', 60, 210),
      number('st_depression', 0, 6),
    ],
    label: { kind: 'binary', column: 'event', comparison: '=', value: 1 },
    personColumn: 'patient',
  },
  model: { kind: 'mlp', hidden: [64], activation: 'tanh', initialisation: { kind: 'seeded', seed: 2026 } },
};

export type DemoTerms = {
  readonly synthetic: boolean;
  readonly rounds: number;
  /** Between two rounds, so that a person can watch; 0 unless said. */
  readonly intervalSeconds?: number;
  readonly address: string;
  readonly coordinatorKey: string;
  readonly sites: readonly DemoSite[];
  readonly now: number;
};

/** Nobody is to be kept from knowing who of the made-up persons is tested on. */
const evaluationKey = toHex(nodeCipher.sha256(utf8('the demonstration’s split')));

/** The draft with everything filled in but the roster's keys, which come with the enrolments. */
export function demoDraft(terms: DemoTerms): ContractDraft {
  const { synthetic, rounds, sites, now } = terms;
  const base = templateDraft('heart', {
    name: synthetic ? 'demonstration' : 'demonstration-on-files',
    title: 'Risk of a cardiac event, a demonstration',
    created: new Date(now).toISOString(),
    expires: new Date(now + 86_400_000).toISOString(),
  });
  const task = synthetic ? syntheticTask : base.task;
  const draft: ContractDraft = {
    ...base,
    purpose: 'To show on one machine how institutions train a model together.',
    lawfulBasis: synthetic ? 'None is needed: the records are made up.' : 'Stated by whoever gave the files.',
    references: { ethics: 'none: a demonstration', dpia: 'none: a demonstration' },
    retention: 'Until the demonstration’s folder is deleted.',
    lead: { organisation: 'The demonstration’s lead' },
    coordinator: { ...base.coordinator, operator: 'This machine', address: terms.address, key: terms.coordinatorKey },
    task,
    roster: sites.map(({ name, organisation, nominalUnits }) => ({ name, organisation, nominalUnits })),
    training: {
      ...base.training,
      unit: synthetic ? 'person' : 'record',
      person: synthetic ? { rowCap: 1, combine: 'mean' } : null,
      samplingRate: synthetic ? 0.15 : 0.4,
      clippingNorm: 1,
      server: { kind: 'momentum', learningRate: synthetic ? 3 : 1, momentum: 0.9 },
      averageFromRound: Math.max(1, Math.ceil(rounds / 2)),
      microbatch: { units: 64, count: 4 },
    },
    privacy: {
      ...base.privacy,
      delta: 1e-6,
      unitsUpperBound: 10_000,
    },
    // A fifth of the made-up persons is tested on and never trained on, so that a window shows what the rounds bring.
    ...(synthetic ? { evaluation: { share: 0.2, splitKey: evaluationKey, bins: 10, slices: [], leastCount: 20 } } : {}),
    // Spare attempts for a machine so slow that two institutions miss one deadline.
    schedule: {
      ...base.schedule,
      rounds,
      attempts: rounds + 4,
      intervalSeconds: terms.intervalSeconds ?? 0,
      stageSeconds: { ready: 30, shares: 12, masked: 12, consistency: 12, unmask: 12 },
    },
  };
  return deriveDraft(draft, { modelDimension: parameterCount(task), targetEpsilon: 4, colluders: null });
}
