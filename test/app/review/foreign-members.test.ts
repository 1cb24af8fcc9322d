// Every way to fool oneself that the issue of the lint names is found, refused, and has terms near it that pass: those
// that a contract can express, by the check; those that it cannot, before the schema.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reviewContract } from '../../../app/review/check.ts';
import { foreignMembers } from '../../../app/review/foreign-members.ts';
import { nearestPassing, nearestWithout } from '../../../app/review/nearest.ts';
import type { ContractDraft } from '../../../app/study/contract.ts';
import { parseDraft } from '../../../app/study/signed-contract.ts';
import { changed, sampleContract, sampleDimension, sampleNow } from '../study/sample-study.ts';

const base = sampleContract();
const input = (contract: ContractDraft, floatTerm = 0.002) => ({
  contract,
  modelDimension: sampleDimension,
  floatTerm,
  policy: null,
  now: sampleNow,
});

/** The sample as JSON with one member more. */
function written(where: string, value: unknown, draft: object = base): unknown {
  const root = JSON.parse(JSON.stringify(draft)) as Record<string, unknown>;
  const names = where.split('.');
  let part = root;
  for (const name of names.slice(0, -1)) part = part[name] as Record<string, unknown>;
  part[names.at(-1)!] = value;
  return root;
}

const foreign: readonly (readonly [what: string, where: string, value: unknown, code: string])[] = [
  ['shuffled batches', 'training.sampling', 'shuffle', 'shuffled-sampling'],
  ['batches of one size', 'training.batchSize', 128, 'shuffled-sampling'],
  ['whole epochs', 'training.epochs', 3, 'shuffled-sampling'],
  ['a private divisor', 'training.divisor', 'true-count', 'private-divisor'],
  ['a clip that is off', 'training.clip', false, 'clip-not-enforced'],
  ['no clipping norm', 'training.clippingNorm', null, 'clip-not-enforced'],
  ['a relation stated', 'privacy.adjacency', 'replace-one', 'adjacency-stated'],
  ['institutions chosen at random', 'training.clientFraction', 0.1, 'institutions-sampled'],
  ['sums in float32', 'training.accumulation', 'float32', 'float-accumulation'],
  ['a private head', 'task.model.privateHead', { hidden: [8] }, 'private-head-shared'],
  ['seeded noise', 'privacy.seed', 42, 'seeded-noise'],
];

for (const [what, where, value, code] of foreign)
  test(`${what}: named, refused, and left out of the nearest terms`, () => {
    const draft = written(where, value);
    assert.throws(() => parseDraft(draft), { code: 'contract-invalid' }, 'no contract can say it');
    const { findings, members, rest } = foreignMembers(draft);
    assert.deepEqual(
      findings.map((one) => [one.level, one.code]),
      [['refuse', code]],
    );
    const [{ reason, repair }] = findings as [(typeof findings)[number]];
    assert.match(reason, /^The draft says ".*\.$/su);
    assert.match(repair, /^[A-Z].*\.$/su);
    const nearest = nearestWithout(input(parseDraft(rest)), members)!;
    assert.notEqual(nearest.review.outcome, 'refuse');
    assert.deepEqual([nearest.changes[0]!.where, nearest.changes[0]!.from], [where, value]);
  });

test('add-or-remove for institutions is named as such', () => {
  const institution = changed(base, { training: { unit: 'institution', mode: 'institution', localLearningRate: 0.1 } });
  const { findings } = foreignMembers(written('privacy.adjacency', 'add-or-remove', institution));
  assert.deepEqual(
    findings.map(({ code }) => code),
    ['institution-add-or-remove'],
  );
});

test('an honest draft has no foreign member, and what is said already is left to the schema', () => {
  const { findings, rest } = foreignMembers(base);
  assert.deepEqual(findings, []);
  assert.equal(rest, base);
  for (const nothing of [null, 3, 'text', [], { training: 5 }]) assert.deepEqual(foreignMembers(nothing).members, []);
  const poisson = written('training.sampling', 'poisson');
  assert.deepEqual(foreignMembers(poisson).findings, []);
  assert.throws(() => parseDraft(poisson), { code: 'contract-invalid' });
});

const expressible: readonly (readonly [what: string, change: Parameters<typeof changed>[1], code: string])[] = [
  ['n too small for the threshold', { sealing: { threshold: 7, cohortFloor: 7 } }, 'quorum-above-roster'],
  ['a scale too coarse', { sealing: { scale: 2 } }, 'scale-too-coarse'],
  ['δ above 1/(10·units)', { privacy: { delta: 0.01 } }, 'delta-too-large'],
];
for (const [what, change, code] of expressible)
  test(`${what}: refused by the check, with terms near it that pass`, () => {
    const contract = changed(base, change);
    const { outcome, findings } = reviewContract(input(contract));
    assert.equal(outcome, 'refuse');
    assert.ok(findings.some((one) => one.level === 'refuse' && one.code === code));
    assert.notEqual(nearestPassing(input(contract))!.review.outcome, 'refuse');
  });

test('choosing batches of institutions, or float32 sums too wide, are the check’s own refusals', () => {
  const sampled = changed(base, { training: { unit: 'institution' } });
  const codes = (contract: ContractDraft, floatTerm?: number): string[] =>
    reviewContract(input(contract, floatTerm)).findings.map(({ code }) => code);
  assert.ok(codes(sampled).includes('institution-sampling-unsupported'));
  assert.deepEqual(codes(base, 0.02), ['float-term']);
});
