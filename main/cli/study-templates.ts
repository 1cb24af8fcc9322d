// What `study new` starts from: whole drafts with everything a lead does not want to look up, and marks where only the
// lead knows. The check refuses a contract in which a mark is left (app/review/text-rules.ts). Design 1, "Command line".

import { placeholder } from '../../app/review/text-rules.ts';
import type { ContractDraft } from '../../app/study/contract.ts';
import type { Task } from '../../app/study/task.ts';

export const templateNames = ['tabular', 'heart'] as const;
export type TemplateName = (typeof templateNames)[number];

export type DraftFacts = {
  readonly name: string;
  readonly title: string;
  readonly created: string;
  readonly expires: string;
};

/** A draft without institutions; `deriveDraft` fills in what follows from it. */
export function templateDraft(template: TemplateName, facts: DraftFacts): ContractDraft {
  return {
    format: 'consilience/contract/1',
    name: facts.name,
    title: facts.title,
    created: facts.created,
    expires: facts.expires,
    purpose: placeholder('purpose'),
    lawfulBasis: placeholder('lawful basis'),
    references: { ethics: placeholder('ethics approval'), dpia: placeholder('impact assessment') },
    retention: placeholder('how long the model is kept'),
    lead: { organisation: placeholder('the lead’s organisation') },
    coordinator: {
      operator: placeholder('who runs the coordinator'),
      address: 'http://127.0.0.1:8443',
      certificateAuthority: null,
    },
    roster: [],
    task: template === 'heart' ? heartTask : tabularTask,
    training: {
      mode: 'union',
      unit: 'record',
      samplingRate: 0.2,
      localSteps: 1,
      localLearningRate: null,
      clippingNorm: 1,
      weightDecay: 0,
      person: null,
      institutionsPerPerson: 1,
      microbatch: { units: 32, count: 1 },
      server: { kind: 'fedavg', learningRate: 1 },
      averageFromRound: 15,
    },
    privacy: {
      noise: 'discrete-gaussian',
      noiseMultiplier: 2,
      delta: 1e-6,
      unitsUpperBound: 10_000,
      deltaExemption: null,
      epsilon: 4,
    },
    sealing: {
      version: 'css1',
      suite: 1,
      graph: 'complete',
      cohortFloor: 3,
      threshold: 3,
      colluders: 1,
      dimension: 1,
      ringBits: 32,
      scale: 1024,
      updateScale: null,
      noiseVariance: 16,
      openableBatches: [],
    },
    schedule: {
      rounds: 30,
      attempts: 40,
      stageSeconds: { ready: 600, shares: 600, masked: 3600, consistency: 600, unmask: 600 },
      intervalSeconds: 0,
    },
  };
}

const tabularTask: Task = {
  kind: 'tabular-classification',
  table: {
    format: 'csv',
    columnNames: null,
    missingTokens: ['?', 'NA'],
    features: [
      { kind: 'number', column: 'age', least: 0, most: 110, outside: 'clamp', whenMissing: { rule: 'drop-row' } },
      {
        kind: 'category',
        column: 'sex',
        categories: ['female', 'male'],
        encoding: 'one-hot',
        unknown: 'other',
        whenMissing: { rule: 'drop-row' },
      },
    ],
    label: { kind: 'binary', column: 'outcome', comparison: '=', value: 1 },
    personColumn: null,
  },
  model: { kind: 'linear', initialisation: { kind: 'zeros' } },
};

const heartNumber = (column: string, least: number, most: number): Task['table']['features'][number] => ({
  kind: 'number',
  column,
  least,
  most,
  outside: 'clamp',
  whenMissing: { rule: 'drop-row' },
});

const heartCategory = (column: string, ...categories: string[]): Task['table']['features'][number] => ({
  kind: 'category',
  column,
  categories,
  encoding: 'one-hot-drop-first',
  unknown: 'refuse',
  whenMissing: { rule: 'drop-row' },
});

/** UCI Heart Disease (doi 10.24432/C52P4X), ranges public and not learned from the files. */
const heartTask: Task = {
  kind: 'tabular-classification',
  table: {
    format: 'csv',
    columnNames: null,
    missingTokens: ['?'],
    features: [
      heartNumber('age', 20, 90),
      heartCategory('sex', '0', '1'),
      heartCategory('cp', '1', '2', '3', '4'),
      heartNumber('trestbps', 80, 220),
      heartNumber('chol', 0, 610),
      heartCategory('fbs', '0', '1'),
      heartCategory('restecg', '0', '1', '2'),
      heartNumber('thalach', 60, 210),
      heartCategory('exang', '0', '1'),
      heartNumber('oldpeak', -3, 7),
    ],
    label: { kind: 'binary', column: 'disease', comparison: '>', value: 0 },
    personColumn: null,
  },
  model: { kind: 'linear', initialisation: { kind: 'zeros' } },
};
