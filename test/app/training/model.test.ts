// Layout, count and start values of the parameters, and predictions against hand-computed ones.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputError } from '../../../app/errors.ts';
import { architectureOf, initialParameters, parameterCount, parameterTensors } from '../../../app/training/model.ts';
import { predict } from '../../../app/training/predict.ts';
import { linear, lossOfRow, madeUpRecords, reluNetwork, tanhNetwork, taskOf } from './examples.ts';

test('parameterCount counts kernels and biases', () => {
  assert.equal(parameterCount(taskOf('logistic', linear)), 3 + 1);
  assert.equal(parameterCount(taskOf('softmax', linear)), 3 * 3 + 3);
  assert.equal(parameterCount(taskOf('squared', reluNetwork)), 3 * 5 + 5 + (5 * 4 + 4) + (4 + 1));
});

test('the named tensors tile the flat vector', () => {
  const tensors = parameterTensors(taskOf('softmax', reluNetwork));
  let at = 0;
  for (const { shape, offset } of tensors) {
    assert.equal(offset, at);
    at += shape.reduce((size, side) => size * side, 1);
  }
  assert.equal(at, parameterCount(taskOf('softmax', reluNetwork)));
  assert.deepEqual(
    tensors.map(({ name }) => name),
    ['layers.0.kernel', 'layers.0.bias', 'layers.1.kernel', 'layers.1.bias', 'layers.2.kernel', 'layers.2.bias'],
  );
});

test('start values: zeros, or SplitMix64 scaled by Glorot’s rule', () => {
  const zeros = { kind: 'zeros' } as const;
  assert.ok(
    initialParameters(taskOf('logistic', { kind: 'linear', initialisation: zeros })).every((value) => value === 0),
  );
  assert.throws(
    () => initialParameters(taskOf('logistic', { ...reluNetwork, initialisation: zeros })),
    (error: unknown) => error instanceof InputError && error.code === 'zeros-in-mlp',
  );
  // First outputs of the reference SplitMix64 for seed 0 (Vigna, splitmix64.c).
  const published = [0xe220a8397b1dcdafn, 0x6e789e6aa1b965f4n, 0x06c45d188009454fn];
  const seeded = initialParameters(taskOf('logistic', { kind: 'linear', initialisation: { kind: 'seeded', seed: 0 } }));
  const limit = Math.sqrt(6 / (3 + 1));
  assert.deepEqual(Array.from(seeded), [
    ...published.map((word) => Math.fround(limit * (2 * (Number(word >> 11n) / 2 ** 53) - 1))),
    0,
  ]);
});

test('label and task must fit', () => {
  const task = taskOf('logistic', linear);
  assert.throws(
    () => architectureOf({ ...task, kind: 'tabular-regression' }),
    (error: unknown) => error instanceof InputError && error.code === 'label-kind',
  );
});

test('predictions are those of the definition', () => {
  for (const head of ['logistic', 'softmax', 'squared'] as const)
    for (const model of [linear, reluNetwork, tanhNetwork]) {
      const task = taskOf(head, model);
      const architecture = architectureOf(task);
      const parameters = initialParameters(task);
      const records = madeUpRecords(head, 6);
      const outputs = predict(architecture, parameters, records.features, 6);
      const width = outputs.length / 6;
      for (let row = 0; row < 6; row++) {
        const label = records.labels[row]!;
        const loss = lossOfRow(architecture, Float64Array.from(parameters), records, row);
        const own = outputs.subarray(row * width, (row + 1) * width);
        const found =
          head === 'squared'
            ? 0.5 * (own[0]! - label) ** 2
            : -Math.log(head === 'softmax' ? own[label]! : label === 1 ? own[0]! : 1 - own[0]!);
        assert.ok(Math.abs(found - loss) < 1e-12);
      }
    }
});

test('extreme scores stay probabilities', () => {
  const task = taskOf('logistic', linear);
  const outputs = predict(architectureOf(task), Float32Array.of(1e30, 0, 0, 0), Float32Array.of(1, 0, 0, -1, 0, 0), 2);
  assert.deepEqual(Array.from(outputs), [1, 0]);
});
