// The proposal passes the very check that refused, keeps what the lead chose, and names every change.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reviewContract } from '../../../app/review/check.ts';
import { nearestPassing } from '../../../app/review/nearest.ts';
import type { ContractDraft } from '../../../app/study/contract.ts';
import { changed, sampleContract, sampleDimension, sampleNow } from '../study/sample-study.ts';

const base = sampleContract();
const input = (contract: ContractDraft) => ({
  contract,
  modelDimension: sampleDimension,
  floatTerm: 0.002,
  policy: null,
  now: sampleNow,
});

const broken: { readonly [what: string]: Parameters<typeof changed>[1] } = {
  'too few for the quorum': { sealing: { threshold: 3, cohortFloor: 3 } },
  'a quorum above the roster': { sealing: { threshold: 7, cohortFloor: 7 } },
  'a coarse scale': { sealing: { scale: 2 } },
  'too little noise for z': { sealing: { noiseVariance: 16 } },
  'a large δ': { privacy: { delta: 0.01 } },
  'batches cut short': { training: { microbatch: { units: 1, count: 1 } } },
  'an ε below the worst case': { privacy: { epsilon: 0.5 } },
};

for (const [what, change] of Object.entries(broken))
  test(`${what}: refused, and the nearest terms pass`, () => {
    const contract = changed(base, change);
    assert.equal(reviewContract(input(contract)).outcome, 'refuse');
    const { contract: proposed, changes, review } = nearestPassing(input(contract))!;
    assert.notEqual(review.outcome, 'refuse');
    assert.deepEqual(reviewContract(input(proposed)), review);
    assert.ok(changes.length > 0);
    for (const { where, from, to } of changes) {
      const read = (root: unknown): unknown =>
        where.split('.').reduce((value, name) => (value as { readonly [name: string]: unknown })[name], root);
      assert.deepEqual([read(contract), read(proposed)], [from, to]);
    }
    // What the lead chose.
    assert.deepEqual(
      [proposed.task, proposed.roster, proposed.schedule],
      [contract.task, contract.roster, contract.schedule],
    );
    assert.equal(proposed.training.mode, contract.training.mode);
    assert.equal(proposed.training.clippingNorm, contract.training.clippingNorm);
  });

test('where only a person can choose, nothing is proposed', () => {
  assert.equal(nearestPassing(input({ ...base, roster: base.roster.slice(0, 2) })), null);
  const unit = changed(base, { training: { unit: 'person' } });
  assert.equal(nearestPassing(input(unit)), null);
});
