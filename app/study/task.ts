// What is learned from which columns: part of the contract, so every bound and category in it is public and agreed,
// never learned from data (design 5, "Tasks and models"). FROZEN with consilience/contract/1.

import { z } from 'zod';
import { hex32, positive, text, wholeFrom } from './fields.ts';

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

const classesLabel = z.strictObject({
  kind: z.literal('classes'),
  column: text(200),
  classes: z.array(text(200)).min(2).max(10_000),
});

const labelSchema = z.discriminatedUnion('kind', [
  /** 1 where `column comparison value` holds: `num > 0`. */
  z.strictObject({
    kind: z.literal('binary'),
    column: text(200),
    comparison: z.enum(['>', '>=', '<', '<=', '=', '!=']),
    value: z.union([z.number(), text(200)]),
  }),
  classesLabel,
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

/** A text as the first tokens of the checkpoint's own tokenizer: `pieces` of `tokens` each, what is beyond is cut off. */
const textFeature = z.strictObject({
  kind: z.literal('text'),
  column: text(200),
  tokens: wholeFrom(2, 1_000_000),
  /** All pieces of one text are sampled together and clipped as one. */
  pieces: wholeFrom(1, 10_000),
  whenMissing: z.discriminatedUnion('rule', [
    z.strictObject({ rule: z.literal('refuse') }),
    z.strictObject({ rule: z.literal('drop-row') }),
  ]),
});

const textTable = tableSchema.extend({ features: z.array(textFeature).length(1) });

/** What every family states. */
const transformer = {
  vocabulary: wholeFrom(1, 2 ** 24),
  width: wholeFrom(1, 2 ** 20),
  layers: wholeFrom(1, 1024),
  heads: wholeFrom(1, 2 ** 20),
  inner: wholeFrom(1, 2 ** 20),
  context: wholeFrom(1, 2 ** 24),
  normEpsilon: positive,
};

/** What config.json says, so that sizes and start values follow from the contract alone (app/training/language). */
const languageConfiguration = z.discriminatedUnion('family', [
  z.strictObject({
    family: z.literal('llama'),
    ...transformer,
    keyValueHeads: wholeFrom(1, 2 ** 20),
    headWidth: wholeFrom(1, 2 ** 20),
    ropeTheta: positive,
    ropeScaling: z
      .discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('linear'), factor: positive }),
        z.strictObject({
          kind: z.literal('llama3'),
          factor: positive,
          lowFrequencyFactor: positive,
          highFrequencyFactor: positive,
          originalContext: wholeFrom(1, 2 ** 24),
        }),
      ])
      .nullable(),
    tied: z.boolean(),
    attentionBias: z.boolean(),
    innerBias: z.boolean(),
  }),
  z.strictObject({
    family: z.literal('gpt2'),
    ...transformer,
    tied: z.boolean(),
  }),
  z.strictObject({
    family: z.literal('bert'),
    ...transformer,
    segments: wholeFrom(1, 2 ** 24),
  }),
]);

/** A frozen checkpoint and what is trained beside it. */
const adaptedModel = z.strictObject({
  kind: z.literal('adapted-checkpoint'),
  /** Hash of the folder (main/host/checkpoint/checkpoint-folder.ts): weights, configuration and tokenizer. */
  checkpoint: z.strictObject({
    hash: hex32,
    configuration: languageConfiguration,
    /** Where an institution gets it, in the lead's words: a name and its revision, or a place. The hash alone is believed. */
    source: text(300).optional(),
  }),
  adapter: z.strictObject({
    kind: z.literal('lora'),
    rank: wholeFrom(1, 65_536),
    alpha: positive,
    /** Names of linear maps, wherever they stand: `q_proj`, `c_attn`, `query`. */
    targets: z.array(text(200)).min(1).max(50),
    /** A stays as drawn from the seed; B alone is trained, noised and sealed. */
    freezeA: z.boolean(),
    /** Public: every institution draws the same start. */
    seed: wholeFrom(0, 0xffff_ffff),
  }),
  /** Of each unit's gradient. Absent: flat, min(1, C/‖g‖). `automatic`: C/(‖g‖ + 0.01) (Bu et al. 2022). */
  clipping: z.literal('automatic').optional(),
});

const tasks = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('tabular-classification'), table: tableSchema, model: modelSchema }),
  z.strictObject({ kind: z.literal('tabular-regression'), table: tableSchema, model: modelSchema }),
  /** The next token of a text. There is no label beside it. */
  z.strictObject({
    kind: z.literal('causal-lm'),
    table: textTable.extend({ label: z.strictObject({ kind: z.literal('none') }) }),
    model: adaptedModel,
  }),
  /** One of several classes, by a head on the checkpoint's hidden states that is trained and shared with the adapter. */
  z.strictObject({
    kind: z.literal('text-classification'),
    table: textTable.extend({ label: classesLabel }),
    model: adaptedModel,
  }),
]);

export type FeatureSpec = z.infer<typeof featureSchema> | z.infer<typeof textFeature>;
export type LabelSpec = z.infer<typeof labelSchema> | { readonly kind: 'none' };
export type TableSpec = Omit<z.infer<typeof tableSchema>, 'features' | 'label'> & {
  features: FeatureSpec[];
  label: LabelSpec;
};
export type ModelSpec = z.infer<typeof modelSchema> | z.infer<typeof adaptedModel>;

/** The schema says which table and model go with which kind; the type leaves them apart, for those who read only one. */
export type Task = { kind: z.infer<typeof tasks>['kind']; table: TableSpec; model: ModelSpec };
export const taskSchema: z.ZodType<Task> = tasks;
