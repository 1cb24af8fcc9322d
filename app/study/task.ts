// What is learned from which columns: part of the contract, so every bound and category in it is public and agreed,
// never learned from data (design 5, "Tasks and models"). FROZEN with consilience/contract/1.

import { z } from 'zod';
import { text, wholeFrom } from './fields.ts';

/** What a missing (or, by `outside`, out-of-range) value becomes. */
const whenMissing = z.discriminatedUnion('rule', [
  /** The import stops and names the row. */
  z.strictObject({ rule: z.literal('refuse') }),
  /** The row is left out of training and test. */
  z.strictObject({ rule: z.literal('drop-row') }),
  /** A public constant stands in. */
  z.strictObject({ rule: z.literal('value'), value: z.union([z.number(), text(200)]) }),
  /** A public constant stands in, and a further 0/1 feature says so. */
  z.strictObject({ rule: z.literal('indicator'), value: z.union([z.number(), text(200)]) }),
]);

const numberFeature = z.strictObject({
  kind: z.literal('number'),
  column: text(200),
  /** Public range; values are scaled so that it becomes [−1, 1]. */
  least: z.number(),
  most: z.number(),
  outside: z.enum(['refuse', 'missing', 'clamp']),
  whenMissing,
});

const categoryFeature = z.strictObject({
  kind: z.literal('category'),
  column: text(200),
  /** Compared as numbers where both sides are numbers: "1" is "1.0". */
  categories: z.array(text(200)).min(2).max(10_000),
  encoding: z.enum(['one-hot', 'one-hot-drop-first']),
  /** A value that is in no category. `other` gives it a further one-hot place. */
  unknown: z.enum(['refuse', 'missing', 'other']),
  whenMissing,
});

export const featureSchema = z.discriminatedUnion('kind', [numberFeature, categoryFeature]);

const labelSchema = z.discriminatedUnion('kind', [
  /** 1 where `column comparison value` holds: `num > 0`. */
  z.strictObject({
    kind: z.literal('binary'),
    column: text(200),
    comparison: z.enum(['>', '>=', '<', '<=', '=', '!=']),
    value: z.union([z.number(), text(200)]),
  }),
  z.strictObject({ kind: z.literal('classes'), column: text(200), classes: z.array(text(200)).min(2).max(10_000) }),
  /** Regression: scaled so that the public range becomes [−1, 1]; values outside are clamped. */
  z.strictObject({ kind: z.literal('number'), column: text(200), least: z.number(), most: z.number() }),
]);

export const tableSchema = z.strictObject({
  format: z.enum(['csv', 'tsv']),
  /** Null: the first line names the columns. Otherwise the file has no header and these are its columns in order. */
  columnNames: z.array(text(200)).min(1).max(10_000).nullable(),
  /** Cells, after trimming, that mean "missing"; an empty cell always does. */
  missingTokens: z.array(z.string().max(50)).max(50),
  features: z.array(featureSchema).min(1).max(10_000),
  label: labelSchema,
  /** Column that names the person, for the person unit; null where a row is a unit. */
  personColumn: text(200).nullable(),
});

const initialisation = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('zeros') }),
  /** Public seed: every institution draws the same start. */
  z.strictObject({ kind: z.literal('seeded'), seed: wholeFrom(0, 0xffff_ffff) }),
]);

const modelSchema = z.discriminatedUnion('kind', [
  /** Linear in the features: logistic, softmax or linear regression by the task and label. */
  z.strictObject({ kind: z.literal('linear'), initialisation }),
  z.strictObject({
    kind: z.literal('mlp'),
    hidden: z.array(wholeFrom(1, 65_536)).min(1).max(16),
    activation: z.enum(['relu', 'tanh']),
    initialisation,
  }),
]);

export const taskSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('tabular-classification'), table: tableSchema, model: modelSchema }),
  z.strictObject({ kind: z.literal('tabular-regression'), table: tableSchema, model: modelSchema }),
]);

export type Task = z.infer<typeof taskSchema>;
export type TableSpec = z.infer<typeof tableSchema>;
export type FeatureSpec = z.infer<typeof featureSchema>;
export type LabelSpec = z.infer<typeof labelSchema>;
export type ModelSpec = z.infer<typeof modelSchema>;
