// Degrees and thresholds of sparse graphs, held to the published table of the semi-malicious class (design 3).
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { neighboursOn } from '../../../app/sealed-sum/harary-ring.ts';
import {
  disconnectionBound,
  findSparseGraph,
  holdsInEveryCohort,
  shareThresholds,
  sparseGraphFor,
} from '../../../app/sealed-sum/sparse-graph.ts';

const small = 1e-14;
const setting = (members: number, adversarial: number, dropout: number) => ({
  members,
  colluders: Math.floor((adversarial + small) * members),
  dropouts: members - Math.ceil((1 - dropout - small) * members),
});

describe('sparse graph', () => {
  for (const [members, adversarial, dropout, degree, shareThreshold] of [
    [100, 0.3, 0.3, 92, 62],
    [1000, 0.3, 0.3, 872, 584],
    [100, 0.05, 0.33, 72, 39],
    [1000, 0.05, 0.33, 398, 223],
    [500, 0.05, 0.05, 44, 31],
    [500, 0.2, 0.05, 76, 60],
    [500, 0.2, 0.3, 376, 239],
  ] as const)
    it(`gives ${members} members, ${adversarial} colluding, ${dropout} lost: ${degree} neighbours`, () => {
      assert.deepEqual(findSparseGraph(setting(members, adversarial, dropout)), { degree, shareThreshold });
    });

  it('bounds how often a ring falls apart, counted over every choice of lost members', () => {
    const members = 10;
    const ring = Array.from({ length: members }, (_, index) => index);
    for (const [degree, colluders, dropouts] of [
      [2, 1, 1],
      [2, 2, 2],
      [4, 2, 2],
      [4, 3, 2],
      [6, 3, 3],
    ] as const) {
      let apart = 0;
      let all = 0;
      for (let lost = 0; lost < 2 ** members; lost++) {
        const left = ring.filter((index) => (lost & (1 << index)) === 0);
        if (left.length !== members - colluders - dropouts) continue;
        all++;
        const reached = new Set([left[0]!]);
        for (const index of reached)
          for (const next of neighboursOn(ring, degree, index)) if (left.includes(next)) reached.add(next);
        if (reached.size < left.length) apart++;
      }
      const bound = disconnectionBound({ members, colluders, dropouts }, degree);
      assert.ok(apart / all <= bound + 1e-12, `degree ${degree}: ${apart} of ${all}, bound ${bound}`);
      assert.equal(apart === 0, bound === 0, `degree ${degree}`);
    }
  });

  it('leaves no member both of whose secrets its neighbours could open', () => {
    for (const colluders of [1, 2, 3])
      for (let members = 7; members <= 12; members++)
        for (let degree = 2; degree < members - 1; degree += 2) {
          const range = shareThresholds({ members, colluders, dropouts: 1 }, degree);
          // In rosters this small every number of colluding neighbours that can occur does, far above 2^−41.
          if (range !== null) assert.ok(2 * range.least > degree + Math.min(colluders, degree));
        }
  });

  it('finds one graph for every cohort of a study, and none where colluders are many', () => {
    assert.deepEqual(sparseGraphFor({ institutions: 8, least: 7, colluders: 1 }), { degree: 4, shareThreshold: 3 });
    const study = { institutions: 100, least: 90, colluders: 5 };
    const found = sparseGraphFor(study)!;
    assert.ok(holdsInEveryCohort(study, found));
    assert.ok(!holdsInEveryCohort(study, { ...found, degree: found.degree - 2 }));
    assert.equal(sparseGraphFor({ institutions: 20, least: 14, colluders: 7 }), null);
  });
});
