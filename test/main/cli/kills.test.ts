// SIGKILL of real processes, a participant, its trainer and the coordinator, at every stage that they say they have reached.
// test/app/round/crashes.test.ts is exhaustive in one process; this one has the real disks, locks and sockets.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ledgerEntries, recordsText } from '../host/participant/homes.ts';
import { freePort } from '../free-port.ts';
import { consentEverybody, processFederation } from './process-federation.ts';
import type { Ended, Started } from './process-federation.ts';

const schedule = {
  rounds: 2,
  attempts: 4,
  stageSeconds: { ready: 120, shares: 120, masked: 120, consistency: 120, unmask: 120 },
  intervalSeconds: 0,
};

type Line = { readonly [name: string]: unknown };

/** Every whole line of JSON that a process says, as it comes. */
function eachLine({ child }: Started, hear: (line: Line) => void): void {
  for (const stream of [child.stdout!, child.stderr!]) {
    let rest = '';
    stream.on('data', (data: Buffer) => {
      const lines = (rest + data.toString('utf8')).split('\n');
      rest = lines.pop()!;
      for (const line of lines) if (line.startsWith('{')) hear(JSON.parse(line) as Line);
    });
  }
}

/**
 * Lives of one process after another: each is killed at the first line for which `at` names a stage that none before it
 * was killed at. @returns how the last one ended, and where the others were killed.
 */
async function killedAtEvery(start: () => Started, at: (line: Line) => string | null, most: number) {
  const killed: string[] = [];
  for (;;) {
    const life = start();
    eachLine(life, (line) => {
      const stage = at(line);
      if (stage === null || killed.includes(stage) || killed.length >= most || life.child.killed) return;
      killed.push(stage);
      life.child.kill('SIGKILL');
    });
    const ended = await life.ended;
    if (!life.child.killed) return { ended, killed };
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

test('participant, trainer and coordinator are killed at every stage: charged once, nobody re-opens, one model', async (t) => {
  const fed = await processFederation({
    records: [1, 2, 3].map((seed) => recordsText(90, seed)),
    port: await freePort(),
    schedule,
  });
  t.after(() => fed.close());
  let coordinator = await fed.startCoordinator();
  await consentEverybody(fed);

  // The coordinator: killed as soon as it says that a stage began, for each kind of stage once.
  const over = new AbortController();
  const coordinatorKilled: string[] = [];
  const watch = (life: Started): void =>
    eachLine(life, (line) => {
      const stage = line['event'] === 'stage' ? String(line['stage']) : null;
      if (stage === null || coordinatorKilled.includes(stage) || life.child.killed || over.signal.aborted) return;
      coordinatorKilled.push(stage);
      life.child.kill('SIGKILL');
    });
  watch(coordinator);
  const keepingUp = (async () => {
    while (!over.signal.aborted) {
      if (coordinator.child.signalCode !== null) {
        coordinator = await fed.startCoordinator();
        watch(coordinator);
      }
      await sleep(20);
    }
  })();

  const participant = killedAtEvery(
    () => fed.takePart('site-0'),
    (line) => (line['kind'] === 'stage' ? String(line['text']).replace(/^Round \d+: /, '') : null),
    6,
  );
  // The trainer of another one: killed while it trains for round 1.
  const second = fed.takePart('site-1');
  let trainers = 0;
  eachLine(second, (line) => {
    if (line['kind'] !== 'stage' || line['round'] !== 1 || !/announced|shared/.test(String(line['text']))) return;
    void childrenOf(second.child.pid!).then((pids) => {
      for (const pid of pids) {
        process.kill(pid, 'SIGKILL');
        trainers += 1;
      }
    });
  });
  const third = fed.takePart('site-2');

  const outcomes: Ended[] = [(await participant).ended, await second.ended, await third.ended];
  over.abort();
  await keepingUp;
  const { killed } = await participant;
  assert.ok(killed.length >= 5, `participant killed at: ${killed.join('; ')}`);
  assert.ok(coordinatorKilled.length >= 4, `coordinator killed at: ${coordinatorKilled.join('; ')}`);
  if (process.platform === 'linux') assert.ok(trainers > 0, 'the trainer was killed');

  const models = new Set<unknown>();
  for (const [index, { code, out }] of outcomes.entries()) {
    assert.equal(code, 0, out + fed.said());
    const outcome = JSON.parse(out.trimEnd().split('\n').at(-1)!) as Line;
    assert.deepEqual([outcome['outcome'], outcome['roundsClosed']], ['complete', 2]);
    models.add(outcome['model']);
    const name = fed.names[index]!;
    assert.equal((await fed.ok('ledger', 'verify', join(fed.at(name), 'ledger')))['verified'], true);
    const entries = await ledgerEntries(fed.at(name));
    const rounds = (kind: string): unknown[] =>
      entries.filter((entry) => entry.kind === kind).map((entry) => entry.body['round']);
    for (const kind of ['budget-reserved', 'budget-settled', 'round-closed'])
      assert.deepEqual(rounds(kind), [1, 2], `${name} ${kind}`);
    assert.deepEqual(rounds('round-aborted'), [], name);
  }
  assert.equal(models.size, 1);
});
