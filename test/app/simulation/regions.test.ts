// Relays in front of three regions, in federations on a bad network: what they add is exact, one that dies takes its own
// members out of a round and nobody else, and one that lies is found out by its own members before anybody applies the
// sum. The last test takes that check away, to see that the others notice.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { FaultPlan } from '../../../app/simulation/fault-plan.ts';
import { simulateFaults } from '../../../app/simulation/faulty-federation.ts';
import type { RelayLie, RelayPlan } from '../../../app/simulation/simulated-relay.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { federationWithout } from '../../mutation/without.ts';

const honest: RelayPlan = { lie: null, lies: 0, down: [] };

const world =
  (changes: Partial<FaultPlan>) =>
  (plan: FaultPlan): FaultPlan => ({
    ...plan,
    stageSeconds: 40,
    pollMs: 1000,
    rounds: 2,
    calmFrom: 200_000,
    network: { delay: [1, 200], loss: 0.02, duplication: 0.2, partitions: [] },
    ...changes,
  });

suite('3 regions of 4', () => {
  const indices = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at);
  const everybody = indices(0, 12);
  /** No loss, so that who is in a sum follows from who was away alone. */
  const survivorsOf = async (
    partitions: FaultPlan['network']['partitions'],
    regions: readonly RelayPlan[],
  ): Promise<(readonly number[])[]> => {
    const network = { delay: [1, 200], loss: 0, duplication: 0.1, partitions } as const;
    const change = world({ institutions: 12, network });
    const report = await simulateFaults(nodeCipher, 1, { theme: 'network', keyLoss: false, change, regions });
    assert.deepEqual(report.violations, []);
    assert.equal(report.outcome, 'complete');
    return report.rounds.map(({ survivors }) => survivors);
  };

  test('a member that is cut off while contributions are sealed is left out, and nobody else, and comes back', async () => {
    const cut = [{ from: 5000, to: 60_000, cut: [0] }];
    assert.deepEqual(await survivorsOf(cut, [honest, honest, honest]), [indices(1, 12), everybody]);
  });

  test('a relay that is down takes its own members out, and nobody else, and comes back', async () => {
    const down = { ...honest, down: [{ from: 4000, to: 60_000 }] };
    const without = [...indices(0, 4), ...indices(8, 12)];
    assert.deepEqual(await survivorsOf([], [honest, down, honest]), [without, everybody]);
  });

  test('vectors packed to the ring’s bits are added by relays too, with a dropout', async () => {
    const network = { delay: [1, 200], loss: 0, duplication: 0.1, partitions: [{ from: 5000, to: 60_000, cut: [0] }] };
    for (const packedBits of [20, 27]) {
      const report = await simulateFaults(nodeCipher, 1, {
        theme: 'network',
        keyLoss: false,
        change: world({ institutions: 12, packedBits, network: { ...network, delay: [1, 200] } }),
        regions: [honest, honest, honest],
      });
      // The witness holds the sum against that of the vectors, mod 2^w.
      assert.deepEqual(report.violations, []);
      assert.deepEqual([report.outcome, report.spoiled], ['complete', 0]);
      assert.deepEqual(report.cohorts, [11, 12]);
    }
  });

  test('both, on a network that loses messages: every promise holds', async () => {
    const network = {
      delay: [1, 200],
      loss: 0.02,
      duplication: 0.1,
      partitions: [{ from: 5000, to: 45_000, cut: [0] }],
    };
    const down = { ...honest, down: [{ from: 4000, to: 130_000 }] };
    const report = await simulateFaults(nodeCipher, 1, {
      theme: 'network',
      change: world({ institutions: 12, network: { ...network, delay: [1, 200] } }),
      regions: [honest, down, honest],
    });
    assert.deepEqual(report.violations, []);
    assert.equal(report.outcome, 'complete');
  });
});

const small = world({ institutions: 6 });
const lying = (lie: RelayLie): readonly RelayPlan[] => [{ ...honest, lie, lies: 1 }, honest, honest];

suite('a relay that lies in the first round does no harm', () => {
  const ends: { readonly [Lie in RelayLie]: readonly string[] } = {
    'adds-garbage': ['region-sum-differs'],
    'leaves-a-vector-out': ['region-sum-differs'],
    'shows-other-vectors': ['region-not-vouched', 'vector-off-root'],
    'withholds-vectors': ['not-there', 'region-not-vouched'],
    // The second sum is refused, and whom it leaves out is a dropout like any other.
    'signs-twice': [],
    'drops-a-member': [],
  };
  for (const [lie, codes] of Object.entries(ends) as [RelayLie, readonly string[]][])
    test(lie, async () => {
      const report = await simulateFaults(nodeCipher, 2, { theme: 'network', change: small, regions: lying(lie) });
      assert.deepEqual(report.violations, []);
      assert.equal(report.outcome, 'complete');
      for (const code of codes) assert.ok(report.left.includes(code), `${code} is not among ${report.left.join()}`);
      if (codes.length > 0) assert.ok(report.aborted > 0);
      if (lie === 'drops-a-member') assert.ok(Math.min(...report.cohorts) < 6, report.cohorts.join());
    });
});

test('without the members’ own addition a relay’s garbage would be applied, and is seen', async () => {
  const { simulateFaults: without } = await federationWithout(['region-sum-differs']);
  const options = { theme: 'network', change: small, regions: lying('adds-garbage') } as const;
  const { violations } = await without(nodeCipher, 2, options);
  assert.ok(violations.some(({ promise }) => promise === 'sum-exact'));
});

suite('regions that open their own sums', () => {
  const opening = 'region' as const;

  test('3 regions of 4: exact on a bad network, with a relay that is down, and nothing of fewer than t_r − c opens', async () => {
    const report = await simulateFaults(nodeCipher, 1, {
      theme: 'network',
      change: world({ institutions: 12 }),
      regions: [honest, { ...honest, down: [{ from: 4000, to: 130_000 }] }, honest],
      opening,
    });
    assert.deepEqual(report.violations, []);
    assert.equal(report.outcome, 'complete');
    assert.ok(Math.min(...report.cohorts) <= 8, report.cohorts.join());
  });

  test('a region with too few members is left out whole, and the others open theirs', async () => {
    const cut = [0, 1];
    const report = await simulateFaults(nodeCipher, 3, {
      theme: 'network',
      change: world({
        institutions: 12,
        network: { delay: [1, 200], loss: 0, duplication: 0, partitions: [{ from: 5500, to: 190_000, cut }] },
      }),
      regions: [honest, honest, honest],
      opening,
    });
    assert.deepEqual(report.violations, []);
    assert.equal(report.outcome, 'complete');
    for (const { survivors } of report.rounds)
      for (const start of [0, 4, 8]) {
        const there = survivors.filter((index) => index >= start && index < start + 4).length;
        assert.ok(there === 0 || there >= 3, `${there} of a region in the sum`);
      }
    assert.ok(
      report.rounds.some(({ survivors }) => survivors.every((index) => index >= 4)),
      'a round closed without the region',
    );
  });

  for (const theme of [
    'crashes',
    'disks',
    'absences',
    'lying-institutions',
    'lying-coordinator',
    'everything',
  ] as const)
    test(`in trouble: ${theme}`, async () => {
      for (const seed of [11, 12]) {
        const report = await simulateFaults(nodeCipher, seed, {
          theme,
          change: (plan) => ({ ...plan, institutions: 9, sparse: null, liars: plan.liars.slice(0, 1) }),
          regions: [honest, honest, honest],
          opening,
        });
        assert.deepEqual(report.violations, [], `seed ${seed}`);
      }
    });

  for (const [theme, lie] of [
    ['lying-institutions', 'box-that-does-not-open'],
    ['lying-institutions', 'false-seed-commitment'],
    ['lying-institutions', 'wrong-share'],
    ['lying-coordinator', 'small-second-list'],
    ['lying-coordinator', 'split-third-list'],
    ['lying-coordinator', 'wrong-seed'],
    ['lying-coordinator', 'boxes-altered'],
  ] as const)
    test(`a lie within a region: ${lie}`, async () => {
      const report = await simulateFaults(nodeCipher, 1, {
        theme,
        lie,
        change: (plan) => ({ ...plan, institutions: 9, sparse: null, liars: plan.liars.slice(0, 1) }),
        regions: [honest, honest, honest],
        opening,
      });
      assert.deepEqual(report.violations, []);
      assert.deepEqual(report.lies, [lie]);
      // Whoever dealt or answered falsely is named by a proof that holds on a region's graph too.
      if (theme === 'lying-institutions') assert.equal(report.named.length, 1, report.named.join());
    });

  test('a relay that adds garbage is found out by its members', async () => {
    const change = world({ institutions: 9 });
    const report = await simulateFaults(nodeCipher, 2, {
      theme: 'network',
      change,
      regions: lying('adds-garbage'),
      opening,
    });
    assert.deepEqual(report.violations, []);
    assert.ok(report.left.includes('region-sum-differs'));
    assert.equal(report.outcome, 'complete');
  });
});
