// What training reads of a study contract, as plain shapes, so that this folder need not import app/study. The contract's
// own types satisfy them (held by a test at compile time). Design 5, "Tasks and models".

import { InputError } from '../errors.ts';
import type { PrivacyUnit, TrainingMode } from '../units.ts';
import type { AdapterSpec } from './language/adapter.ts';
import type { LanguageConfiguration } from './language/configuration.ts';

export type WhenMissing =
  | { readonly rule: 'refuse' }
  | { readonly rule: 'drop-row' }
  | { readonly rule: 'value'; readonly value: number | string }
  | { readonly rule: 'indicator'; readonly value: number | string };

export type NumberFeature = {
  readonly kind: 'number';
  readonly column: string;
  readonly least: number;
  readonly most: number;
  readonly outside: 'refuse' | 'missing' | 'clamp';
  readonly whenMissing: WhenMissing;
};

export type CategoryFeature = {
  readonly kind: 'category';
  readonly column: string;
  readonly categories: readonly string[];
  readonly encoding: 'one-hot' | 'one-hot-drop-first';
  readonly unknown: 'refuse' | 'missing' | 'other';
  readonly whenMissing: WhenMissing;
};

/** Token ids of a text, `pieces` × `tokens` of them (language/sequences.ts). */
export type TextFeature = {
  readonly kind: 'text';
  readonly column: string;
  readonly tokens: number;
  readonly pieces: number;
  readonly whenMissing: { readonly rule: 'refuse' } | { readonly rule: 'drop-row' };
};

export type Feature = NumberFeature | CategoryFeature | TextFeature;

export type BinaryLabel = {
  readonly kind: 'binary';
  readonly column: string;
  readonly comparison: '>' | '>=' | '<' | '<=' | '=' | '!=';
  readonly value: number | string;
};
export type ClassesLabel = { readonly kind: 'classes'; readonly column: string; readonly classes: readonly string[] };
export type NumberLabel = {
  readonly kind: 'number';
  readonly column: string;
  readonly least: number;
  readonly most: number;
};
/** Nothing beside the features is learned: the next token of a text. */
export type NoLabel = { readonly kind: 'none' };
export type Label = BinaryLabel | ClassesLabel | NumberLabel | NoLabel;

export type Table = {
  readonly format: 'csv' | 'tsv';
  readonly columnNames: readonly string[] | null;
  readonly missingTokens: readonly string[];
  readonly features: readonly Feature[];
  readonly label: Label;
  readonly personColumn: string | null;
};

export type Initialisation = { readonly kind: 'zeros' } | { readonly kind: 'seeded'; readonly seed: number };

export type Model =
  | { readonly kind: 'linear'; readonly initialisation: Initialisation }
  | {
      readonly kind: 'mlp';
      readonly hidden: readonly number[];
      readonly activation: 'relu' | 'tanh';
      readonly initialisation: Initialisation;
    };

export type TabularTask = {
  readonly kind: 'tabular-classification' | 'tabular-regression';
  readonly table: Table;
  readonly model: Model;
};

export type AdaptedModel = {
  readonly kind: 'adapted-checkpoint';
  readonly checkpoint: {
    readonly hash: string;
    readonly configuration: LanguageConfiguration;
    /** Where to get it, in the lead's words. */
    readonly source?: string | undefined;
  };
  readonly adapter: AdapterSpec;
  readonly clipping?: 'automatic' | undefined;
};

export type LanguageTask = {
  readonly kind: 'causal-lm' | 'text-classification';
  readonly table: Table;
  readonly model: AdaptedModel;
};

/** Which table and model go with which kind is the contract's schema's business. */
export type TrainingTask = {
  readonly kind: TabularTask['kind'] | LanguageTask['kind'];
  readonly table: Table;
  readonly model: Model | AdaptedModel;
};

export function isLanguageTask(task: TrainingTask): task is LanguageTask {
  const { kind } = task;
  return task.model.kind === 'adapted-checkpoint' && (kind === 'causal-lm' || kind === 'text-classification');
}

/** For what works on tables alone. @throws InputError `task-not-tabular`. */
export function requireTabular(task: TrainingTask): TabularTask {
  const { kind, table, model } = task;
  if (model.kind === 'adapted-checkpoint' || kind === 'causal-lm' || kind === 'text-classification')
    throw new InputError(
      'task-not-tabular',
      'This works on tables of numbers and categories; the study trains a language model. Use "simulate" with its checkpoint.',
    );
  return { kind, table, model };
}

export type ServerOptimiserSpec =
  | { readonly kind: 'fedavg'; readonly learningRate: number }
  | { readonly kind: 'momentum'; readonly learningRate: number; readonly momentum: number }
  | {
      readonly kind: 'fedadam' | 'fedyogi';
      readonly learningRate: number;
      readonly firstDecay: number;
      readonly secondDecay: number;
      readonly adaptivity: number;
    }
  | {
      readonly kind: 'fedadagrad';
      readonly learningRate: number;
      readonly firstDecay: number;
      readonly adaptivity: number;
    };

export type PersonRule = { readonly rowCap: number; readonly combine: 'mean' | 'sum' };
export type Microbatch = { readonly units: number; readonly count: number };

export type TrainingSpec = {
  readonly mode: TrainingMode;
  readonly unit: PrivacyUnit;
  readonly samplingRate: number;
  readonly localSteps: number;
  readonly localLearningRate: number | null;
  readonly clippingNorm: number;
  readonly weightDecay: number;
  readonly person: PersonRule | null;
  readonly microbatch: Microbatch;
  readonly server: ServerOptimiserSpec;
  readonly averageFromRound: number | null;
};

export type EvaluationSpec = {
  readonly share: number;
  readonly splitKey: string;
  readonly bins: number;
  readonly slices: readonly string[];
  readonly leastCount: number;
  /** Also the sums of each class, for a macro F1. */
  readonly perClass?: true | undefined;
  /** Each predicted token counts alike, not each text. */
  readonly perToken?: true | undefined;
};

/** Called between pieces of work: may wait (so that the process can breathe) or throw (to cancel). */
export type Pause = (done: number, total: number) => void | Promise<void>;

/** The column that is learned; null where nothing beside the features is. */
export function labelColumn({ label }: Pick<Table, 'label'>): string | null {
  return label.kind === 'none' ? null : label.column;
}
