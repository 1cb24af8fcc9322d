// What the host and its trainer process say to each other over the child's pipe (structured clone). Nothing un-noised
// ever goes from the trainer to the host, except metrics of the site's own baseline, which stay at the site. Design 2.

import type { ReportedError } from '../../app/reported-error.ts';
import type { CopyToRead } from '../host/records/records-copy-file.ts';
import type { Contract } from '../../app/study/contract.ts';
import type { Mapping } from '../../app/training/mapping.ts';
import type { Metrics } from '../../app/training/evaluate.ts';
import type { Excluded } from '../../app/training/prints.ts';
import type { BackendChoice } from './backend.ts';
import type { Checkpoint } from './sealed-vector.ts';

export type RoundWork = {
  readonly kind: 'round';
  readonly contract: Contract;
  readonly index: number;
  readonly parameters: Float32Array;
  /** Seed of the parameters that travel, hex; null or absent where all do. */
  readonly subset?: string | null;
  readonly recordsFile: string;
  /** Folder of the checkpoint that a language task trains beside; null or absent for tables. */
  readonly checkpointFolder?: string | null;
  /** The home's encrypted copy of the mapped records with its key; null or absent: `recordsFile` itself is read. */
  readonly copy?: CopyToRead | null;
  /** How the file's columns become the contract's; null or absent: they are. */
  readonly mapping?: Mapping | null;
  /** Persons who object: dropped before anything is sampled. Null where the file is said to be without them. */
  readonly excluded: Excluded | null;
  /** Where an earlier trainer of the same round had come to; absent: at its beginning. */
  readonly resume?: Checkpoint | null;
};

/** The site's own baseline: trained and tested here, only its metrics come back. */
export type OwnSiteWork = {
  readonly kind: 'own-site';
  readonly task: Contract['task'];
  readonly recordsFile: string;
  /** The home's encrypted copy of the mapped records with its key; null or absent: `recordsFile` itself is read. */
  readonly copy?: CopyToRead | null;
  /** How the file's columns become the contract's; null or absent: they are. */
  readonly mapping?: Mapping | null;
  /** null: every fifth unit of the records is held out (app/training/own-site.ts). */
  readonly testFile: string | null;
  /** Released parameters of the joint model, to be tested on the same rows; absent or null: none yet. */
  readonly joint?: Float32Array | null;
};

/** Reads the records by the contract's rules and says what would be refused, before any round. */
export type InspectWork = {
  readonly kind: 'inspect';
  readonly task: Contract['task'];
  readonly recordsFile: string;
  /** How the file's columns become the contract's; null or absent: they are. */
  readonly mapping?: Mapping | null;
};

export type Work = RoundWork | OwnSiteWork | InspectWork;

export type TrainerRequest =
  | { readonly type: 'start'; readonly job: number; readonly work: Work }
  | { readonly type: 'cancel'; readonly job: number };

export type RoundOutcome = { readonly kind: 'round'; readonly words: Uint32Array; readonly failure: string | null };
export type OwnSiteOutcome = {
  readonly kind: 'own-site';
  readonly metrics: Metrics;
  readonly joint: Metrics | null;
};
export type InspectOutcome = {
  readonly kind: 'inspect';
  readonly rows: number;
  readonly dropped: number;
  readonly problems: readonly { readonly line: number; readonly column: string; readonly problem: string }[];
};
export type Outcome = RoundOutcome | OwnSiteOutcome | InspectOutcome;

export type OutcomeOf<W extends Work> = Extract<Outcome, { readonly kind: W['kind'] }>;

export type TrainerReport =
  | { readonly type: 'ready'; readonly backend: BackendChoice }
  | { readonly type: 'progress'; readonly job: number; readonly done: number; readonly total: number }
  | { readonly type: 'checkpoint'; readonly job: number; readonly checkpoint: Checkpoint }
  | { readonly type: 'result'; readonly job: number; readonly outcome: Outcome }
  | { readonly type: 'failed'; readonly job: number; readonly error: FailedJob };

/** What a job ended with: an error as it crosses the pipe, or a person's cancel. */
export type FailedJob = ReportedError | { readonly kind: 'cancelled' };
