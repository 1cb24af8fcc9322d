// A sparse graph over real sockets: rounds with restarts of the coordinator at every stage, and a whole study of eight
// real participants with homes, ledgers and sealed state, one of whom goes away in the middle.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { studyParameters } from '../../../app/round/parameters.ts';
import { openEngine } from '../../../main/coordinator/engine.ts';
import { modelApplier } from '../../../main/coordinator/model-applier.ts';
import { startServer } from '../../../main/coordinator/server.ts';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import { nodeCipher, systemClock } from '../../../main/host/machine.ts';
import { connectParticipant } from '../../../main/host/participant/connection.ts';
import { runParticipant } from '../../../main/host/participant/run.ts';
import { sampleStudy } from '../../app/round/sample-study.ts';
import { makeHomes, quickTrainer } from '../host/participant/homes.ts';
import {
  agree,
  consentAll,
  everyone,
  expire,
  liveFederation,
  plainSum,
  ready,
  reveal,
  seal,
  share,
  unmask,
  verify,
} from './federation.ts';

/** Eight institutions, one colluder, one loss: four neighbours each, of whom three open a secret. */
const sparse = { colluders: 1, losses: 1 };

test('a round of eight with four neighbours each, the coordinator restarted at every stage, one lost', async (t) => {
  const fed = await liveFederation({ institutions: 8, sparse });
  t.after(() => fed.close());
  assert.deepEqual(fed.study.parameters.sparse, { kind: 'harary', degree: 4, shareThreshold: 3 });
  await consentAll(fed);
  await everyone(fed, ready);
  assert.equal(fed.engine.study().round?.stage, 'reveals');
  await fed.reopen();
  await everyone(fed, reveal);
  await fed.reopen();
  await everyone(fed, share);
  await fed.reopen();
  await everyone(fed, seal, [2]);
  await fed.reopen();
  await expire(fed);
  await everyone(fed, agree, [2]);
  await fed.reopen();
  await everyone(fed, unmask, [2]);
  await fed.engine.settled();
  await fed.reopen();
  const sum = plainSum([0, 1, 3, 4, 5, 6, 7], fed.study.parameters.dimension);
  for (const party of fed.parties) if (party.participant.index !== 2) assert.deepEqual(await verify(fed, party), sum);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return port;
}

test('a study of eight real participants, one of whom goes away after sharing', { timeout: 300_000 }, async (t) => {
  const port = await freePort();
  const { sealing } = sampleStudy({ institutions: 8, sparse }).contract;
  const stageSeconds = { ready: 30, shares: 30, masked: 12, consistency: 30, unmask: 30 };
  const homes = await makeHomes(
    8,
    (contract) => ({
      ...contract,
      sealing,
      schedule: { rounds: 2, attempts: 6, stageSeconds, intervalSeconds: 0 },
    }),
    `http://127.0.0.1:${port}`,
  );
  t.after(() => homes.remove());
  const { contract } = homes.signed;
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-coordinator-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const parameters = studyParameters(nodeCipher, contract);
  const store = await openCoordinatorStore({ folder, study: toHex(parameters.study) });
  const signer = sampleStudy({ institutions: 3 }).coordinator;
  const applier = modelApplier(nodeCipher, contract);
  const engine = await openEngine({ cipher: nodeCipher, clock: systemClock, parameters, signer, store, applier });
  t.after(() => engine.close());
  const server = await startServer({ engine, contract: utf8(homes.contractText), host: '127.0.0.1', port });
  t.after(() => server.close());

  for (const institution of homes.institutions) await homes.consent(institution);
  const lost = new AbortController();
  const stages = new Set<string>();
  const runs = homes.institutions.map((institution, index) => {
    const signal = index === 5 ? lost.signal : new AbortController().signal;
    return runParticipant({
      home: institution.home,
      keys: homes.keys,
      study: null,
      policy: null,
      connect: connectParticipant,
      trainer: quickTrainer(),
      signal,
      onEvent({ kind, round }) {
        stages.add(kind);
        if (index === 5 && round === 2) lost.abort();
      },
    });
  });
  const results = await Promise.all(runs);
  for (const [index, result] of results.entries()) {
    assert.ok(result.ledger.verified);
    if (index === 5) continue;
    assert.equal(result.outcome, 'complete');
    assert.equal(result.roundsClosed, 2);
    assert.equal(result.model, results[0]!.model);
  }
  const study = engine.study();
  assert.equal(study.closed.length, 2);
  assert.ok(study.ended.every((round) => round.stage !== 'closed' || round.ring !== undefined));
  assert.ok(study.closed.at(-1)!.survivors.length >= 7);
});
