// A whole study through the participant's own loop: real homes, ledgers, sealed state and engine, the real reducer in
// memory as coordinator.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { runParticipant } from '../../../main/host/participant-run.ts';
import type { RunOptions } from '../../../main/host/participant-run.ts';
import { readStatus } from '../../../main/host/participant-status.ts';
import { withdraw } from '../../../main/host/participant-withdraw.ts';
import { ledgerEntries, makeCentral, makeHomes, quickTrainer } from './participant-homes.ts';
import type { Central, Homes, Institution } from './participant-homes.ts';

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
    home: institution.home,
    keys: homes.keys,
    study: null,
    policy: null,
    connect: (_stored, index) => Promise.resolve(central.connect(index)),
    trainer: quickTrainer(),
    signal: stop.signal,
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
});
