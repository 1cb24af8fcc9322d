// The contract check on sparse graphs: named weaker where it holds, refused where it does not, silent without one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { graphFindings } from '../../../app/review/graph-rules.ts';
import { reviewContract } from '../../../app/review/check.ts';
import { parseDocument } from '../../../app/study/parse.ts';
import { sealingSchema } from '../../../app/study/contract.ts';
import { sampleStudy } from '../round/sample-study.ts';

const { contract } = sampleStudy({ institutions: 9, sparse: { colluders: 1, losses: 1 } });
const codes = (degree: number, shareThreshold: number): string[] =>
  graphFindings({
    ...contract,
    sealing: { ...contract.sealing, sparseGraph: { kind: 'harary', degree, shareThreshold } },
  }).map(({ level, code }) => `${level} ${code}`);

test('a graph that keeps its bound is named weaker, in the whole check too', () => {
  assert.deepEqual(codes(4, 3), ['warn sparse-graph-weaker']);
  const review = reviewContract({
    contract,
    modelDimension: 5,
    floatTerm: 0.002,
    policy: null,
    now: Date.parse(contract.created),
  });
  assert.ok(review.findings.some(({ code }) => code === 'sparse-graph-weaker'));
  const { sparseGraph: _graph, ...complete } = contract.sealing;
  assert.deepEqual(graphFindings({ ...contract, sealing: complete }), []);
});

test('too few neighbours, or a share threshold off its range, are refused with what would serve', () => {
  for (const [degree, shareThreshold] of [
    [2, 2],
    [4, 2],
    [4, 4],
  ] as const)
    assert.deepEqual(codes(degree, shareThreshold), ['refuse sparse-graph-too-sparse']);
  const [finding] = graphFindings({
    ...contract,
    sealing: { ...contract.sealing, sparseGraph: { kind: 'harary', degree: 2, shareThreshold: 2 } },
  });
  assert.match(finding!.repair, /4 neighbours and a share threshold of 3/);
});

test('a graph as dense as the complete one is pointed out', () => {
  assert.deepEqual(codes(8, 5), ['warn sparse-graph-without-effect']);
});

test('an odd degree is no contract', () => {
  const about = { code: 'contract-malformed', what: 'contract' };
  const odd = { ...contract.sealing, sparseGraph: { kind: 'harary', degree: 5, shareThreshold: 3 } };
  assert.throws(() => parseDocument(sealingSchema, odd, about), /sparse graph, degree: must be even/);
});
