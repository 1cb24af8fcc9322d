// Ceilings and the guard on a real ledger: rebuilt the same after a restart, spent across studies, ended by time.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Contract } from '../../../../app/study/contract.ts';
import { capForTail } from '../../../../app/review/batch-tail.ts';
import { chargedDelta } from '../../../../app/review/privacy-figures.ts';
import { worstCaseEvent } from '../../../../app/round/charge.ts';
import { studyParameters } from '../../../../app/round/parameters.ts';
import { openSignedConsent } from '../../../../app/study/consent.ts';
import { nodeCipher, systemClock } from '../../../../main/host/machine.ts';
import { ceilingsFrom } from '../../../../main/host/participant/ceilings.ts';
import { countBucket } from '../../../../main/host/participant/dataset.ts';
import { openHome, readStudy, readTextIfThere } from '../../../../main/host/participant/home.ts';
import { openParticipantLedger } from '../../../../main/host/participant/ledger.ts';
import { requireAgreeing } from '../../../../main/host/participant/rollback.ts';
import { readStatus } from '../../../../main/host/participant/status.ts';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import { plainPolicy } from '../../../app/study/sample-policy.ts';
import { ledgerEntries, makeCentral, makeHomes, quickTrainer, recordsText, runOptions } from './homes.ts';
import type { Homes, Institution } from './homes.ts';

async function openGuard(homes: Homes, institution: Institution, study: string) {
  const stored = await readStudy(institution.home, study);
  const opened = await openHome(institution.home, homes.keys);
  const guard = openParticipantLedger({
    ledger: opened.ledger,
    entries: opened.entries,
    keystore: opened.keystore,
    parameters: studyParameters(nodeCipher, stored.contract),
    consent: openSignedConsent(nodeCipher, stored.contract, await readTextIfThere(stored.paths.consent)),
    clock: systemClock,
    withdrawalWaits: () => false,
  });
  return { guard, opened, event: worstCaseEvent(stored.contract) };
}

/** Charges rounds until the guard refuses one. @returns its code. */
async function reserveAll({ guard, event }: Awaited<ReturnType<typeof openGuard>>): Promise<string> {
  for (let round = 1; ; round++) {
    const why = guard.whyNot(event);
    if (why === null) await guard.reserve(round, event, 'ab'.repeat(32));
    else {
      await assert.rejects(guard.reserve(round, event, 'ab'.repeat(32)), { code: why.code });
      return why.code;
    }
  }
}

test('ceilings come back from the ledger the same, order included; charges of one study count for another', async (t) => {
  // Batches are cut now and then, which takes a part of δ that can be seen.
  const homes = await makeHomes(3, (contract) => {
    const { samplingRate } = contract.training;
    const count = capForTail({ units: 100, samplingRate }, 1e-13);
    const training = { ...contract.training, microbatch: { units: 1, count } };
    return { ...contract, training, privacy: { ...contract.privacy, epsilon: 1.01 * contract.privacy.epsilon! } };
  });
  t.after(() => homes.remove());
  const first = homes.institutions[0]!;
  const one = await homes.consent(first);
  const other = homes.another((contract) => ({ ...contract, title: 'Another study' }));
  const two = await homes.consent(first, { contract: other });
  assert.match(one.datasetCeiling.said, /no policy/);
  assert.match(two.datasetCeiling.said, /stands/);
  // Room for one study's worst case, not for two.
  const datasetEpsilon = 1.5 * two.review.figures.epsilon.coordinator!;
  assert.match(
    (await homes.consent(first, { contract: other, datasetEpsilon })).datasetCeiling.said,
    /dataset-epsilon/,
  );

  const before = await openGuard(homes, first, two.study);
  const ceilings = ceilingsFrom(before.opened.entries);
  assert.deepEqual(
    ceilings.map(({ kind, id }) => `${kind} ${id}`),
    [`consent ${one.study}`, `consent ${two.study}`, 'dataset records'],
  );
  // What cut batches and the sampler take of δ is not the charges' to spend.
  for (const { delta } of ceilings) assert.equal(delta, chargedDelta(homes.signed.contract));
  assert.ok(chargedDelta(homes.signed.contract) < homes.signed.contract.privacy.delta);
  assert.equal(await reserveAll(before), 'attempts-spent');
  const readings = before.guard.readings().map(({ ceiling, used }) => [ceiling, used] as const);
  await before.opened.close();

  const after = await openGuard(homes, first, one.study);
  assert.deepEqual(ceilingsFrom(after.opened.entries), ceilings);
  assert.deepEqual(
    after.guard.readings().map(({ ceiling, used }) => [ceiling, used] as const),
    readings,
  );
  assert.equal(await reserveAll(after), 'budget-exceeded');
  await after.opened.close();

  // And the run signs no Ready for it: it says why and waits.
  const central = makeCentral(homes.signed.contract);
  [0, 1, 2].forEach((index) => central.coordinator.apply({ kind: 'consented', index, now: Date.now() }));
  const stop = new AbortController();
  const done = runParticipant({
    home: first.home,
    keys: homes.keys,
    study: one.study,
    policy: null,
    connect: (_stored, index) => Promise.resolve(central.connect(index)),
    trainer: quickTrainer(),
    signal: stop.signal,
    onEvent: (event) => {
      if (event.kind !== 'waiting') return;
      assert.match(event.text, /ceiling of ε/);
      stop.abort();
    },
  });
  assert.equal((await done).outcome, 'stopped');
  assert.equal(central.coordinator.study().readies.length, 0);
  const status = await readStatus(first.home);
  const { ceiling, round, rounds } = status!.forecast!;
  const charged = (await ledgerEntries(first.home)).filter(
    ({ kind, body }) => kind === 'budget-reserved' && body['study'] === one.study,
  );
  assert.deepEqual([ceiling, round, rounds], ['dataset', charged.length + 1, 0]);
  assert.ok(!(await ledgerEntries(first.home)).some((entry) => entry.kind === 'round-stage-reached'));
});

test('a GDP filter stands over unsampled studies, comes back from the ledger, and refuses the rest at consent', async (t) => {
  const unsampled = (contract: Contract): Contract => ({
    ...contract,
    training: { ...contract.training, samplingRate: 1 },
    // What the check asks of a batch of everybody: room for all.
    privacy: { ...contract.privacy, epsilon: 1000 },
  });
  const homes = await makeHomes(3, unsampled);
  t.after(() => homes.remove());
  const first = homes.institutions[0]!;
  const { study, review } = await homes.consent(first, { datasetFilter: 'gdp' });
  const { guard, opened, event } = await openGuard(homes, first, study);
  const [consent, dataset] = ceilingsFrom(opened.entries);
  assert.equal(typeof consent!.order, 'number');
  assert.equal(dataset!.order, null);
  await guard.reserve(1, event, 'ab'.repeat(32));
  const [byConsent, byDataset] = guard.readings();
  assert.ok(byDataset!.used > 0 && byDataset!.used < byConsent!.used, 'tighter than RDP');
  assert.ok(byDataset!.used < review.figures.epsilon.coordinator!);
  await opened.close();
  const sampled = homes.another((contract) => ({
    ...contract,
    training: { ...contract.training, samplingRate: 0.1 },
  }));
  await assert.rejects(homes.consent(first, { contract: sampled }), { code: 'sampled-event-unsupported' });
  await assert.rejects(homes.consent(first, { datasetFilter: 'rdp' }), { code: 'ceiling-fixed' });
});

test('a consent that has expired begins nothing, and the log says so', async (t) => {
  const homes = await makeHomes(4, (contract) => ({
    ...contract,
    schedule: {
      rounds: 1,
      attempts: 4,
      stageSeconds: { ready: 1, shares: 2, masked: 2, consistency: 2, unmask: 2 },
      intervalSeconds: 0,
    },
  }));
  t.after(() => homes.remove());
  const expires = new Date(Date.now() + 1500).toISOString();
  for (const institution of homes.institutions)
    await homes.consent(institution, institution.name === 'site-0' ? { expires } : {});
  await sleep(Math.max(0, Date.parse(expires) + 1 - Date.now()));
  const central = makeCentral(homes.signed.contract);
  const results = await Promise.all(
    homes.institutions.map((institution) =>
      runParticipant({
        ...runOptions(homes, central, institution, new AbortController().signal),
      }),
    ),
  );
  assert.deepEqual(
    results.map((result) => result.outcome),
    ['complete', 'complete', 'complete', 'complete'],
  );
  assert.deepEqual(central.coordinator.study().closed[0]!.survivors, [1, 2, 3]);
  assert.equal(results[0]!.model, results[1]!.model);
  const kinds = (await ledgerEntries(homes.institutions[0]!.home)).map((entry) => entry.kind);
  assert.ok(kinds.includes('consent-expired') && !kinds.includes('budget-reserved'));
});

test('what a consent refuses: a ceiling below the worst case, policy, room, roster, rows; a new name for old data shares its allowance', async (t) => {
  const homes = await makeHomes(3);
  t.after(() => homes.remove());
  const [first, second] = homes.institutions as [Institution, Institution];
  const refused = (code: string, change: Parameters<Homes['consent']>[1]) =>
    assert.rejects(homes.consent(first, change), { code });
  await refused('consent-ceiling-too-low', { epsilon: 1 });
  await refused('policy-epsilon-per-dataset', {
    policy: plainPolicy({
      epsilon: { perStudy: null, perDataset: 5, datasets: [] },
      institutions: {
        known: homes.signed.contract.roster.map(({ organisation, identityKey }) => ({ organisation, identityKey })),
        mostUnknown: 0,
      },
    }),
  });
  await refused('budget-exceeded', { datasetEpsilon: 2 });
  await refused('consent-expired', { expires: '2020-01-01T00:00:00.000Z' });
  await refused('roster-entry-differs', {
    contract: homes.another((contract) => ({
      ...contract,
      roster: contract.roster.map((entry) => ({ ...entry, nominalUnits: 99 })),
    })),
  });
  const bad = join(homes.folder, 'bad.csv');
  await writeFile(bad, `${recordsText(20, 5)}0.1,0.2,0.3,SECRET-CANARY\n`);
  await assert.rejects(homes.consent(first, { data: { name: 'records', path: bad } }), (error: Error) => {
    assert.ok(!error.message.includes('SECRET-CANARY'));
    return (error as Error & { code?: string }).code === 'cells-count';
  });
  // One row more than the terms name would have more batches cut than δ pays for.
  const { nominalUnits } = homes.signed.contract.roster[0]!;
  const many = join(homes.folder, 'many.csv');
  await writeFile(many, recordsText(nominalUnits + 1, 5));
  await refused('units-above-agreed', { data: { name: 'records', path: many } });
  // Nothing of all this is in the log, and a consent still can be given.
  assert.deepEqual(
    (await ledgerEntries(first.home)).map((entry) => entry.kind),
    ['enrolled'],
  );
  await homes.consent(first);
  assert.deepEqual((await homes.consent(first, { data: { name: 'other-name', path: first.data } })).sharesWith, [
    'records',
  ]);
  await assert.rejects(homes.consent({ ...second, home: join(homes.folder, 'nobody') }), { code: 'home-empty' });
});

test('memories of what was signed must agree', () => {
  const head = 'ab'.repeat(32);
  const at = (counter: number, other = head) => ({ counter, head: other });
  requireAgreeing(3, at(3), at(3));
  requireAgreeing(3, at(3), null);
  requireAgreeing(2, at(3), at(2));
  assert.throws(() => requireAgreeing(3, at(3), at(4)), { code: 'ledger-behind' });
  assert.throws(() => requireAgreeing(4, at(3), null), { code: 'ledger-behind' });
  assert.throws(() => requireAgreeing(3, at(3), at(3, 'cd'.repeat(32))), { code: 'ledger-forked' });
  assert.throws(() => requireAgreeing(1, at(3), null), { code: 'state-behind' });
  assert.throws(() => requireAgreeing(2, at(3), at(3)), { code: 'state-behind' });
});

test('counts go to the log as buckets', () => {
  assert.deepEqual(
    [0, 9, 10, 19, 123, 199, 200, 4321].map((count) => Object.values(countBucket(count))),
    [
      [0, 9],
      [0, 9],
      [10, 19],
      [10, 19],
      [100, 199],
      [100, 199],
      [200, 299],
      [4000, 4999],
    ],
  );
});
