// Whole rounds through the real reducers and codecs: sums equal plain sums for random n and dropouts at every stage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkResult } from '../../../app/round/result.ts';
import { nodeMachine } from '../../../main/host/machine.ts';
import { agree, federation, open, ready, seal, share, unmask } from './federation.ts';
import { sampleStudy } from './sample-study.ts';

function vectorFor(index: number, dimension: number): Uint32Array {
  return Uint32Array.from({ length: dimension }, (_, at) => (Math.imul(index + 1, 0x9e3779b1) + at * 7919) >>> 0);
}

function plainSum(indices: readonly number[], dimension: number): Uint32Array {
  const sum = new Uint32Array(dimension);
  for (const index of indices) vectorFor(index, dimension).forEach((word, at) => (sum[at] = sum[at]! + word));
  return sum;
}

test('four institutions, nobody missing: the sum is the plain sum, and every participant can check it', () => {
  const study = sampleStudy({ institutions: 4 });
  const fed = federation(study, nodeMachine);
  const d = study.parameters.dimension;
  ready(fed);
  share(fed);
  seal(fed, (index) => vectorFor(index, d));
  agree(fed);
  unmask(fed);
  assert.deepEqual(open(fed), plainSum([0, 1, 2, 3], d));
  assert.equal(fed.round.stage, 'closed');
  for (const party of fed.parties) {
    const checked = checkResult(nodeMachine.cipher, study.parameters, party.state!, fed.round.result!);
    assert.deepEqual(checked.survivors, [0, 1, 2, 3]);
  }
});

test('random n, and random losses after each stage that the threshold can bear: exactly the survivors’ sum', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 20 }).chain((n) => {
        const losses = Math.floor(0.3 * n);
        return fc.record({
          n: fc.constant(n),
          lost: fc.uniqueArray(fc.integer({ min: 0, max: n - 1 }), { maxLength: losses }),
          at: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: losses, maxLength: losses }),
        });
      }),
      ({ n, lost, at }) => {
        const study = sampleStudy({ institutions: n });
        const fed = federation(study, nodeMachine);
        const d = study.parameters.dimension;
        const gone = (stage: number) => new Set(lost.filter((_, i) => at[i]! <= stage));
        ready(fed, gone(0));
        share(fed, gone(1));
        seal(fed, (index) => vectorFor(index, d), gone(2));
        agree(fed, gone(3));
        unmask(fed, gone(4));
        const survivors = [...Array(n).keys()].filter((index) => !gone(2).has(index));
        assert.deepEqual([...fed.round.survivors], survivors);
        assert.deepEqual(open(fed), plainSum(survivors, d));
      },
    ),
    { numRuns: 12 },
  );
});
