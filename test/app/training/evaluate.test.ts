// Metrics by hand on a few rows, AUC against counting pairs, local updates, and the own-site baseline.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../../app/errors.ts';
import { areaUnderCurve, evaluate } from '../../../app/training/evaluate.ts';
import { clippedUpdate, localUpdate } from '../../../app/training/local-training.ts';
import { architectureOf, initialParameters } from '../../../app/training/model.ts';
import { trainOwnSite } from '../../../app/training/own-site.ts';
import { candidates } from '../../../main/trainer/candidates.ts';
import { linear, madeUpRecords, norm, taskOf } from './examples.ts';

const rowsOf = (labels: readonly number[], ...first: readonly number[]) => ({
  rows: labels.length,
  width: 3,
  features: Float32Array.from(first.flatMap((value) => [value, 0, 0])),
  labels: Float32Array.from(labels),
  persons: null,
});

test('classification metrics by hand', () => {
  const task = taskOf('logistic', linear);
  const model = Float32Array.of(Math.log(3), 0, 0, 0);
  // Probabilities 3/4, 1/4, 3/4.
  const found = evaluate(task, architectureOf(task), model, rowsOf([1, 0, 0], 1, -1, 1));
  assert.ok(found.kind === 'classification');
  assert.equal(found.accuracy, 2 / 3);
  assert.ok(Math.abs(found.logLoss - (-Math.log(0.75) * 2 - Math.log(0.25)) / 3) < 1e-6);
  assert.equal(found.auc, 0.75);
  const certain = evaluate(task, architectureOf(task), Float32Array.of(1e6, 0, 0, 0), rowsOf([0], 1));
  assert.ok(certain.kind === 'classification' && certain.logLoss === 20 && certain.auc === null);
});

test('several classes: the likeliest counts', () => {
  const task = taskOf('softmax', linear);
  const model = new Float32Array(12);
  model.set([1, 0, -1], 9);
  const found = evaluate(task, architectureOf(task), model, rowsOf([0, 0, 2], 0, 0, 0));
  assert.ok(found.kind === 'classification' && found.auc === null);
  assert.equal(found.accuracy, 2 / 3);
});

test('regression metrics are in the label’s own units', () => {
  const task = taskOf('squared', linear);
  const wide = {
    ...task,
    table: { ...task.table, label: { kind: 'number', column: 'y', least: 0, most: 20 } as const },
  };
  const found = evaluate(wide, architectureOf(wide), Float32Array.of(1, 0, 0, 0), rowsOf([0, 0], 0.5, -0.1));
  assert.ok(found.kind === 'regression');
  assert.ok(Math.abs(found.meanAbsoluteError - 3) < 1e-6);
  assert.ok(Math.abs(found.rootMeanSquaredError - Math.sqrt(13)) < 1e-6);
});

test('without rows there is nothing to say', () => {
  const task = taskOf('logistic', linear);
  assert.throws(() => evaluate(task, architectureOf(task), new Float32Array(4), rowsOf([])), InputError);
});

test('AUC is the share of pairs in the right order, ties half', () => {
  const row = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.constantFrom(0, 1));
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 30 }), (rows) => {
      const positives = rows.filter(([, label]) => label === 1);
      const negatives = rows.filter(([, label]) => label === 0);
      let won = 0;
      for (const [a] of positives) for (const [b] of negatives) won += a > b ? 1 : a === b ? 0.5 : 0;
      const found = areaUnderCurve(
        Float64Array.from(rows, ([score]) => score),
        Float32Array.from(rows, ([, label]) => label),
      );
      if (positives.length === 0 || negatives.length === 0) assert.equal(found, null);
      else assert.ok(Math.abs(found! - won / (positives.length * negatives.length)) < 1e-12);
    }),
  );
});

test('local steps descend the sums they are given, divided by the public batch', async () => {
  const seen: number[] = [];
  const update = await localUpdate({
    parameters: Float32Array.of(1, 0),
    steps: 2,
    learningRate: 0.5,
    weightDecay: 0.5,
    expectedBatch: 4,
    gradientSum: (parameters) => {
      seen.push(parameters[0]!);
      return Promise.resolve(Float64Array.of(4, -8));
    },
    pause: () => {},
  });
  // 1 → 1 − ½(1 + ½) = 0.25 → 0.25 − ½(1 + ⅛); 0 → 1 → 1 − ½(−2 + ½).
  assert.deepEqual(seen, [1, 0.25]);
  assert.deepEqual(update, Float64Array.of(-1.3125, 1.75));
});

test('a whole update is clipped just below C, whatever its size, and zero if not finite', () => {
  for (const factor of [1e-200, 1, 1e200]) {
    const clipped = clippedUpdate(Float64Array.of(3 * factor, 4 * factor), 2 * factor);
    assert.ok(norm(clipped.map((value) => value / factor)) <= 2);
    assert.ok(norm(clipped.map((value) => value / factor)) > 1.999);
  }
  assert.deepEqual(clippedUpdate(Float64Array.of(0.3, -0.4), 2), Float64Array.of(0.3, -0.4));
  assert.deepEqual(clippedUpdate(Float64Array.of(1, Number.NaN), 2), new Float64Array(2));
  assert.deepEqual(clippedUpdate(Float64Array.of(1, Infinity), 2), new Float64Array(2));
  assert.deepEqual(clippedUpdate(new Float64Array(2), 2), new Float64Array(2));
});

test('the own-site baseline learns what the records hold', async () => {
  await candidates.wasm.start();
  const task = taskOf('logistic', linear);
  const architecture = architectureOf(task);
  const accuracyOf = (parameters: Float32Array): number => {
    const metrics = evaluate(task, architecture, parameters, madeUpRecords('logistic', 300, 2));
    assert.ok(metrics.kind === 'classification');
    return metrics.accuracy;
  };
  const trained = await trainOwnSite(task, madeUpRecords('logistic', 150));
  assert.ok(accuracyOf(trained) > 0.85, `accuracy ${accuracyOf(trained)}`);
  assert.ok(accuracyOf(trained) > accuracyOf(initialParameters(task)));
});
