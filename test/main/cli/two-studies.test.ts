// Two running studies in one home: the host takes part in both by turns, one at a time and between rounds; the records that
// both use have one allowance; a paused study leaves the floor to the other. Real coordinators, participants and trainers.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OutputOf } from '../../../app/bridge.ts';
import { freePort } from '../free-port.ts';
import { bridgeOver, steward, valueOf, withHost } from '../host/bridge/home.ts';
import { ledgerEntries, recordsText } from '../host/participant/homes.ts';
import { processFederation } from './process-federation.ts';
import type { ProcessFederation } from './process-federation.ts';

/** Of four institutions one may be away, so a study goes on while the first one’s turn is the other’s. */
const schedule = {
  rounds: 30,
  attempts: 40,
  stageSeconds: { ready: 4, shares: 30, masked: 30, consistency: 30, unmask: 30 },
  intervalSeconds: 1,
};
const records = [1, 2, 3, 4].map((seed) => recordsText(90, seed));

async function othersTakePart(fed: ProcessFederation): Promise<void> {
  await fed.startCoordinator();
  await Promise.all(
    fed.names.slice(1).map(async (name, place) => {
      const data = ['--data', fed.at(`records-${place + 1}/records.csv`), '--contract', fed.at('signed.json')];
      const where = ['--home', fed.at(name), '--credential-file', fed.at('credential')];
      await fed.ok('participant', 'consent', ...where, ...data);
      fed.takePart(name);
    }),
  );
}

test('two studies in one home take turns, and one allowance counts both', { timeout: 500_000 }, async (t) => {
  const first = await processFederation({ records, port: await freePort(), schedule });
  t.after(() => first.close());
  const home = first.at('site-0');
  const second = await processFederation({
    records,
    port: await freePort(),
    schedule,
    study: { study: 'second', title: 'Another study' },
    firstHome: home,
  });
  t.after(() => second.close());
  await othersTakePart(first);
  await othersTakePart(second);

  const keys = { credentialFile: first.at('credential'), keyring: false };
  await withHost(home, { keys, turnMs: 3000 }, async (host) => {
    const bridge = bridgeOver(host.connect(steward));
    const studies = async () => new Map(valueOf(await bridge.call('study.list', {})).map((one) => [one.name, one]));
    while ([...(await studies()).values()].filter(({ state }) => state === 'decide').length < 2) await sleep(100);
    const path = first.at('records-0/records.csv');
    const consent = { path, epsilon: null, acceptNoNoise: false, expires: null };
    const given = { ...consent, study: 'sample', dataset: 'records', datasetEpsilon: 60 };
    valueOf(await bridge.call('consent.give', given));
    const again = { ...consent, study: 'second', dataset: 'the same records', datasetEpsilon: null };
    valueOf(await bridge.call('consent.give', again));

    /** Whose turn it was, one after another. */
    const turns: string[] = [];
    const look = async (): Promise<OutputOf<'round.list'>> => {
      const rounds = valueOf(await bridge.call('round.list', {}));
      const running = rounds.now.filter((one) => one.running).map(({ name }) => name);
      assert.ok(running.length <= 1, 'one at a time');
      if (running.length === 1 && turns.at(-1) !== running[0]) turns.push(running[0]!);
      return rounds;
    };
    const closedOf = async (name: string): Promise<number> => (await studies()).get(name)!.roundsClosed;
    while (turns.length < 4 || (await closedOf('sample')) < 2 || (await closedOf('second')) < 2) {
      await look();
      for (const { name, problem } of (await studies()).values()) assert.equal(problem, null, name);
      await sleep(20);
    }

    const allowances = valueOf(await bridge.call('budget.get', {}));
    const shared = allowances.filter(({ kind }) => kind === 'dataset');
    const own = allowances.filter(({ kind }) => kind === 'consent');
    assert.deepEqual([shared.length, own.length], [1, 2], 'the same persons, one allowance');
    const [a, b] = own.map(({ amounts }) => amounts);
    assert.ok(a! > 0 && b! > 0, 'both cost');
    assert.equal(shared[0]!.amounts, a! + b!);

    valueOf(await bridge.call('round.pause', { study: 'sample' }));
    const rested = await closedOf('sample');
    const before = await closedOf('second');
    while ((await closedOf('second')) < before + 2) {
      const { now } = await look();
      assert.equal(now.find(({ name }) => name === 'sample')!.running, false);
      await sleep(20);
    }
    assert.equal(await closedOf('sample'), rested);
    assert.equal((await studies()).get('sample')!.state, 'paused');
    assert.ok(valueOf(await bridge.call('audit.verify', {})).verified);
  });
  const reserved = (await ledgerEntries(home)).filter(({ kind }) => kind === 'budget-reserved');
  const rounds = reserved.map(({ body }) => JSON.stringify([body['study'], body['round']]));
  assert.equal(new Set(rounds).size, rounds.length, 'no round is charged twice');
  assert.equal((await first.ok('ledger', 'verify', join(home, 'ledger')))['verified'], true);
});
