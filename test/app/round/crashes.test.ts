// Crashes of a participant before and after every durable write and every send of a whole study, and disks that are full
// at each: outbox bytes are sent again and never made again, charges are neither lost nor doubled, no round is opened
// twice, and the study ends with everybody's model. What is in memory at the crash is gone; what a write or an append
// confirmed is there. Design 3 ("Stages"), design 7 ("Simulation").

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runStudy } from './crash-harness.ts';
import type { Fault } from './crash-harness.ts';

type Run = Awaited<ReturnType<typeof runStudy>>;

function requireWhole({ central, parties, victim }: Run, label: string): void {
  assert.equal(central.study().outcome, 'complete', label);
  // Nobody had to do without it: what it came back with was taken.
  assert.deepEqual(
    central.study().closed.map(({ survivors }) => survivors.join()),
    ['0,1,2', '0,1,2'],
    label,
  );
  assert.equal(new Set(parties.map((party) => party.model())).size, 1, label);
  const sent = new Map<string, Set<string>>();
  for (const { what, bytes } of victim.wire) sent.set(what, (sent.get(what) ?? new Set()).add(bytes));
  for (const [what, different] of sent) assert.equal(different.size, 1, `${label}: ${what} was made again`);
  for (const { what, charged } of victim.wire)
    if (/\/(?:2|chunks)$/.test(what)) assert.ok(charged.has(Number.parseInt(what, 10)), `${label}: ${what} uncharged`);
  const rounds = (kind: string): unknown[] =>
    victim.entries.flatMap(({ entry: { kind: own, body } }) =>
      own === kind && 'round' in body ? [body['round']] : [],
    );
  for (const kind of ['budget-reserved', 'budget-settled', 'round-closed', 'model-pinned'])
    assert.deepEqual(rounds(kind), [1, 2], `${label}: ${kind}`);
  assert.deepEqual(rounds('round-aborted'), [], label);
  assert.ok(victim.verified(), label);
}

test('the charge is on disk before any byte of the contribution leaves, in every round', async () => {
  const { victim } = await runStudy([]);
  const from = (name: string): number[] =>
    [...victim.effects.entries()].filter(([, one]) => one === name).map(([at]) => at);
  const [charges, messages, uploads] = [from('append budget-reserved'), from('send 2'), from('upload')];
  assert.deepEqual([charges.length, messages.length, uploads.length], [2, 2, 2]);
  for (const round of [0, 1]) assert.ok(charges[round]! < messages[round]! && charges[round]! < uploads[round]!);
});

test('the power goes before and after every durable write and every send, once', async () => {
  const { victim } = await runStudy([]);
  const effects = [...victim.effects];
  // Every stage's write and send, both rounds, and the closing message are among them.
  for (const name of ['append budget-reserved', 'upload', 'send 4', 'append budget-settled', 'append model-pinned'])
    assert.equal(effects.filter((one) => one === name).length, 2, name);
  assert.ok(effects.includes('write memory+closing'));
  for (const [at, name] of effects.entries())
    for (const how of ['before', 'after'] as const) {
      const run = await runStudy([{ at, how }]);
      assert.equal(run.victim.starts(), at === effects.length - 1 && how === 'after' ? run.victim.starts() : 2, name);
      requireWhole(run, `${how} ${at} ${name}`);
    }
});

test('the disk is full at every write, the coordinator away at every send: nothing is lost when it passes', async () => {
  const { victim } = await runStudy([]);
  for (const [at, name] of victim.effects.entries()) {
    const run = await runStudy([{ at, how: 'full' }]);
    assert.equal(run.victim.starts(), 1, name);
    requireWhole(run, `full ${at} ${name}`);
  }
});

test('the power goes again and again: at every seventh effect', async () => {
  for (const first of [0, 1, 2, 3, 4, 5, 6]) {
    const faults = Array.from({ length: 20 }, (_, k): Fault => ({
      at: first + 7 * k,
      how: k % 2 ? 'before' : 'after',
    }));
    const run = await runStudy(faults);
    assert.ok(run.victim.starts() > 4);
    requireWhole(run, `from ${first}`);
  }
});
