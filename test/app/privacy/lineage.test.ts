// Lineages from ledger entries: names follow, merges last, and any order of imports that share persons ends in one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { lineagesOf, placeVersion } from '../../../app/privacy/lineage.ts';
import type { ImportedVersion } from '../../../app/privacy/lineage.ts';

const nothing: ReadonlySet<string> = new Set();

test('a new name that touches nothing begins a lineage; the same name goes on in its own', () => {
  const first = placeVersion([], { dataset: 'a', persons: false, touches: nothing, sameBytes: nothing }, 'fresh');
  assert.deepEqual(first, { id: 'fresh', merged: [], datasets: ['a'], persons: false, inherits: false });
  const known = lineagesOf([{ dataset: 'a', lineage: 'one', merged: [], persons: true }]);
  const again = placeVersion(known, { dataset: 'a', persons: false, touches: nothing, sameBytes: nothing }, 'fresh');
  // Once a version has named persons, the unit stays the person.
  assert.deepEqual(again, { id: 'one', merged: [], datasets: ['a'], persons: true, inherits: true });
  const copy = placeVersion(
    known,
    { dataset: 'b', persons: true, touches: nothing, sameBytes: new Set(['a']) },
    'fresh',
  );
  assert.deepEqual([copy.id, copy.datasets], ['one', ['a', 'b']]);
});

test('an import that shares persons with two lineages joins them for good', () => {
  const versions: ImportedVersion[] = [
    { dataset: 'a', lineage: 'one', merged: [], persons: false },
    { dataset: 'x', lineage: 'far', merged: [], persons: false },
    { dataset: 'b', lineage: 'two', merged: [], persons: true },
  ];
  const touches = new Set(['one', 'two']);
  const placed = placeVersion(
    lineagesOf(versions),
    { dataset: 'c', persons: false, touches, sameBytes: nothing },
    'fresh',
  );
  assert.deepEqual(placed, { id: 'one', merged: ['two'], datasets: ['a', 'b', 'c'], persons: true, inherits: true });
  versions.push({ dataset: 'c', lineage: placed.id, merged: placed.merged, persons: false });
  const after = lineagesOf(versions);
  assert.deepEqual(after, [
    { id: 'one', datasets: ['a', 'b', 'c'], persons: true },
    { id: 'far', datasets: ['x'], persons: false },
  ]);
  // Prints may still know the old id, or one of an import that was cut off before the ledger had it.
  const late = placeVersion(
    after,
    { dataset: 'd', persons: false, touches: new Set(['lost']), sameBytes: nothing },
    'fresh',
  );
  assert.deepEqual([late.id, late.merged, late.inherits], ['lost', [], false]);
});

test('entries from before lineages: the declared name is the lineage', () => {
  const old = { lineage: null, merged: [], persons: false };
  const known = lineagesOf([
    { dataset: 'a', ...old },
    { dataset: 'a', ...old },
    { dataset: 'b', ...old },
  ]);
  assert.deepEqual(
    known.map((one) => one.datasets),
    [['a'], ['b']],
  );
});

test('whatever the order, imports connected by persons end in one lineage, others apart', () => {
  const imports = fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(imports, (files) => {
      const versions: ImportedVersion[] = [];
      const people = new Map<string, Set<number>>();
      for (const [at, file] of files.entries()) {
        const touches = new Set(
          [...people].filter(([, known]) => file.some((one) => known.has(one))).map(([id]) => id),
        );
        const placed = placeVersion(
          lineagesOf(versions),
          { dataset: `d${at}`, persons: true, touches, sameBytes: nothing },
          `id${at}`,
        );
        const joined = new Set(file);
        for (const id of [placed.id, ...placed.merged]) people.get(id)?.forEach((one) => joined.add(one));
        placed.merged.forEach((id) => people.delete(id));
        people.set(placed.id, joined);
        versions.push({ dataset: `d${at}`, lineage: placed.id, merged: placed.merged, persons: true });
      }
      const group = files.map((_, at) => at);
      for (let changed = true; changed;) {
        changed = false;
        for (const [i, one] of files.entries())
          for (const [j, other] of files.entries())
            if (group[i]! < group[j]! && one.some((person) => other.includes(person)))
              [group[j], changed] = [group[i]!, true];
      }
      const expected = [...new Set(group)].map((id) => files.flatMap((_, at) => (group[at] === id ? [`d${at}`] : [])));
      const found = lineagesOf(versions).map((one) => [...one.datasets].sort());
      assert.deepEqual(found.sort(), expected.sort());
    }),
  );
});
