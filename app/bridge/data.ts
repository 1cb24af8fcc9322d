// The calls about records: looking for a file, reading it before anything is agreed to, keeping what was chosen for a
// study, the datasets with their versions, persons who object, and what joining may bring. Cells of a file are shown only
// to the steward who asks for the first rows; nothing else here holds any. Design 1, journey 2 and "Data".

import { z } from 'zod';
import { mappingSchema } from '../training/mapping.ts';
import { datasetName, hash, line, nothing, readers, studyName, stewards, text, unit, whole } from './fields.ts';

const rowProblem = z.strictObject({ line: whole, column: z.string(), problem: z.string() });
const path = line.min(1);
const mapping = mappingSchema.nullable();

export const metrics = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('classification'),
    rows: whole,
    accuracy: z.number(),
    logLoss: z.number(),
    auc: z.number().nullable(),
  }),
  z.strictObject({
    kind: z.literal('regression'),
    rows: whole,
    meanAbsoluteError: z.number(),
    rootMeanSquaredError: z.number(),
  }),
]);

/** What an institution reaches alone on rows held out, and the joint model on the same rows; stays on this machine. */
export const baseline = z.strictObject({
  measured: z.string(),
  /** False: every fifth person or row of the records was held out. True: a file of their own. */
  ownFile: z.boolean(),
  own: metrics,
  /** null before a training round has closed here. */
  joint: metrics.nullable(),
  jointRounds: whole,
});

/** Folder of the checkpoint that a language study adapts; absent or null for tables. */
export const checkpointFolder = path.nullable().optional();

/** Everything but the ends of the range and the categories is in the study terms under the same name. */
export const studyColumn = z.strictObject({
  column: z.string(),
  kind: z.enum(['number', 'category', 'text', 'label', 'person']),
  number: z.boolean(),
  least: z.number().nullable(),
  most: z.number().nullable(),
  categories: z.array(z.string()).nullable(),
});

export const dataCalls = {
  /** Folders and table files of this machine, as the program's account sees them. */
  'file.list': {
    roles: stewards,
    input: z.strictObject({ folder: line.nullable() }),
    output: z.strictObject({
      folder: z.string(),
      parent: z.string().nullable(),
      folders: z.array(z.string()),
      files: z.array(z.strictObject({ name: z.string(), size: whole, modified: z.string() })),
      /** Names left out because the folder holds too many. */
      more: whole,
    }),
  },
  'data.preview': {
    roles: stewards,
    input: z.strictObject({
      /** null: the file alone, without a study. */
      study: studyName.nullable(),
      path,
      mapping,
      rows: z.number().int().min(0).max(20),
      checkpoint: checkpointFolder,
    }),
    output: z.strictObject({
      format: z.enum(['delimited', 'json-lines', 'xlsx', 'parquet']),
      said: z.array(text),
      rows: whole,
      columns: z.array(
        z.strictObject({ column: z.string(), kind: z.string().nullable(), filled: whole, missing: whole }),
      ),
      firstRows: z.array(z.strictObject({ line: whole, cells: z.array(z.string()) })),
      fit: z
        .strictObject({
          accepted: whole,
          dropped: whole,
          refused: whole,
          problems: z.array(rowProblem).max(1000),
          columnsDropped: z.array(z.string()),
        })
        .nullable(),
      refusal: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
      proposal: z
        .strictObject({
          mapping: mappingSchema,
          columns: z.array(z.strictObject({ column: z.string(), source: z.string().nullable(), likeness: z.number() })),
        })
        .nullable(),
    }),
  },
  'data.check': {
    roles: stewards,
    input: z.strictObject({ study: studyName, path, mapping: mapping.optional(), checkpoint: checkpointFolder }),
    output: z.strictObject({
      /** Units that fit, in a public bucket. */
      from: whole,
      to: whole,
      unit,
      /** Most units the study terms allow here. */
      agreed: whole,
      fits: z.boolean(),
      dropped: whole,
      problemCount: whole,
      /** The first of them; never a value. */
      problems: z.array(rowProblem).max(50),
    }),
  },
  /** Notes file, name and mapping for a study, so that the consent begins with them. Agrees to nothing. */
  'data.keep': {
    roles: stewards,
    input: z.strictObject({ study: studyName, path, dataset: datasetName, mapping }),
    output: nothing,
  },
  'data.list': {
    roles: readers,
    input: nothing,
    output: z.array(
      z.strictObject({
        name: z.string(),
        path: z.string().nullable(),
        /** An encrypted copy is kept here, and training reads that; false: the file is read where it lies. */
        encrypted: z.boolean(),
        imported: z.string(),
        from: whole,
        to: whole,
        unit,
        studies: z.array(z.strictObject({ hash, title: text })),
        epsilon: z.number().nullable(),
        share: z.number().nullable(),
        /** Whether a column names the person of each row. */
        persons: z.boolean(),
        /** Other names for the same persons: one allowance counts for all. */
        sharesWith: z.array(z.string()),
        /** Nothing runs on it here any more until it is named in a consent again. */
        forgotten: z.boolean(),
        /** Training rounds that used it. */
        amounts: whole,
        /** The newest first. */
        versions: z.array(
          z.strictObject({
            seq: whole,
            time: z.string(),
            study: text,
            from: whole,
            to: whole,
            digest: z.string(),
            mapping: z.string().nullable(),
          }),
        ),
      }),
    ),
  },
  'data.delete': {
    roles: stewards,
    input: z.strictObject({ dataset: datasetName }),
    output: z.strictObject({ files: z.array(z.string()), studies: whole }),
  },
  'exclusion.list': {
    roles: readers,
    input: nothing,
    output: z.array(z.strictObject({ seq: whole, time: z.string(), from: whole, to: whole })),
  },
  'exclusion.add': {
    roles: stewards,
    input: z.strictObject({ path }),
    output: z.strictObject({ from: whole, to: whole }),
  },
  'study.baseline': {
    roles: stewards,
    input: z.strictObject({ study: studyName, path, mapping, testPath: path.nullable() }),
    output: baseline,
  },
} as const;
