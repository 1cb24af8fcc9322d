// How good an adapter is on texts that it did not see: perplexity, or accuracy and macro F1 of classes. Not noised: these
// numbers stay at the site, or, in simulations and on public data, are labelled as outside ε. Design 5, "Evaluation".

import { tidy } from '@tensorflow/tfjs-core';
import { InputError } from '../../errors.ts';
import { logLossCap } from '../evaluate.ts';
import type { Outcomes } from '../evaluation-vector.ts';
import type { Records } from '../records.ts';
import { surpriseOf } from '../softmax.ts';
import type { LanguageTask, Pause } from '../types.ts';
import { adapterOnDevice } from './adapter.ts';
import type { AdapterLayout } from './adapter.ts';
import { classPass, nextTokens, tokenLosses } from './loss.ts';
import { forwardPass } from './model.ts';
import type { LanguageModel } from './model.ts';
import { sequenceOf } from './sequences.ts';
import type { TextShape } from './sequences.ts';

export type LanguageMetrics =
  | {
      readonly kind: 'causal-lm';
      readonly rows: number;
      readonly tokens: number;
      /** e to the mean of −ln p over all predicted tokens, each capped at logLossCap. */
      readonly perplexity: number;
    }
  | {
      readonly kind: 'text-classification';
      readonly rows: number;
      readonly accuracy: number;
      /** Mean F1 of the classes that occur among labels or predictions. */
      readonly macroF1: number;
    };

export type AdaptedLanguage = {
  readonly task: LanguageTask;
  readonly model: LanguageModel;
  readonly layout: AdapterLayout;
  readonly shape: TextShape;
  readonly downs: readonly Float32Array[] | null;
};

/** A text of several pieces is classified by the sum of its pieces' scores. @throws InputError `table-empty`. */
export async function evaluateLanguage(
  language: AdaptedLanguage,
  parameters: Float32Array,
  records: Records,
  pause: Pause = () => {},
): Promise<LanguageMetrics> {
  const { task } = language;
  const { rows, labels } = records;
  if (task.kind === 'text-classification') {
    const scores = await textScores(language, parameters, records, pause);
    const predicted = Int32Array.from(scores, (own) => own.indexOf(Math.max(...own)));
    return { kind: 'text-classification', rows, ...classScores(predicted, labels) };
  }
  let [loss, tokens] = [0, 0];
  await eachPiece(language, parameters, { records, pause }, (_row, losses) => {
    for (const value of losses) loss += Math.min(logLossCap, value);
    tokens += losses.length - 1;
  });
  return { kind: 'causal-lm', rows, tokens, perplexity: Math.exp(loss / Math.max(1, tokens)) };
}

/** Scores of each row for each class, summed over its pieces, before any softmax. @throws InputError `table-empty`. */
export async function textScores(
  language: AdaptedLanguage,
  parameters: Float32Array,
  records: Records,
  pause: Pause = () => {},
): Promise<Float64Array[]> {
  const scores = Array.from({ length: records.rows }, () => new Float64Array(language.layout.head?.classes ?? 0));
  await eachPiece(language, parameters, { records, pause }, (row, values) => {
    for (const [k, value] of values.entries()) scores[row]![k]! += value;
  });
  return scores;
}

/** What a head reads of each row, summed over its pieces, and last their number, or 0 where the head has no bias. */
export async function textFeatures(
  language: AdaptedLanguage,
  parameters: Float32Array,
  records: Records,
  pause: Pause = () => {},
): Promise<Float64Array[]> {
  const { head } = language.layout;
  const width = head?.width ?? 0;
  const features = Array.from({ length: records.rows }, () => new Float64Array(width + 1));
  await eachPiece(language, parameters, { records, pause, read: 'pooled' }, (row, values) => {
    for (const [i, value] of values.entries()) features[row]![i]! += value;
    if (head !== null && head.bias !== null) features[row]![width]! += 1;
  });
  return features;
}

/** What the model makes of some rows, for the evaluation in sums (evaluation-vector.ts). */
export async function textOutcomes(
  language: AdaptedLanguage,
  parameters: Float32Array,
  records: Records,
  rows: readonly number[],
  pause: Pause = () => {},
): Promise<Outcomes> {
  const sums = new Map(rows.map((row) => [row, { loss: 0, tokens: 0, scores: [] as number[] }]));
  const continued = language.task.kind === 'causal-lm';
  await eachPiece(language, parameters, { records, rows, pause }, (row, values) => {
    const own = sums.get(row)!;
    if (!continued) {
      own.scores = Array.from(values, (value, k) => (own.scores[k] ?? 0) + value);
      return;
    }
    for (const value of values) own.loss += Math.min(logLossCap, value);
    own.tokens += values.length - 1;
  });
  return (row) => {
    const { loss, tokens, scores } = sums.get(row)!;
    if (continued) return { right: false, loss: loss / Math.max(1, tokens), tokens, predicted: null, score: null };
    const label = records.labels[row]!;
    const predicted = scores.indexOf(Math.max(...scores));
    return { right: predicted === label, loss: surpriseOf(scores, label), tokens: 0, predicted, score: null };
  };
}

type Reading = {
  readonly records: Records;
  /** All by default. */
  readonly rows?: readonly number[];
  readonly pause?: Pause;
  /** Of a classifier: its scores, or what its head reads. */
  readonly read?: 'scores' | 'pooled';
};

/** Hands on what the model says of every piece that a row has: scores of classes, or −ln p of each token's successor. */
async function eachPiece(
  { task, model, layout, shape, downs }: AdaptedLanguage,
  parameters: Float32Array,
  { records, rows, pause = () => {}, read = 'scores' }: Reading,
  take: (row: number, values: Float32Array) => void,
): Promise<void> {
  if (records.rows === 0) throw new InputError('table-empty', 'There are no rows to test the model on.');
  const chosen = rows ?? Array.from({ length: records.rows }, (_, row) => row);
  const adapter = adapterOnDevice(layout, parameters, downs);
  try {
    for (const [done, row] of chosen.entries()) {
      await pause(done, chosen.length);
      for (let piece = 0; piece < shape.pieces; piece++) {
        const ids = new Int32Array(shape.tokens);
        const real = sequenceOf(records, shape, row, piece, ids);
        if (real === 0) continue;
        const batch = { sequences: 1, length: real, ids: ids.subarray(0, real), real: Int32Array.of(real) };
        const output = tidy(() => {
          const { hidden } = forwardPass(model, batch, { adapter });
          if (task.kind === 'text-classification') return classPass(model, batch, hidden, adapter.head!)[read];
          const { targets, follows } = nextTokens(batch);
          return tokenLosses(model, hidden, targets, follows);
        });
        const values = await output.data<'float32'>();
        output.dispose();
        take(row, values);
      }
    }
  } finally {
    adapter.dispose();
  }
}

/** Accuracy and macro F1. */
export function classScores(predicted: Int32Array, labels: Float32Array) {
  const counts = new Map<number, { right: number; predicted: number; labelled: number }>();
  const of = (k: number) => {
    const found = counts.get(k) ?? { right: 0, predicted: 0, labelled: 0 };
    counts.set(k, found);
    return found;
  };
  let right = 0;
  for (const [row, label] of labels.entries()) {
    of(label).labelled++;
    of(predicted[row]!).predicted++;
    if (predicted[row] !== label) continue;
    of(label).right++;
    right++;
  }
  const scores = [...counts.values()].map((one) => (2 * one.right) / (one.predicted + one.labelled));
  return {
    accuracy: right / labels.length,
    macroF1: scores.reduce((total, score) => total + score, 0) / scores.length,
  };
}
