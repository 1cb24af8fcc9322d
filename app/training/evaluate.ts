// How good a model is on records that it did not see. These numbers depend on records and are not noised: they stay at
// the site, or, in simulations and on public data, are labelled as outside ε. Design 5, "Evaluation".

import { InputError } from '../errors.ts';
import type { Architecture } from './model.ts';
import { predict } from './predict.ts';
import type { Records } from './records.ts';
import type { TrainingTask } from './types.ts';

export type ClassificationMetrics = {
  readonly kind: 'classification';
  readonly rows: number;
  readonly accuracy: number;
  /** Mean of −ln p(label), each capped at `logLossCap`. */
  readonly logLoss: number;
  /** Area under the ROC curve, ties at one half; null with more than two classes or only one present. */
  readonly auc: number | null;
};

/** In the units of the label's column. */
export type RegressionMetrics = {
  readonly kind: 'regression';
  readonly rows: number;
  readonly meanAbsoluteError: number;
  readonly rootMeanSquaredError: number;
};

export type Metrics = ClassificationMetrics | RegressionMetrics;

export const logLossCap = 20;

/** @throws InputError `table-empty` without rows. */
export function evaluate(
  task: TrainingTask,
  architecture: Architecture,
  parameters: Float32Array,
  records: Records,
): Metrics {
  const { rows, features, labels } = records;
  if (rows === 0) throw new InputError('table-empty', 'There are no rows to test the model on.');
  const outputs = predict(architecture, parameters, features, rows);
  const { label } = task.table;
  if (label.kind === 'none') throw new RangeError('task must have a label');
  if (label.kind === 'number') return regression(outputs, labels, (label.most - label.least) / 2);
  return label.kind === 'binary' ? binary(outputs, labels) : classes(outputs, labels, label.classes.length);
}

function regression(outputs: Float64Array, labels: Float32Array, unitsPerStep: number): RegressionMetrics {
  let absolute = 0;
  let squared = 0;
  for (let row = 0; row < labels.length; row++) {
    const error = (outputs[row]! - labels[row]!) * unitsPerStep;
    absolute += Math.abs(error);
    squared += error * error;
  }
  return {
    kind: 'regression',
    rows: labels.length,
    meanAbsoluteError: absolute / labels.length,
    rootMeanSquaredError: Math.sqrt(squared / labels.length),
  };
}

const cappedLoss = (probability: number): number => Math.min(logLossCap, -Math.log(probability));

function binary(probabilities: Float64Array, labels: Float32Array): ClassificationMetrics {
  let right = 0;
  let loss = 0;
  for (let row = 0; row < labels.length; row++) {
    const positive = probabilities[row]!;
    if ((positive > 0.5 ? 1 : 0) === labels[row]) right++;
    loss += cappedLoss(labels[row] === 1 ? positive : 1 - positive);
  }
  return {
    kind: 'classification',
    rows: labels.length,
    accuracy: right / labels.length,
    logLoss: loss / labels.length,
    auc: areaUnderCurve(probabilities, labels),
  };
}

function classes(probabilities: Float64Array, labels: Float32Array, count: number): ClassificationMetrics {
  let right = 0;
  let loss = 0;
  for (let row = 0; row < labels.length; row++) {
    const scores = probabilities.subarray(row * count, (row + 1) * count);
    let best = 0;
    for (let k = 1; k < count; k++) if (scores[k]! > scores[best]!) best = k;
    if (best === labels[row]) right++;
    loss += cappedLoss(scores[labels[row]!]!);
  }
  const auc =
    count === 2
      ? areaUnderCurve(
          Float64Array.from(labels, (_, row) => probabilities[2 * row + 1]!),
          labels,
        )
      : null;
  return {
    kind: 'classification',
    rows: labels.length,
    accuracy: right / labels.length,
    logLoss: loss / labels.length,
    auc,
  };
}

/** Exact, from mid-ranks (Mann and Whitney 1947); null where only one class is present. */
export function areaUnderCurve(scores: Float64Array, labels: Float32Array): number | null {
  const order = Array.from(scores.keys()).sort((a, b) => scores[a]! - scores[b]!);
  let positives = 0;
  let rankSum = 0;
  for (let from = 0; from < order.length;) {
    let to = from + 1;
    while (to < order.length && scores[order[to]!] === scores[order[from]!]) to++;
    for (let i = from; i < to; i++)
      if (labels[order[i]!] === 1) {
        positives++;
        rankSum += (from + 1 + to) / 2;
      }
    from = to;
  }
  const negatives = order.length - positives;
  if (positives === 0 || negatives === 0) return null;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}
