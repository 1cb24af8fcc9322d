import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConsilienceError } from '../../../app/errors.ts';
import {
  customaryQuorum,
  honestMinimum,
  mostColluders,
  requireSafeThresholds,
  survivableLosses,
} from '../../../app/sealed-sum/thresholds.ts';

test('the table of design 3: n → t, c_max, D', () => {
  const table = [
    [3, 3, 1, 0],
    [4, 3, 1, 1],
    [5, 4, 2, 1],
    [10, 7, 3, 3],
    [20, 14, 7, 6],
    [50, 35, 19, 15],
    [100, 70, 39, 30],
    [500, 350, 199, 150],
  ];
  for (const [institutions, quorum, colluders, losses] of table as [number, number, number, number][]) {
    assert.equal(customaryQuorum(institutions), quorum);
    assert.equal(mostColluders(institutions, quorum), colluders);
    assert.equal(survivableLosses({ institutions, quorum }), losses);
    requireSafeThresholds({ institutions, quorum, colluders });
  }
});

test('safe means exactly c ≥ 1, t ≤ n, 2t > n + c and t − c ≥ 2', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 42 }),
      fc.integer({ min: 0, max: 42 }),
      (institutions, quorum, colluders) => {
        const safe =
          colluders >= 1 &&
          quorum <= institutions &&
          2 * quorum > institutions + colluders &&
          honestMinimum({ quorum, colluders }) >= 2;
        assert.equal(
          safe,
          colluders >= 1 && quorum <= institutions && colluders <= mostColluders(institutions, quorum),
        );
        if (safe) requireSafeThresholds({ institutions, quorum, colluders });
        else assert.throws(() => requireSafeThresholds({ institutions, quorum, colluders }), ConsilienceError);
      },
    ),
  );
});

test('each refusal has its own code', () => {
  const code = (institutions: number, quorum: number, colluders: number): string => {
    try {
      requireSafeThresholds({ institutions, quorum, colluders });
    } catch (error) {
      if (error instanceof ConsilienceError) return error.code;
    }
    return 'none';
  };
  assert.equal(code(4, 3, 0), 'colluders-below-one');
  assert.equal(code(4, 5, 1), 'quorum-above-roster');
  assert.equal(code(5, 3, 1), 'quorum-too-small');
  assert.equal(code(2, 2, 1), 'too-few-honest');
  assert.equal(code(4, 3, 1), 'none');
});
