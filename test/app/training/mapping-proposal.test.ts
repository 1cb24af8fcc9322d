// What columns seem to hold, and which of them a study's columns may be.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cellKind, ColumnCounter } from '../../../app/training/column-kinds.ts';
import { likenessOf, proposeMapping } from '../../../app/training/mapping-proposal.ts';
import { RowMapper } from '../../../app/training/row-mapper.ts';
import { numberFeature, tableOf } from './examples.ts';

test('cells are told apart by their form alone', () => {
  const kinds: readonly (readonly [string | number, string])[] = [
    ['1', 'number'],
    ['-1.5e3', 'number'],
    [2.5, 'number'],
    ['1,5', 'number with decimal comma'],
    ['1,5,2', 'text'],
    ['3.4.2020', 'date dd.mm.yyyy'],
    ['03/04/2020', 'date with slashes'],
    ['2020-04-03', 'date yyyy-mm-dd'],
    ['2020-04-03T00:00:00', 'date yyyy-mm-dd'],
    ['2020-04-031', 'text'],
    ['Müller', 'text'],
    ['9'.repeat(41), 'text'],
  ];
  for (const [cell, kind] of kinds) assert.equal(cellKind(cell), kind, String(cell));
});

test('a column is what nine tenths of it are; missing tokens are counted, values are not kept', () => {
  const counter = new ColumnCounter(['a ', 'b', 'c'], ['?']);
  for (let row = 0; row < 20; row++) counter.row([row < 2 ? '?' : row % 2 === 0 ? '1' : '1,5', row < 3 ? 'canary' : 7]);
  const [a, b, c] = counter.summaries();
  assert.deepEqual([a!.column, a!.kind, a!.filled, a!.missing], ['a', 'number with decimal comma', 18, 2]);
  assert.deepEqual([b!.kind, b!.missing, b!.counts], ['text', 0, { text: 3, number: 17 }]);
  assert.deepEqual([c!.kind, c!.missing], [null, 20]);
  assert.doesNotMatch(JSON.stringify(counter.summaries()), /canary/);
});

test('likeness is symmetric, within [0, 1], and 1 for the same name alone', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (left, right) => {
      const likeness = likenessOf(left, right);
      assert.equal(likeness, likenessOf(right, left));
      assert.ok(likeness >= 0 && likeness <= 1);
      assert.equal(likeness === 1, left.trim() === right.trim());
    }),
  );
  assert.equal(likenessOf('RestingBP', 'resting_bp'), 0.99);
  assert.equal(likenessOf('Größe', 'groesse') > 0.6, true);
  assert.equal(likenessOf('age', 'Age (years)'), 0.75);
});

test('a proposal names the likest column of each once, says where there is none, and sees decimal commas', () => {
  const table = tableOf({ features: [numberFeature('age'), numberFeature('cholesterol'), numberFeature('slope')] });
  const counter = new ColumnCounter(['Cholesterol_mg', 'Age', 'y', 'ward'], []);
  counter.row(['201,5', '44', '1', '3,5']);
  const { mapping, columns } = proposeMapping(table, counter.summaries());
  assert.deepEqual(mapping.rename, { age: 'Age', cholesterol: 'Cholesterol_mg' });
  assert.equal(mapping.decimalComma, true);
  assert.deepEqual(columns.at(-2), { column: 'slope', source: null, likeness: 0 });
  assert.deepEqual(columns.at(-1), { column: 'y', source: 'y', likeness: 1 });
  // With the missing column there, the proposal is a mapping that works.
  assert.deepEqual(new RowMapper(table, mapping, ['slope', 'Cholesterol_mg', 'Age', 'y']).dropped, []);
  const other = new ColumnCounter(['age', 'ward'], []);
  other.row(['44', '3,5']);
  assert.equal(proposeMapping(table, other.summaries()).mapping.decimalComma, false);
});
