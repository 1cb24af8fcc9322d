// What training reads of a study contract, as plain shapes, so that this folder need not import app/study. The contract's
// own types satisfy them (held by a test at compile time). Design 5, "Tasks and models".

import type { PrivacyUnit, TrainingMode } from '../units.ts';

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

export type Feature = NumberFeature | CategoryFeature;

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
export type Label = BinaryLabel | ClassesLabel | NumberLabel;

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

export type TrainingTask = {
  readonly kind: 'tabular-classification' | 'tabular-regression';
  readonly table: Table;
  readonly model: Model;
};

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

/** Called between pieces of work: may wait (so that the process can breathe) or throw (to cancel). */
export type Pause = (done: number, total: number) => void | Promise<void>;
