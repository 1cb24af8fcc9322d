// The contract's own types satisfy what training declares for itself: checked by the compiler, run for completeness.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Contract } from '../../../app/study/contract.ts';
import type { Task } from '../../../app/study/task.ts';
import type { TrainingSpec, TrainingTask } from '../../../app/training/types.ts';

const trainingTaskOf = (task: Task): TrainingTask => task;
const trainingSpecOf = (training: Contract['training']): TrainingSpec => training;

test('a contract is accepted by training as it stands', () => {
  const marker = { kind: 'tabular-classification' } as Task;
  assert.equal(trainingTaskOf(marker), marker);
  assert.equal(typeof trainingSpecOf, 'function');
});
