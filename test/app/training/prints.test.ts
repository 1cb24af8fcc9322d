// Prints are sets: union, overlap and membership against naive twins; what names one person counts as one person.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes, toHex } from '../../../app/encoding/bytes.ts';
import { normalisedPerson } from '../../../app/training/person-identifier.ts';
import {
  hasPrint,
  personPrint,
  personPrints,
  printCount,
  printSet,
  printsOf,
  requireDisjoint,
  sharesAny,
  unionOf,
  withoutExcluded,
} from '../../../app/training/prints.ts';
import { unitRows } from '../../../app/training/records.ts';
import type { Records } from '../../../app/training/records.ts';
import { nodeCipher } from '../../../main/host/machine.ts';

const key = new Uint8Array(32).fill(7);
const print = (value: number): Uint8Array => new Uint8Array(16).fill(value);
const members = fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 10 });

test('sets of prints behave like sets', () => {
  fc.assert(
    fc.property(members, members, (left, right) => {
      const [one, other] = [printSet(left.map(print)), printSet(right.map(print))];
      const [naive, naiveOther] = [new Set(left), new Set(right)];
      assert.equal(printCount(one), naive.size);
      assert.equal(
        sharesAny(one, other),
        left.some((value) => naiveOther.has(value)),
      );
      assert.equal(toHex(unionOf(one, other)), toHex(printSet([...naive, ...naiveOther].map(print))));
      for (let value = 0; value <= 12; value++) assert.equal(hasPrint(one, print(value)), naive.has(value));
    }),
  );
  assert.throws(() => printSet([new Uint8Array(15)]), RangeError);
});

test('prints are keyed, and hold neither order nor number of a person’s rows', () => {
  const persons = personPrints(nodeCipher, key, ['b', 'a', 'b']);
  assert.equal(toHex(persons), toHex(personPrints(nodeCipher, key, ['a', 'b'])));
  const other = personPrints(nodeCipher, new Uint8Array(32), ['a', 'b']);
  assert.equal(sharesAny(persons, other), false);
  const [first, second] = [personPrint(nodeCipher, key, 'a'), personPrint(nodeCipher, key, 'b')];
  assert.notEqual(compareBytes(first, second), 0);
});

test('one person written in several ways is one person; two persons stay two', () => {
  const same = ['P-0012', ' p-0012', 'P0012', 'Ｐ－００１２', 'p‐00 12', 'P\u00AD0012'];
  assert.equal(new Set(same.map(normalisedPerson)).size, 1);
  assert.equal(new Set(['00123', '123', '123.0', ' 123'].map(normalisedPerson)).size, 1);
  const different = ['P12', 'P120', 'Q12', '12', '1.2', '0', '-', '--'];
  assert.equal(new Set(different.map(normalisedPerson)).size, different.length);
});

const records = (persons: string[] | null, values = [1, 2, 3, 4]): Records => ({
  rows: 4,
  width: 2,
  features: Float32Array.from(values.flatMap((value) => [value, -value])),
  labels: Float32Array.from([0, 1, 0, 1]),
  persons,
});

test('rows are told apart by features and label alone', () => {
  const all = printsOf(nodeCipher, key, records(null));
  assert.equal(all.persons, null);
  assert.equal(printCount(all.rows), 4);
  const changed = printsOf(nodeCipher, key, records(null, [9, 9, 9, 4]));
  assert.ok(sharesAny(all.rows, changed.rows));
  const none = printsOf(nodeCipher, key, records(null, [9, 9, 9, 9]));
  assert.ok(!sharesAny(all.rows, none.rows));
});

test('a unit is a person, however each row writes it', () => {
  const rule = { rowCap: 5, combine: 'mean' } as const;
  assert.deepEqual(unitRows(records(['P-1', 'p1', 'P-2', 'P 01']), 'person', rule), [[0, 1], [2], [3]]);
});

test('nothing is left of a person who objects', () => {
  const excluded = { key, persons: personPrints(nodeCipher, key, ['p 2', 'nobody']) };
  const left = withoutExcluded(nodeCipher, records(['P-1', 'P-2', 'P-1', 'P2']), excluded);
  assert.deepEqual(
    [left.rows, left.persons, [...left.features], [...left.labels]],
    [2, ['P-1', 'P-1'], [1, -1, 3, -3], [0, 0]],
  );
  const everybody = { key, persons: personPrints(nodeCipher, key, ['P-1', 'P-2']) };
  assert.equal(withoutExcluded(nodeCipher, records(['P-1', 'P-2', 'P-1', 'P2']), everybody).rows, 0);
  assert.throws(() => withoutExcluded(nodeCipher, records(null), excluded), { code: 'exclusion-without-persons' });
  const nobody = { key, persons: new Uint8Array(0) };
  assert.equal(withoutExcluded(nodeCipher, records(null), nobody).rows, 4);
});

test('test persons must not be training persons', () => {
  const training = personPrints(nodeCipher, key, ['a', 'b']);
  requireDisjoint(training, personPrints(nodeCipher, key, ['c']));
  assert.throws(() => requireDisjoint(training, personPrints(nodeCipher, key, ['c', 'B '])), {
    code: 'test-persons-in-training',
  });
});
