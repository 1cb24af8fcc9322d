// The float term: under one per cent for wide layers, nothing where sums are in float64, the one of a study's own steps.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floatTerm, studyFloatTerm } from '../../../app/training/float-term.ts';
import { architectureOf } from '../../../app/training/model.ts';
import { sampleContract } from '../study/sample-study.ts';
import { linear, taskOf } from './examples.ts';

const architecture = architectureOf(taskOf('logistic', linear));
const person = { rowCap: 5, combine: 'sum' } as const;

test('the float term stays below one per cent of C for wide layers and is nothing in the person unit', () => {
  assert.ok(floatTerm(architecture, null) > 2 ** -10);
  const wide = { ...architecture, layers: [{ inputs: 20_000, outputs: 20_000, kernel: 0, bias: 4e8 }] };
  assert.ok(floatTerm(wide, null) < 0.01);
  assert.equal(floatTerm(architecture, person), 0);
});

test('a study has the term of its own sums, and none where they are in float64', () => {
  const { task, training } = sampleContract();
  const term = floatTerm(architectureOf(task), null);
  assert.ok(term > 0);
  assert.equal(studyFloatTerm(task, training), term);
  // A person rule counts only where persons are the unit.
  assert.equal(studyFloatTerm(task, { ...training, person }), term);
  assert.equal(studyFloatTerm(task, { ...training, unit: 'person', person }), 0);
  assert.equal(studyFloatTerm(task, { ...training, mode: 'institution', unit: 'institution' }), 0);
});
