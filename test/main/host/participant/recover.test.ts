// An old copy of a folder, a lost log, a lost state, another machine: each is found, and `recover` goes on without forgetting
// anything that may have been sent. Real homes and the real engine, the real reducer in memory as coordinator.

import assert from 'node:assert/strict';
import { cp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinStudy } from '../../../../main/host/participant/join.ts';
import { recoverDevice } from '../../../../main/host/participant/recover.ts';
import type { Recovered } from '../../../../main/host/participant/recover.ts';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import { invitationText, ledgerEntries, makeCentral, makeHomes, runOptions } from './homes.ts';
import type { Central, Homes, Institution } from './homes.ts';

const schedule = {
  rounds: 4,
  attempts: 8,
  stageSeconds: { ready: 1, shares: 1, masked: 1, consistency: 1, unmask: 1 },
  intervalSeconds: 0,
};

function start(homes: Homes, central: Central, institution: Institution) {
  const stop = new AbortController();
  const done = runParticipant({
    ...runOptions(homes, central, institution, stop.signal),
  });
  done.catch(() => {});
  return { done, stop };
}

function recover(homes: Homes, central: Central, institution: Institution): Promise<Recovered> {
  return recoverDevice({
    home: institution.home,
    keys: homes.keys,
    study: null,
    reason: 'The disk broke.',
    connect: (_stored, index) => Promise.resolve(central.connect(index)),
  });
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(2);
}

const roundsOf = async (home: string, kind: string): Promise<unknown[]> =>
  (await ledgerEntries(home)).filter((entry) => entry.kind === kind).map((entry) => entry.body['round']);

/** Four institutions; a copy of the first one's folder is kept from before round 1; it stops in the middle of the study. */
async function interrupted(t: { after(work: () => Promise<void>): void }) {
  const homes = await makeHomes(4, (contract) => ({ ...contract, schedule }));
  t.after(() => homes.remove());
  for (const institution of homes.institutions) await homes.consent(institution);
  const first = homes.institutions[0]!;
  const old = join(homes.folder, 'backup');
  await cp(first.home, old, { recursive: true });
  const central = makeCentral(homes.signed.contract);
  const others = homes.institutions.slice(1).map((institution) => start(homes, central, institution));
  const victim = start(homes, central, first);
  await until(() => central.coordinator.study().closed.length >= 2);
  victim.stop.abort();
  await victim.done;
  return { homes, central, first, old, others };
}

test('an old folder put back is refused; recover charges every round whose Ready is out there, and the study is finished', async (t) => {
  const { homes, central, first, old, others } = await interrupted(t);
  await rm(first.home, { recursive: true });
  await cp(old, first.home, { recursive: true });
  await assert.rejects(start(homes, central, first).done, {
    code: 'ledger-behind',
    message: /older copy of this folder.*consilience participant recover/,
  });
  const held = central.coordinator.study().readies.filter((ready) => ready.sender === 0);
  const witnessed = Math.max(...held.map((ready) => ready.body.counter));
  const recovered = await recover(homes, central, first);
  assert.deepEqual(
    recovered.charged,
    held.map((ready) => ready.round),
  );
  assert.ok(recovered.charged.length >= 2);
  assert.equal(recovered.counter, witnessed + 1);
  assert.ok(recovered.epsilon.used! > 0);
  assert.deepEqual(await roundsOf(first.home, 'budget-reserved'), recovered.charged);
  assert.deepEqual((await ledgerEntries(first.home)).at(-1)!.kind, 'device-replaced');

  const result = await start(homes, central, first).done;
  assert.equal(result.outcome, 'complete');
  assert.equal(result.ledger.verified, true);
  for (const run of others) assert.equal((await run.done).model, result.model);
  const later = central.coordinator.study().readies.filter((ready) => ready.sender === 0 && !held.includes(ready));
  assert.ok(later.every((ready) => ready.round > recovered.round && ready.body.counter > recovered.counter));
  const charged = await roundsOf(first.home, 'budget-reserved');
  assert.equal(new Set(charged).size, charged.length);
});

test('a machine with the keys alone: a new log begins, which counts what the lost one counted', async (t) => {
  const { homes, central, first, old, others } = await interrupted(t);
  const spent = await roundsOf(first.home, 'budget-reserved');
  await rm(first.home, { recursive: true });
  await cp(join(old, 'keys.json'), join(first.home, 'keys.json'));
  // The invitation is answered anew with the same keys: that begins a log, and the consent goes into it.
  await joinStudy({
    home: first.home,
    keys: homes.keys,
    invitation: invitationText(),
    name: first.name,
    organisation: 'Site 0',
    nominalUnits: 100,
  });
  await homes.consent(first);
  await assert.rejects(start(homes, central, first).done, { code: 'ledger-behind' });
  const recovered = await recover(homes, central, first);
  assert.deepEqual(
    spent.filter((round) => !recovered.charged.includes(Number(round))),
    [],
  );
  const result = await start(homes, central, first).done;
  for (const run of others) assert.equal((await run.done).model, result.model);
});

test('a lost state alone: what the log has charged is not charged again', async (t) => {
  const { homes, central, first, others } = await interrupted(t);
  const before = await roundsOf(first.home, 'budget-reserved');
  await rm(join(first.home, 'state.sqlite'));
  await assert.rejects(start(homes, central, first).done, { code: 'state-behind' });
  const recovered = await recover(homes, central, first);
  assert.deepEqual(
    recovered.charged.filter((round) => before.includes(round)),
    [],
  );
  const result = await start(homes, central, first).done;
  for (const run of others) assert.equal((await run.done).model, result.model);
});

test('broken off before the coordinator heard of it: run again, nothing is charged twice', async (t) => {
  const { homes, central, first, old, others } = await interrupted(t);
  await rm(first.home, { recursive: true });
  await cp(old, first.home, { recursive: true });
  const cut = recoverDevice({
    home: first.home,
    keys: homes.keys,
    study: null,
    reason: null,
    connect: (_stored, index) =>
      Promise.resolve({ ...central.connect(index), sendReplacement: () => Promise.reject(new Error('power cut')) }),
  });
  await assert.rejects(cut, /power cut/);
  const charged = await roundsOf(first.home, 'budget-reserved');
  await rm(join(first.home, 'state.sqlite'));
  const again = await recover(homes, central, first);
  assert.deepEqual(again.charged, []);
  assert.deepEqual(await roundsOf(first.home, 'budget-reserved'), charged);
  assert.equal(central.replacements.length, 1);
  const result = await start(homes, central, first).done;
  for (const run of others) assert.equal((await run.done).model, result.model);
});

test('what recover refuses: nothing amiss, lost keys, another’s evidence, the coordinator away', async (t) => {
  const { homes, central, first, old, others } = await interrupted(t);
  for (const run of others) {
    run.stop.abort();
    await run.done;
  }
  const before = await readFile(join(first.home, 'ledger', 'ledger.jsonl'), 'utf8');
  await assert.rejects(recover(homes, central, first), { code: 'nothing-to-recover' });
  assert.equal(await readFile(join(first.home, 'ledger', 'ledger.jsonl'), 'utf8'), before);

  await rm(first.home, { recursive: true });
  await cp(old, first.home, { recursive: true });
  central.down = true;
  await assert.rejects(recover(homes, central, first), { code: 'coordinator-unreachable' });
  central.down = false;
  const stranger = central.coordinator.study().readies.filter((ready) => ready.sender === 1);
  const connection = { ...central.connect(0), ownReadies: () => Promise.resolve(stranger) };
  const misled = recoverDevice({
    home: first.home,
    keys: homes.keys,
    study: null,
    reason: null,
    connect: () => Promise.resolve(connection),
  });
  await assert.rejects(misled, { code: 'evidence-not-mine', message: /did not sign/ });
  assert.deepEqual(await roundsOf(first.home, 'budget-reserved'), []);
  assert.ok(!(await ledgerEntries(first.home)).some((entry) => entry.kind === 'device-replaced'));

  const [, second] = homes.institutions;
  await cp(join(second!.home, 'keys.json'), join(first.home, 'keys.json'));
  await assert.rejects(recover(homes, central, first), { code: 'keys-lost', message: /new contract/ });
  await rm(join(first.home, 'keys.json'));
  await assert.rejects(recover(homes, central, first), { code: 'keys-lost', message: /enrol anew/ });
});

test('an announcement from an old folder never enters the list: the others are not stopped by it', async (t) => {
  const { central, others } = await interrupted(t);
  await until(() => central.coordinator.study().round?.readies.has(0) === false);
  for (const run of others) {
    run.stop.abort();
    await run.done;
  }
  const seen = central.coordinator.study().readies.findLast((ready) => ready.sender === 0)!;
  const body = { ...seen.body, counter: seen.body.counter - 1 };
  assert.throws(() => central.coordinator.apply({ kind: 'message', message: { ...seen, body }, now: Date.now() }), {
    code: 'counter-rolled-back',
    message: /consilience participant recover/,
  });
});
