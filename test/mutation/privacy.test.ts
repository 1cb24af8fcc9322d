// The mistakes that `npm run test:mutate-privacy` plants can still be planted: their places are where they were, and
// the tests named for them exist. Running them is the long suite's work.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { root } from './planted.ts';
import { changeOf, chosen, plantedBugs } from './privacy.ts';

test('every mistake has its place in the product, and tests that should notice it', () => {
  assert.ok(plantedBugs.length >= 12);
  assert.equal(new Set(plantedBugs.map(({ name }) => name)).size, plantedBugs.length);
  for (const bug of plantedBugs) {
    const { source, to } = changeOf(bug);
    assert.notEqual(to, source, bug.name);
    assert.ok(bug.tests.length > 0);
    for (const file of bug.tests) assert.ok(existsSync(path.join(root, file)), `${bug.name}: ${file}`);
  }
});

test('pieces hold every mistake once, and words choose by name', () => {
  const pieces = [1, 2, 3, 4, 5].flatMap((which) => chosen([`${which}/5`]));
  assert.deepEqual(new Set(pieces), new Set(plantedBugs));
  assert.equal(pieces.length, plantedBugs.length);
  assert.equal(chosen([]).length, plantedBugs.length);
  assert.deepEqual(
    chosen(['wrong divisor', 'float32']).map(({ name }) => name),
    ['wrong divisor', 'float32 accumulation'],
  );
  assert.throws(() => chosen(['6/5']), RangeError);
});
