// What the check says of terms that adapt from released sums, and the ε that it reads for them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countNoise } from '../../../app/review/adaptive-rules.ts';
import { reviewContract } from '../../../app/review/check.ts';
import type { Review } from '../../../app/review/check.ts';
import { deriveDraft } from '../../../app/review/derive.ts';
import { nearestPassing } from '../../../app/review/nearest.ts';
import { withLeastNoise } from '../../../app/review/round-event.ts';
import { filterEpsilon } from '../../../app/review/study-filter.ts';
import type { ContractDraft } from '../../../app/study/contract.ts';
import { adaptiveClipping, adaptiveNoise } from '../round/adaptive-study.ts';
import { changed, sampleContract, sampleDimension, sampleNow } from '../study/sample-study.ts';

const input = (contract: ContractDraft) => ({
  contract,
  modelDimension: sampleDimension,
  floatTerm: 0.002,
  policy: null,
  now: sampleNow,
});
const review = (contract: ContractDraft): Review => reviewContract(input(contract));
const codes = (contract: ContractDraft): string[] =>
  review(contract).findings.map(({ level, code }) => `${level} ${code}`);
const wishes = { modelDimension: sampleDimension, targetEpsilon: null, colluders: 1 };
const base = sampleContract();
const clipped = deriveDraft(changed(base, { training: { adaptiveClipping } }), wishes);
const noised = deriveDraft(changed(base, { privacy: { adaptiveNoise } }), wishes);

test('derived terms that adapt pass, with one word more for the count', () => {
  assert.deepEqual(codes(clipped), []);
  assert.equal(clipped.sealing.dimension, sampleDimension + 1);
  assert.deepEqual(codes({ ...clipped, sealing: { ...clipped.sealing, dimension: sampleDimension } }).slice(0, 1), [
    'refuse dimension-differs',
  ]);
  assert.deepEqual(codes(noised), []);
});

test('found: a clip outside its ends, a count below the noise', () => {
  const outside = changed(clipped, { training: { adaptiveClipping: { ...adaptiveClipping, most: 0.5 } } });
  assert.deepEqual(codes(outside), ['refuse adaptive-clip-ends']);
  const weak = deriveDraft(
    changed(base, { training: { adaptiveClipping: { ...adaptiveClipping, countWeight: 0.001 } } }),
    wishes,
  );
  assert.ok(countNoise(weak) > 0.5 && countNoise(clipped) < 0.1);
  assert.deepEqual(codes(weak), ['warn adaptive-count-drowned']);
});

test('found: noise that adapts without noise, or under an ε that ends the study too early', () => {
  const none = changed(base, {
    privacy: { noise: 'none', noiseMultiplier: null, epsilon: null, adaptiveNoise },
    sealing: { noiseVariance: 0, openableBatches: [[0, 1, 2, 3, 4, 5]] },
  });
  assert.ok(codes(none).includes('refuse adaptive-noise-without-noise'));
  const tight = changed(noised, { privacy: { epsilon: 2 } });
  assert.deepEqual(codes(tight), ['refuse adaptive-noise-no-room']);
  const proposed = nearestPassing(input(tight))!;
  assert.notEqual(proposed.review.outcome, 'refuse');
  assert.equal(proposed.contract.privacy.adaptiveNoise, tight.privacy.adaptiveNoise);
});

test('the ε of noise that adapts is the filter’s, or that of all attempts at the least noise where it is lower', () => {
  const { epsilon } = review(noised).figures;
  assert.equal(epsilon.coordinator, noised.privacy.epsilon);
  assert.ok(epsilon.coordinator! >= filterEpsilon(noised)!);
  assert.ok(epsilon.outsiders! <= epsilon.coordinator!);
  const generous = changed(noised, { privacy: { epsilon: 1000 } });
  const atLeast = withLeastNoise(generous);
  const fixed = changed(atLeast, { privacy: { adaptiveNoise: undefined } });
  assert.equal(review(generous).figures.epsilon.coordinator, review(fixed).figures.epsilon.coordinator);
});
