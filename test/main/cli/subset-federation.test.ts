// A study in which a part of the parameters travels, packed, by the commands as people start them: coordinator, institutions
// and their trainers as processes of their own. Each trainer is told the seed, everybody ends with one model.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deriveDraft } from '../../../app/review/derive.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { freePort } from '../free-port.ts';
import { ledgerEntries, recordsText } from '../host/participant/homes.ts';
import { consentEverybody, processFederation } from './process-federation.ts';

const schedule = {
  rounds: 2,
  attempts: 4,
  stageSeconds: { ready: 120, shares: 120, masked: 120, consistency: 120, unmask: 120 },
  intervalSeconds: 0,
};

const change = (contract: Contract): Contract =>
  deriveDraft(
    {
      ...contract,
      sealing: { ...contract.sealing, packing: 'ring', subset: { kind: 'seeded', share: 0.5, parameters: 1 } },
    },
    { modelDimension: 5, targetEpsilon: null, colluders: null },
  ) as Contract;

test('three institutions of the command line: trained, charged as three words, one model', async (t) => {
  const records = [0, 1, 2].map((seed) => recordsText(100, seed + 1));
  const fed = await processFederation({ records, port: await freePort(), schedule, change });
  t.after(() => fed.close());
  const coordinator = await fed.startCoordinator();
  await consentEverybody(fed);
  const ended = await Promise.all(fed.names.map((name) => fed.takePart(name).ended));
  const results = ended.map(({ code, out }) => {
    assert.equal(code, 0, fed.said());
    return JSON.parse(out.trimEnd().split('\n').at(-1)!) as { outcome: string; roundsClosed: number; model: string };
  });
  for (const { outcome, roundsClosed, model } of results)
    assert.deepEqual([outcome, roundsClosed, model], ['complete', 2, results[0]!.model]);
  for (const name of fed.names) {
    const entries = await ledgerEntries(fed.at(name));
    const reserved = entries.filter(({ kind }) => kind === 'budget-reserved');
    assert.deepEqual(
      reserved.map(({ body }) => (body['event'] as { dimension: number }).dimension),
      [3, 3],
    );
  }
  assert.ok(!/untrained|training-failed|subset-seed-missing/.test(fed.said()), 'nobody sent zeros');
  coordinator.child.kill('SIGTERM');
  await coordinator.ended;
});
