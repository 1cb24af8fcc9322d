// Who has the floor: one study at a time, turns between rounds, sessions that a steward approves, pauses that outlive a
// restart, and a settings file that cannot be read.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { approvalsFrom } from '../../../../main/host/bridge/approvals.ts';
import { openRuns } from '../../../../main/host/bridge/runs.ts';
import type { Runs, RunsOptions } from '../../../../main/host/bridge/runs.ts';

type Stage = { readonly runs: Runs; readonly ran: string[]; readonly close: (study: string) => void; open: boolean };

async function withRuns(
  use: (stage: Stage) => Promise<void>,
  { turnMs = 20_000, kept }: { readonly turnMs?: number; readonly kept?: string } = {},
): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'consilience-runs-'));
  if (kept !== undefined) await writeFile(join(home, 'host.json'), kept);
  const closers = new Map<string, () => void>();
  const ran: string[] = [];
  const stage = { ran, close: (study: string) => closers.get(study)?.(), open: false };
  const options: RunsOptions = {
    home,
    turnMs,
    onChange: () => {},
    onDefect: (where, error) => {
      throw new Error(where, { cause: error });
    },
    betweenRounds: () => Promise.resolve(!stage.open),
    run: (study, signal, onClosed) => {
      ran.push(study);
      closers.set(study, onClosed);
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve({ outcome: 'stopped' }), { once: true });
      });
    },
  };
  const runs = await openRuns(options);
  try {
    await use(Object.assign(stage, { runs }));
  } finally {
    await runs.close();
    await rm(home, { recursive: true, force: true });
  }
}

async function until(what: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!what()) {
    assert.ok(performance.now() < end, 'it did not come to pass in time');
    await sleep(20);
  }
}

test('a session of two rounds ends with the second, and the next begins only when it is approved', () =>
  withRuns(async ({ runs, ran, close }) => {
    await runs.ask('a', { rounds: 2, hours: null });
    runs.want('a');
    assert.ok(runs.asksFor('a') && ran.length === 0);
    await runs.approve('a');
    assert.deepEqual([ran, runs.approval('a').left], [['a'], { rounds: 2, until: null }]);
    close('a');
    assert.ok(runs.isRunning('a') && !runs.asksFor('a'));
    close('a');
    await until(() => !runs.isRunning('a'));
    assert.ok(runs.asksFor('a'));
    assert.equal(runs.approval('a').left, null);
    await runs.approve('a');
    assert.ok(runs.isRunning('a'));
    await runs.ask('a', null);
    close('a');
    assert.ok(runs.isRunning('a'), 'without a session nothing is counted');
  }));

test('hours end a session too, whichever comes first', () => {
  let now = 0;
  const approvals = approvalsFrom({}, () => now);
  approvals.ask('a', { rounds: 10, hours: 2 });
  assert.equal(approvals.allows('a'), false);
  approvals.approve('a');
  assert.deepEqual(approvals.get('a').left, { rounds: 10, until: new Date(7_200_000).toISOString() });
  now = 7_199_999;
  assert.ok(approvals.allows('a') && !approvals.closed('a'));
  now = 7_200_000;
  assert.ok(!approvals.allows('a') && approvals.closed('a'));
  assert.ok(approvals.allows('b') && !approvals.closed('b'), 'another study needs no approval');
});

test('several studies take turns between their rounds, and never in the middle of one', () =>
  withRuns(
    async (stage) => {
      const { runs, ran } = stage;
      stage.open = true;
      runs.want('a');
      runs.want('b');
      await sleep(2500);
      assert.deepEqual(ran, ['a'], 'a round is open');
      stage.open = false;
      await until(() => ran.length >= 3);
      assert.deepEqual(ran.slice(0, 3), ['a', 'b', 'a']);
      await runs.pause('b');
      await until(() => runs.isRunning('a'));
      const turns = ran.length;
      await sleep(2500);
      assert.equal(ran.length, turns, 'alone, a study keeps the floor');
    },
    { turnMs: 10 },
  ));

test('what was paused or asked for outlives a restart; a file that cannot be read runs nothing', async () => {
  const left = { rounds: 3, until: null };
  const kept = { paused: ['p'], approvals: { a: { session: { rounds: 5, hours: null }, left } } };
  await withRuns(
    async ({ runs, close }) => {
      assert.ok(runs.isPaused('p') && !runs.isPaused('a'));
      runs.want('a');
      assert.deepEqual(runs.approval('a').left, left);
      close('a');
      assert.deepEqual(runs.approval('a').left, { rounds: 2, until: null });
    },
    { kept: JSON.stringify(kept) },
  );
  for (const broken of [
    '{',
    '[]',
    '{"paused":3}',
    '{"approvals":{"a":{"session":{"rounds":0,"hours":null},"left":null}}}',
  ])
    await withRuns(
      async ({ runs, ran }) => {
        runs.want('a');
        assert.ok(runs.isPaused('a') && ran.length === 0);
        await runs.resume('a');
        assert.deepEqual(ran, ['a']);
      },
      { kept: broken },
    );
});

test('a second writer gets the floor, and the run goes on after it', () =>
  withRuns(async ({ runs, ran }) => {
    runs.want('a');
    assert.equal(await runs.exclusive(async () => runs.isRunning('a')), false);
    await until(() => runs.isRunning('a'));
    assert.deepEqual(ran, ['a', 'a']);
  }));
