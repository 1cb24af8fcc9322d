// A whole study through the participant's own loop: real homes, ledgers, sealed state and engine, the real reducer in
// memory as coordinator.

import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnavailableError } from '../../../../app/errors.ts';
import type { StudyConnection } from '../../../../main/host/participant/connection.ts';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import type { RunOptions } from '../../../../main/host/participant/run.ts';
import { readStatus } from '../../../../main/host/participant/status.ts';
import { withdraw } from '../../../../main/host/participant/withdraw.ts';
import { ledgerEntries, makeCentral, makeHomes, quickTrainer, recordsText, runOptions } from './homes.ts';
import type { Central, Homes, Institution } from './homes.ts';

const short = {
  rounds: 2,
  attempts: 4,
  stageSeconds: { ready: 2, shares: 2, masked: 2, consistency: 2, unmask: 2 },
  intervalSeconds: 0,
};

function start(homes: Homes, central: Central, institution: Institution, change: Partial<RunOptions> = {}) {
  const events: string[] = [];
  const stop = new AbortController();
  const done = runParticipant({
    ...runOptions(homes, central, institution, stop.signal),
    onEvent: (event) => events.push(`${event.kind} ${event.round ?? ''}`.trim()),
    ...change,
  });
  // The test awaits it; a rejection before that must not end the process.
  done.catch(() => {});
  return { done, events, stop };
}

test('a study from consent to its end: charged before it leaves, settled, pinned, ledger verified', async (t) => {
  const homes = await makeHomes(4, (contract) => ({ ...contract, schedule: short }));
  t.after(() => homes.remove());
  for (const institution of homes.institutions) await homes.consent(institution);
  const central = makeCentral(homes.signed.contract);
  const runs = homes.institutions.map((institution) => start(homes, central, institution));
  const results = await Promise.all(runs.map((run) => run.done));
  for (const [index, result] of results.entries()) {
    assert.equal(result.outcome, 'complete');
    assert.equal(result.roundsClosed, 2);
    assert.equal(result.model, results[0]!.model);
    assert.deepEqual([result.ledger.verified, result.ledger.finding], [true, null]);
    assert.ok(result.epsilon.used! > 0 && result.epsilon.used! < result.epsilon.ceiling!);
    assert.ok(result.epsilon.share! > 0 && result.epsilon.share! < 1);
    const entries = await ledgerEntries(homes.institutions[index]!.home);
    const kinds = entries.map((entry) => entry.kind);
    const count = (kind: string): number => kinds.filter((one) => one === kind).length;
    assert.deepEqual(
      [count('budget-reserved'), count('budget-settled'), count('round-closed'), count('model-pinned')],
      [2, 2, 2, 2],
    );
    assert.deepEqual([kinds[0], kinds.at(-1)], ['enrolled', 'clean-stop']);
    const status = await readStatus(homes.institutions[index]!.home);
    assert.deepEqual(
      [status?.doing, status?.pid, status?.rounds.closed, status?.outcome],
      ['finished', null, 2, 'complete'],
    );
    assert.equal(status?.model, result.model);
  }
  const again = await start(homes, central, homes.institutions[0]!).done;
  assert.deepEqual([again.outcome, again.roundsClosed, again.model], ['complete', 2, results[0]!.model]);
});

test('killed after its charge: the same sealed bytes go out again, under one reservation', async (t) => {
  const homes = await makeHomes(4, (contract) => ({ ...contract, schedule: { ...short, rounds: 1 } }));
  t.after(() => homes.remove());
  for (const institution of homes.institutions) await homes.consent(institution);
  const central = makeCentral(homes.signed.contract);
  const others = homes.institutions.slice(1).map((institution) => start(homes, central, institution));
  const first = homes.institutions[0]!;
  const sent: string[] = [];
  const connectCrashing = (crash: boolean): RunOptions['connect'] => {
    return (_stored, index) => {
      const connection = central.connect(index);
      const port: StudyConnection['port'] = {
        ...portOf(connection),
        async upload(round, chunks) {
          sent.push(chunks.map((chunk) => Buffer.from(chunk).toString('hex')).join());
          if (crash) throw new Error('power cut');
          await connection.port.upload(round, chunks);
        },
      };
      return Promise.resolve({ ...connection, port });
    };
  };
  await assert.rejects(start(homes, central, first, { connect: connectCrashing(true) }).done, /power cut/);
  const trainer = quickTrainer();
  const result = await start(homes, central, first, { connect: connectCrashing(false), trainer }).done;
  assert.equal(result.outcome, 'complete');
  assert.equal(sent.length, 2);
  assert.equal(sent[0], sent[1]);
  assert.equal(trainer.rounds, 0);
  const entries = await ledgerEntries(first.home);
  assert.equal(entries.filter((entry) => entry.kind === 'budget-reserved').length, 1);
  await Promise.all(others.map((run) => run.done));
  assert.deepEqual(central.coordinator.study().closed[0]!.survivors, [0, 1, 2, 3]);
});

test('a withdrawal during training stops the round before R2: nothing is charged, the others go on', async (t) => {
  const homes = await makeHomes(4, (contract) => ({ ...contract, schedule: short }));
  t.after(() => homes.remove());
  for (const institution of homes.institutions) await homes.consent(institution);
  const central = makeCentral(homes.signed.contract);
  const first = homes.institutions[0]!;
  const quick = quickTrainer();
  const trainer: typeof quick = {
    ...quick,
    async run(work) {
      // The person's command, while the participant holds the ledger.
      const done = await withdraw({
        home: first.home,
        keys: homes.keys,
        study: null,
        reason: 'Asked to.',
        send: () => assert.fail('the running participant tells the coordinator'),
      });
      assert.equal(done.by, 'running');
      return quick.run(work);
    },
  };
  const leaving = start(homes, central, first, { trainer });
  const others = homes.institutions.slice(1).map((institution) => start(homes, central, institution));
  const result = await leaving.done;
  assert.equal(result.outcome, 'withdrawn');
  assert.equal(result.epsilon.used, 0);
  assert.equal(central.withdrawals.length, 1);
  const kinds = (await ledgerEntries(first.home)).map((entry) => entry.kind);
  assert.ok(!kinds.includes('budget-reserved') && kinds.includes('consent-withdrawn'));
  for (const run of others) assert.equal((await run.done).outcome, 'complete');
  await assert.rejects(homes.consent(first), { code: 'withdrawn' });
  assert.equal((await start(homes, central, first).done).outcome, 'withdrawn');
});

test('a withdrawal after the charge: the contribution is seen through, then it ends', async (t) => {
  const homes = await makeHomes(4, (contract) => ({ ...contract, schedule: short }));
  t.after(() => homes.remove());
  for (const institution of homes.institutions) await homes.consent(institution);
  const central = makeCentral(homes.signed.contract);
  const first = homes.institutions[0]!;
  const connect: RunOptions['connect'] = (_stored, index) => {
    const connection = central.connect(index);
    const port: StudyConnection['port'] = {
      ...portOf(connection),
      async upload(round, chunks) {
        await withdraw({ home: first.home, keys: homes.keys, study: null, reason: null, send: () => assert.fail() });
        await connection.port.upload(round, chunks);
      },
    };
    return Promise.resolve({ ...connection, port });
  };
  const leaving = start(homes, central, first, { connect });
  const others = homes.institutions.slice(1).map((institution) => start(homes, central, institution));
  const result = await leaving.done;
  assert.deepEqual([result.outcome, result.roundsClosed], ['withdrawn', 1]);
  const kinds = (await ledgerEntries(first.home)).map((entry) => entry.kind);
  const order = ['budget-reserved', 'budget-settled', 'round-closed', 'consent-withdrawn'].map((kind) =>
    kinds.indexOf(kind as never),
  );
  assert.deepEqual(
    order,
    order.toSorted((left, right) => left - right),
  );
  assert.ok(order.every((at) => at > 0));
  await Promise.all(others.map((run) => run.done));
  assert.ok(central.coordinator.study().closed[0]!.survivors.includes(0));
});

test('the coordinator is down for a while: said once, nothing lost', async (t) => {
  const homes = await makeHomes(3, (contract) => ({ ...contract, schedule: { ...short, rounds: 1 } }));
  t.after(() => homes.remove());
  for (const institution of homes.institutions) await homes.consent(institution);
  const central = makeCentral(homes.signed.contract);
  central.down = true;
  const runs = homes.institutions.map((institution) => start(homes, central, institution));
  await until(() => runs.every((run) => run.events.includes('unreachable')));
  // The event is told first, the file is written after it.
  while ((await readStatus(homes.institutions[0]!.home))?.doing !== 'unreachable') await sleep(5);
  central.down = false;
  for (const run of runs) {
    assert.equal((await run.done).outcome, 'complete');
    assert.equal(run.events.filter((event) => event === 'unreachable').length, 1);
    assert.ok(run.events.includes('reached'));
  }
});

test('stopped while training: nothing is sealed, and the next start takes the round up again', async (t) => {
  const homes = await makeHomes(3, (contract) => ({ ...contract, schedule: { ...short, rounds: 1 } }));
  t.after(() => homes.remove());
  for (const institution of homes.institutions) await homes.consent(institution);
  const central = makeCentral(homes.signed.contract);
  const others = homes.institutions.slice(1).map((institution) => start(homes, central, institution));
  const first = homes.institutions[0]!;
  const quick = quickTrainer();
  const slow: typeof quick = {
    ...quick,
    run: (_work, options) =>
      new Promise((_resolve, reject) => {
        options?.signal?.addEventListener('abort', () =>
          reject(new UnavailableError('training-cancelled', 'Stopped.')),
        );
      }),
  };
  const stopped = start(homes, central, first, { trainer: slow });
  await until(() => stopped.events.filter((event) => event === 'stage 1').length === 3);
  stopped.stop.abort();
  assert.equal((await stopped.done).outcome, 'stopped');
  const kinds = (await ledgerEntries(first.home)).map((entry) => entry.kind);
  assert.ok(!kinds.includes('budget-reserved'));
  assert.equal(kinds.at(-1), 'clean-stop');
  assert.equal((await start(homes, central, first).done).outcome, 'complete');
  await Promise.all(others.map((run) => run.done));
});

test('an older copy of the state, put back, is refused before anything is signed', async (t) => {
  const homes = await makeHomes(3, (contract) => ({ ...contract, schedule: { ...short, rounds: 1 } }));
  t.after(() => homes.remove());
  for (const institution of homes.institutions) await homes.consent(institution);
  const central = makeCentral(homes.signed.contract);
  const runs = homes.institutions.map((institution) => start(homes, central, institution));
  await Promise.all(runs.map((run) => run.done));
  const first = homes.institutions[0]!;
  const before = await ledgerEntries(first.home);
  await rm(join(first.home, 'state.sqlite'));
  await assert.rejects(start(homes, central, first).done, { code: 'state-behind' });
  const after = await ledgerEntries(first.home);
  assert.deepEqual(
    after.slice(before.length).map((entry) => entry.kind),
    [],
  );
});

test('records that changed since the consent, a wrong credential, a home in use: each refused with its reason', async (t) => {
  const homes = await makeHomes(3);
  t.after(() => homes.remove());
  const [first, second] = homes.institutions as [Institution, Institution];
  await homes.consent(first);
  await homes.consent(second);
  const central = makeCentral(homes.signed.contract);
  await writeFile(first.data, recordsText(100, 99));
  await assert.rejects(start(homes, central, first).done, { code: 'dataset-changed' });
  assert.equal(central.coordinator.study().readies.length, 0);

  const wrong = join(homes.folder, 'wrong');
  await writeFile(wrong, 'another credential of enough length\n', { mode: 0o600 });
  const keys = { ...homes.keys, credentialFile: wrong };
  await assert.rejects(start(homes, central, second, { keys }).done, { code: 'wrong-key' });

  const running = start(homes, central, second);
  await until(() => central.coordinator.study().consented.has(1));
  await assert.rejects(start(homes, central, second).done, { code: 'in-use' });
  running.stop.abort();
  assert.equal((await running.done).outcome, 'stopped');
});

function portOf({ port }: StudyConnection): StudyConnection['port'] {
  return {
    send: (message) => port.send(message),
    sendShares: (message, bundle) => port.sendShares(message, bundle),
    broadcast: (round, stage) => port.broadcast(round, stage),
    boxes: (round) => port.boxes(round),
    upload: (round, chunks) => port.upload(round, chunks),
    maskedChunk: (round, index, chunk) => port.maskedChunk(round, index, chunk),
    sumChunk: (round, chunk) => port.sumChunk(round, chunk),
    regionSums: async () => new Uint8Array(),
    regionChunk: async () => new Uint8Array(),
    closedAfter: (round) => port.closedAfter(round),
  };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}
