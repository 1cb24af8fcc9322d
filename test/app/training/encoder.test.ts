// Literal tables in, literal features out: ranges, categories, missing values, labels, columns; and what is refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../../app/errors.ts';
import { featureWidth, parseNumber, sameValue } from '../../../app/training/encoder.ts';
import { encodeTable, requireAccepted, unitRows } from '../../../app/training/records.ts';
import type { CategoryFeature, Feature, Label, Table } from '../../../app/training/types.ts';
import { numberFeature, tableOf } from './examples.ts';

const linesOf = (...rows: readonly string[]) => rows.map((row, i) => ({ line: i + 1, cells: row.split(',') }));

const category = (change: Partial<CategoryFeature> = {}): CategoryFeature => ({
  kind: 'category',
  column: 'k',
  categories: ['1', 'two', '3'],
  encoding: 'one-hot',
  unknown: 'refuse',
  whenMissing: { rule: 'refuse' },
  ...change,
});

/** Encodes one column `k` with label column `y` = 1. */
function encodeOne(feature: Feature, ...cells: readonly string[]) {
  const table = tableOf({ features: [feature] });
  return encodeTable(table, linesOf('k,y', ...cells.map((cell) => `${cell},1`)));
}

const featuresOf = (feature: Feature, ...cells: readonly string[]): number[] => {
  const encoded = encodeOne(feature, ...cells);
  assert.deepEqual(encoded.problems, []);
  return Array.from(encoded.features);
};

const refusal = (code: string) => (error: unknown) => error instanceof InputError && error.code === code;

test('a number becomes its place in the public range', () => {
  const age = numberFeature('k', { least: 20, most: 90 });
  assert.deepEqual(featuresOf(age, '20', '90', '55', ' 37.5 ', '2e1', '+90.'), [-1, 1, 0, -0.5, -1, 1]);
});

test('a value outside the range is clamped, missing or refused, as the contract says', () => {
  const range = { least: 0, most: 2 };
  assert.deepEqual(featuresOf(numberFeature('k', { ...range, outside: 'clamp' }), '-7', '9'), [-1, 1]);
  const missing = numberFeature('k', { ...range, outside: 'missing', whenMissing: { rule: 'indicator', value: 1 } });
  assert.deepEqual(featuresOf(missing, '9', '2', '?', ''), [0, 1, 1, 0, 0, 1, 0, 1]);
  assert.deepEqual(encodeOne(numberFeature('k', { ...range, outside: 'refuse' }), '1', '9').problems, [
    { line: 3, column: 'k', problem: 'outside the range of the contract' },
  ]);
});

test('words, hexadecimal, infinities and blanks inside are no numbers', () => {
  for (const cell of ['abc', '0x10', 'Infinity', 'NaN', '1 2', '1e999', '--1', '.', 'e5'])
    assert.equal(parseNumber(cell), null);
  for (const [cell, value] of [
    ['.7', 0.7],
    ['-3.', -3],
    ['1E2', 100],
  ] as const)
    assert.equal(parseNumber(cell), value);
  assert.deepEqual(encodeOne(numberFeature('k'), 'x').problems, [{ line: 2, column: 'k', problem: 'not a number' }]);
});

test('a missing value stops, drops the row, or becomes the public constant', () => {
  assert.deepEqual(encodeOne(numberFeature('k'), '?').problems, [{ line: 2, column: 'k', problem: 'missing' }]);
  const dropped = encodeOne(numberFeature('k', { whenMissing: { rule: 'drop-row' } }), '?', '1', '');
  assert.deepEqual([dropped.rows, dropped.dropped, dropped.problems.length, ...dropped.features], [1, 2, 0, 1]);
  assert.deepEqual(featuresOf(numberFeature('k', { whenMissing: { rule: 'value', value: 0.5 } }), '?', '1'), [0.5, 1]);
  const two = category({ whenMissing: { rule: 'indicator', value: 'two' } });
  assert.deepEqual(featuresOf(two, '?', '3'), [0, 1, 0, 1, 0, 0, 1, 0]);
});

test('categories are one-hot and compared as numbers where they are', () => {
  assert.deepEqual(featuresOf(category(), '1.0', 'two', '3'), [1, 0, 0, 0, 1, 0, 0, 0, 1]);
  assert.deepEqual(featuresOf(category({ encoding: 'one-hot-drop-first' }), '1', 'two', '3e0'), [0, 0, 1, 0, 0, 1]);
  assert.deepEqual(featuresOf(category({ unknown: 'other' }), '3', '4', 'Two'), [0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
  assert.deepEqual(encodeOne(category(), '4').problems, [
    { line: 2, column: 'k', problem: 'in no category of the contract' },
  ]);
  const asMissing = category({ unknown: 'missing', whenMissing: { rule: 'value', value: 3 } });
  assert.deepEqual(featuresOf(asMissing, 'zzz'), [0, 0, 1]);
  assert.equal(sameValue('1', '1.0'), true);
  assert.equal(sameValue('1', 'one'), false);
});

test('featureWidth is the width of every encoded row', () => {
  const number = fc.record({
    kind: fc.constant('number' as const),
    column: fc.constant('k'),
    least: fc.constant(0),
    most: fc.constant(1),
    outside: fc.constantFrom('refuse' as const, 'missing' as const, 'clamp' as const),
    whenMissing: fc.constantFrom({ rule: 'refuse' as const }, { rule: 'indicator' as const, value: 1 }),
  });
  const categorical = fc.record({
    kind: fc.constant('category' as const),
    column: fc.constant('k'),
    categories: fc.constantFrom(['1', '2'], ['0', '1', '2', '5']),
    encoding: fc.constantFrom('one-hot' as const, 'one-hot-drop-first' as const),
    unknown: fc.constantFrom('refuse' as const, 'missing' as const, 'other' as const),
    whenMissing: fc.constantFrom({ rule: 'refuse' as const }, { rule: 'indicator' as const, value: 1 }),
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(number, categorical), { minLength: 1, maxLength: 6 }), (features) => {
      const table = tableOf({ features });
      const encoded = encodeTable(table, linesOf('k,y', '1,0', '1,1'));
      assert.equal(encoded.width, featureWidth(table));
      assert.equal(encoded.features.length, 2 * featureWidth(table));
      assert.deepEqual(encoded.features.slice(0, encoded.width), encoded.features.slice(encoded.width));
    }),
  );
});

test('label rules', () => {
  const labelsOf = (label: Label, ...cells: readonly string[]): number[] => {
    const table = tableOf({ features: [numberFeature('k')], label });
    const encoded = encodeTable(table, linesOf('k,y', ...cells.map((cell) => `0,${cell}`)));
    assert.deepEqual(encoded.problems, []);
    return Array.from(encoded.labels);
  };
  const rule = (comparison: '>' | '>=' | '<' | '<=' | '=' | '!=', value: number | string): Label => ({
    kind: 'binary',
    column: 'y',
    comparison,
    value,
  });
  assert.deepEqual(labelsOf(rule('>', 0), '0', '1', '4', '-1'), [0, 1, 1, 0]);
  assert.deepEqual(labelsOf(rule('>=', 1), '0', '1', '2'), [0, 1, 1]);
  assert.deepEqual(labelsOf(rule('<', 1), '0', '1', '2'), [1, 0, 0]);
  assert.deepEqual(labelsOf(rule('<=', 1), '0', '1', '2'), [1, 1, 0]);
  assert.deepEqual(labelsOf(rule('=', 'yes'), 'yes', 'no'), [1, 0]);
  assert.deepEqual(labelsOf(rule('=', 1), '1.0', '2'), [1, 0]);
  assert.deepEqual(labelsOf(rule('!=', 1), '1.0', '2'), [0, 1]);
  assert.deepEqual(labelsOf({ kind: 'classes', column: 'y', classes: ['b', 'a'] }, 'a', 'b'), [1, 0]);
  const clamped: Label = { kind: 'number', column: 'y', least: 0, most: 10 };
  assert.deepEqual(labelsOf(clamped, '0', '10', '7.5', '99'), [-1, 1, 0.5, 1]);
  assert.throws(() => labelsOf(rule('>', 'high'), '1'), refusal('label-rule-unusable'));
});

test('columns are found by name, in any order, and others are dropped', () => {
  const encoded = encodeTable(tableOf(), linesOf('z,c,y,b,a', 'secret,0.3,1,0.2,0.1'));
  assert.deepEqual(Array.from(encoded.features), Array.from(Float32Array.of(0.1, 0.2, 0.3)));
  const headless = tableOf({ columnNames: ['y', 'a', 'b', 'c'] });
  assert.equal(encodeTable(headless, linesOf('1,0,0,0')).rows, 1);
});

test('a missing or double column, a short line and an empty file are refused', () => {
  const refuses = (code: string, table: Table, ...rows: readonly string[]) =>
    assert.throws(() => encodeTable(table, rows.length === 0 ? [] : linesOf(...rows)), refusal(code));
  refuses('column-missing', tableOf(), 'a,b,y', '1,1,1');
  refuses('column-missing', tableOf({ personColumn: 'patient' }), 'a,b,c,y', '1,1,1,1');
  refuses('column-twice', tableOf(), 'a,b,c,a,y', '1,1,1,1,1');
  refuses('cells-count', tableOf(), 'a,b,c,y', '1,1,1');
  refuses('table-empty', tableOf());
  refuses('range-empty', tableOf({ features: [numberFeature('a', { least: 2, most: 2 })] }), 'a,y');
  for (const bad of [
    numberFeature('a', { whenMissing: { rule: 'value', value: 7 } }),
    { ...category(), column: 'a', whenMissing: { rule: 'value', value: 'none' } } as const,
  ])
    refuses('missing-value-unusable', tableOf({ features: [bad] }), 'a,y');
});

test('labels are not needed, nor read, for prediction', () => {
  const encoded = encodeTable(tableOf(), linesOf('a,b,c', '0,0,0'), { labels: false });
  assert.deepEqual([encoded.rows, encoded.labels.length], [1, 0]);
});

test('refused rows are told by line and column, never by value, and are not in the features', () => {
  const encoded = encodeTable(tableOf(), linesOf('a,b,c,y', '0,canary-1,0,1', '0,0,0,1', '?,0,0,canary-2'));
  assert.equal(encoded.rows, 1);
  assert.deepEqual(encoded.problems, [
    { line: 2, column: 'b', problem: 'not a number' },
    { line: 4, column: 'a', problem: 'missing' },
    { line: 4, column: 'y', problem: 'not a number' },
  ]);
  assert.throws(
    () => requireAccepted(encoded),
    (error: unknown) =>
      error instanceof InputError && error.code === 'rows-refused' && !error.message.includes('canary'),
  );
  assert.doesNotMatch(JSON.stringify(encoded), /canary/);
});

test('nothing of a row that is left out stays in the next one', () => {
  const first = numberFeature('a', { whenMissing: { rule: 'indicator', value: 0.5 } });
  const second = numberFeature('b', { whenMissing: { rule: 'drop-row' } });
  const third = { ...category({ unknown: 'other' }), column: 'c' };
  const table = tableOf({ features: [first, third, second] });
  const encoded = encodeTable(table, linesOf('a,b,c,y', '?,?,9,1', '1,1,two,1'));
  assert.deepEqual([encoded.dropped, ...encoded.features], [1, 1, 0, 0, 1, 0, 0, 1]);
});

test('a person’s rows are one unit, capped in file order', () => {
  const table = tableOf({ features: [numberFeature('a')], personColumn: 'p' });
  const rows = ['0,1,ann', '0,1, ann ', '0,1,bob', '0,1,ann', '0,1,ann'];
  const records = requireAccepted(encodeTable(table, linesOf('a,y,p', ...rows)));
  assert.deepEqual(records.persons, ['ann', 'ann', 'bob', 'ann', 'ann']);
  assert.deepEqual(unitRows(records, 'person', { rowCap: 3, combine: 'mean' }), [[0, 1, 3], [2]]);
  assert.deepEqual(unitRows(records, 'record', null), [[0], [1], [2], [3], [4]]);
  assert.deepEqual(encodeTable(table, linesOf('a,y,p', '0,1,')).problems, [
    { line: 2, column: 'p', problem: 'missing' },
  ]);
  const nameless = { ...records, persons: null };
  assert.throws(() => unitRows(nameless, 'person', { rowCap: 3, combine: 'mean' }), refusal('persons-missing'));
});

test('a decimal comma is named as such, so that the mapping is mended and not the file', () => {
  const table = tableOf({ features: [numberFeature('k')] });
  const lines = [
    { line: 1, cells: ['k', 'y'] },
    { line: 2, cells: ['1,5', '1'] },
    { line: 3, cells: ['1.234,5', '1'] },
  ];
  const [comma, both] = encodeTable(table, lines).problems;
  assert.match(comma!.problem, /decimal comma: say so in the mapping/);
  assert.equal(both!.problem, 'not a number');
});
