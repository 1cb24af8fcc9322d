// Whole federations in a faulty world, from seeds: every promise holds after every event, every lie is told and does no
// harm, and a run repeats exactly. The last tests make the world worse than promised, to see that the checks notice.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { simulateFaults } from '../../../app/simulation/faulty-federation.ts';
import type { FaultReport } from '../../../app/simulation/faulty-federation.ts';
import { themes } from '../../../app/simulation/fault-plan.ts';
import type { FaultPlan } from '../../../app/simulation/fault-plan.ts';
import { coordinatorLies } from '../../../app/simulation/lying-coordinator.ts';
import { institutionLies, sparseLies } from '../../../app/simulation/lying-institution.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { federationWithout } from '../../mutation/without.ts';

function requireKept({ seed, theme, violations }: FaultReport): void {
  assert.deepEqual(violations, [], `seed ${seed} (${theme}): consilience simulate --faults --seeds ${seed}`);
}

// With the lies below more than 200 federations; test:long runs 10,000.
test('170 federations: every promise holds after every event', async () => {
  const complete = new Map<string, number>();
  let restarts = 0;
  for (let seed = 0; seed < 170; seed++) {
    const report = await simulateFaults(nodeCipher, seed);
    requireKept(report);
    restarts += report.restarts;
    if (report.outcome === 'complete') complete.set(report.theme, (complete.get(report.theme) ?? 0) + 1);
  }
  // The faults are real, and the studies go on in spite of them.
  assert.ok(restarts > 150, `only ${restarts} restarts`);
  for (const theme of themes) assert.ok((complete.get(theme) ?? 0) >= 5, `${theme}: ${complete.get(theme)} completed`);
});

test('whom a partition cuts off is in no sum while it lasts', async () => {
  const report = await simulateFaults(nodeCipher, 1, {
    theme: 'network',
    keyLoss: false,
    change: (plan) => ({
      ...plan,
      institutions: 4,
      rounds: 3,
      stageSeconds: 20,
      pollMs: 500,
      calmFrom: 120_000,
      network: { delay: [1, 50], loss: 0, duplication: 0, partitions: [{ from: 6000, to: 30_000, cut: [2] }] },
    }),
  });
  requireKept(report);
  assert.deepEqual(
    report.rounds.map(({ survivors }) => survivors),
    [
      [0, 1, 2, 3],
      [0, 1, 3],
      [0, 1, 2, 3],
    ],
  );
});

// Stages of 8 seconds on links that take up to 4 seconds one way: the terms never fitted the network, calm or not.
test('a study whose links were slower than its stages ends once they are not', async () => {
  for (const seed of [1253, 1532, 2142, 2163]) {
    const report = await simulateFaults(nodeCipher, seed);
    requireKept(report);
    assert.equal(report.outcome, 'complete', `seed ${seed}`);
  }
});

test('on a sparse graph too, in every kind of trouble', async () => {
  let rounds = 0;
  for (let seed = 1000; seed < 1000 + 2 * themes.length; seed++) {
    const report = await simulateFaults(nodeCipher, seed, { sparse: true });
    requireKept(report);
    rounds += report.sparseRounds;
  }
  // The graph really is sparse, and rounds close on it.
  assert.ok(rounds >= themes.length, `only ${rounds} rounds closed on a sparse graph`);
});

test('with turns and a pace too', async () => {
  const schedule = {
    selection: { institutions: 6, slow: [], slowPerRound: 0 },
    pace: { enough: 5, patience: 3, leastSeconds: 2 },
  };
  let closed = 0;
  for (let seed = 2000; seed < 2000 + 2 * themes.length; seed++) {
    const report = await simulateFaults(nodeCipher, seed, {
      change: (plan) => ({ ...plan, institutions: 7, sparse: null, schedule }),
    });
    requireKept(report);
    closed += report.closed;
    for (const { survivors } of report.rounds) assert.ok(survivors.length <= 6);
  }
  assert.ok(closed >= themes.length, `only ${closed} rounds closed`);
});

suite('a coordinator that loses its key', () => {
  test('in every kind of trouble, at any moment', async () => {
    let changed = 0;
    for (let seed = 0; seed < 5 * themes.length; seed++) {
      const report = await simulateFaults(nodeCipher, seed, { keyLoss: true });
      requireKept(report);
      if (report.keyChanged && report.outcome === 'complete') changed++;
    }
    assert.ok(changed >= themes.length, `only ${changed} studies went on under another key`);
  });

  // A status of the old coordinator, and what it points to already under the new key: no reason to leave the round, or
  // nobody would be left who has checked the sum that closed it.
  for (const regions of [0, 2])
    test(`between the close of a round and the look at its sum, with ${regions} regions`, async () => {
      const honest = { lie: null, lies: 0, down: [] };
      let changed = 0;
      for (let moment = 0; moment < 10; moment++) {
        const report = await simulateFaults(nodeCipher, moment, {
          theme: 'network',
          keyLoss: { afterEvents: regions === 0 ? 21 : 42, afterMs: 150 * moment, downMs: 0, spare: 0 },
          regions: Array.from({ length: regions }, () => honest),
          change: (plan) => ({
            ...plan,
            institutions: regions === 0 ? 3 : 6,
            sparse: null,
            calmFrom: 60_000,
            stageSeconds: 60,
            pollMs: 300,
            network: { delay: [1, 600], loss: 0, duplication: 0, partitions: [] },
          }),
        });
        requireKept(report);
        assert.equal(report.outcome, 'complete');
        if (report.keyChanged) changed++;
      }
      assert.equal(changed, 10);
    });
});

suite('one institution that is 20 times slower', () => {
  const rounds = async (
    slow: boolean,
    schedule: NonNullable<FaultPlan['schedule']>,
  ): Promise<FaultReport['rounds']> => {
    const report = await simulateFaults(nodeCipher, 1, {
      theme: 'network',
      change: (plan) => ({
        ...plan,
        institutions: 7,
        rounds: 3,
        liars: [],
        kills: [],
        sparse: null,
        calmFrom: 3_600_000,
        stageSeconds: 600,
        pollMs: 200,
        schedule,
        network: { delay: [50, 150], loss: 0, duplication: 0, partitions: [], ...(slow ? { slow: { 2: 20 } } : {}) },
        coordinator: { ...plan.coordinator, crash: 0, clockJump: 0 },
        institution: { ...plan.institution, crash: 0, full: 0, longAbsence: 0, garbage: 0 },
      }),
    });
    requireKept(report);
    assert.equal(report.outcome, 'complete');
    assert.equal(report.rounds.length, 3);
    return report.rounds;
  };
  const longest = (all: FaultReport['rounds']): number => Math.max(...all.map(({ ms }) => ms));
  const pace = { enough: 5, patience: 2, leastSeconds: 0 };

  test('holds every round without a pace, and none with it', async () => {
    const even = longest(await rounds(false, {}));
    assert.ok(longest(await rounds(true, {})) > 8 * even);
    assert.ok(longest(await rounds(true, { pace })) < 2 * even);
  });

  test('costs nobody else a place where all are as fast', async () => {
    for (const { survivors } of await rounds(false, { pace })) assert.equal(survivors.length, 7);
  });

  test('holds no round where it has turns of its own, with one to spare', async () => {
    const even = longest(await rounds(false, {}));
    const selection = { institutions: 6, slow: [2], slowPerRound: 1 };
    assert.ok(longest(await rounds(true, { pace, selection })) < 2 * even);
  });
});

test('the same seed gives the same run, another seed another one', async () => {
  const seed = themes.indexOf('everything');
  const first = await simulateFaults(nodeCipher, seed);
  assert.deepEqual(await simulateFaults(nodeCipher, seed), first);
  const other = await simulateFaults(nodeCipher, seed + themes.length);
  assert.notEqual(other.events, first.events);
});

suite('every lie is really told, and none does harm', () => {
  for (const lie of coordinatorLies)
    test(`coordinator: ${lie}`, async () => {
      const told = await until(lie, 'lying-coordinator', (report) => report.lies.includes(lie));
      assert.ok(told);
    });

  const reasons: { readonly [lie: string]: string } = {
    'box-that-does-not-open': 'bad-box',
    'box-with-another-share': 'bad-box',
    'false-seed-commitment': 'wrong-secret',
    'shares-of-another-mask-key': 'wrong-secret',
    'wrong-share': 'wrong-share',
    'false-complaint': 'false-complaint',
    'two-readies': 'two-messages-for-one-stage',
    'two-contributions': 'two-messages-for-one-stage',
    'two-reveals': 'two-messages-for-one-stage',
    'no-answer-to-complaint': 'silent-on-complaint',
  };
  for (const lie of institutionLies)
    test(`institution: ${lie}`, async () => {
      const named = (report: FaultReport): boolean =>
        report.named.some((name) => name.endsWith(`/${reasons[lie]}`)) ||
        (lie === 'garbage-vector' && report.spoiled > 0) ||
        // Refused at the door, or simply lost: the others' sum is exact.
        ((lie === 'weak-key' || lie === 'silent-midway' || lie === 'no-reveal') && report.closed > 0);
      assert.ok(await until(lie, 'lying-institutions', named, sparseLies.has(lie)));
    });

  /** A few seeds: a lie about a sum needs a round that closes, one about a box a holder that is there. */
  async function until(
    lie: (typeof coordinatorLies)[number] | (typeof institutionLies)[number],
    theme: 'lying-coordinator' | 'lying-institutions',
    seen: (report: FaultReport) => boolean,
    sparse = false,
  ): Promise<boolean> {
    for (let seed = 1; seed <= 12; seed++) {
      const report = await simulateFaults(nodeCipher, seed, { theme, lie, ...(sparse ? { sparse } : {}) });
      requireKept(report);
      if (seen(report)) return true;
    }
    return false;
  }
});

suite('the checks notice', () => {
  const promisesBroken = async (
    simulate: typeof simulateFaults,
    options: Parameters<typeof simulateFaults>[2],
  ): Promise<Set<string>> => {
    const broken = new Set<string>();
    for (let seed = 1; seed <= 12; seed++)
      for (const { promise } of (await simulate(nodeCipher, seed, options)).violations) broken.add(promise);
    return broken;
  };

  test('a disk that forgets what it said was synced', async () => {
    const broken = await promisesBroken(simulateFaults, {
      theme: 'crashes',
      change: (plan) => ({ ...plan, institution: { ...plan.institution, forgetfulDisk: true } }),
    });
    assert.ok(broken.has('charge-before-release'));
  });

  const equality = ['u2-differs', 'statement-differs'];
  for (const [lie, codes] of [
    ['small-second-list', ['cohort-below-floor', ...equality]],
    ['full-second-list', ['sets-not-nested', ...equality]],
  ] as const)
    test(`clients without the locks against ${lie}`, async () => {
      const { simulateFaults: without } = await federationWithout(codes);
      const broken = await promisesBroken(without, { theme: 'lying-coordinator', lie });
      assert.ok(broken.has('nothing-below-the-floor'), [...broken].join());
    });

  test('clients that do not look at the opened secrets or the sum', async () => {
    const { simulateFaults: without } = await federationWithout(['seed-wrong', 'sum-differs', 'sum-off-hash']);
    const broken = await promisesBroken(without, { theme: 'lying-coordinator', lie: 'wrong-seed' });
    assert.ok(broken.has('sum-exact'), [...broken].join());
  });
});
