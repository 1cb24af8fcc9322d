// A relay whose coordinator came back under another key: it fetches the lead's statement when a list is signed by a key it
// does not know, checks it, keeps it, and adds for that round. Without the lead's signature it adds nothing.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { broadcastBytes } from '../../../app/round/coordinator-lists.ts';
import { acceptKeyChange, studyParameters } from '../../../app/round/parameters.ts';
import { relaySigner, smallRegions, successor } from '../../../app/simulation/small-study.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { confirmKeyChange, signKeyChange } from '../../../app/study/coordinator-key.ts';
import type { SignedKeyChange } from '../../../app/study/coordinator-key.ts';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import type { CoordinatorClient } from '../../../main/host/connection/coordinator-client.ts';
import { coordinatorKeys } from '../../../main/host/connection/coordinator-keys.ts';
import { nodeCipher, nodeMachine, systemClock } from '../../../main/host/machine.ts';
import { openRelay } from '../../../main/relay/relay.ts';
import { federation, ready, seal, share } from '../../app/round/federation.ts';
import { sampleStudy } from '../../app/round/sample-study.ts';

const round = 5;
const regional = (contract: Contract): Contract => ({
  ...contract,
  regions: smallRegions(nodeCipher, 6, 2),
  sealing: { ...contract.sealing, threshold: 4, cohortFloor: 4, colluders: 1 },
});

test('a relay takes up the key that the lead names, at the first list under it, and keeps it', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-relay-keys-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const study = sampleStudy({ institutions: 6, change: regional });
  const hash = toHex(study.parameters.study);
  const next = successor(nodeCipher);
  const change = confirmKeyChange(
    signKeyChange(study.contract, study.lead, {
      format: 'consilience/coordinator-key/1',
      contract: hash,
      fromRound: round,
      old: toHex(study.coordinator.publicKey),
      next: toHex(next.publicKey),
      given: '2026-06-01T00:00:00.000Z',
    }),
    next,
  );
  acceptKeyChange(nodeCipher, study.parameters, change);
  const begun = federation(study, nodeMachine, round);
  const fed = { ...begun, coordinator: { ...begun.coordinator, signer: next } };
  ready(fed);
  share(fed);
  const lists = [broadcastBytes(fed.round, 0)!, broadcastBytes(fed.round, 1)!];
  seal(fed, () => new Uint32Array(study.parameters.dimension));
  const announced = fed.parties[0]!.state!.masked!;

  async function relayed(shown: readonly SignedKeyChange[], name: string) {
    // A relay that knows the terms alone.
    const parameters = studyParameters(nodeCipher, study.contract);
    const where = path.join(folder, name);
    const store = await openCoordinatorStore({ folder: where, study: hash });
    const file = path.join(where, 'coordinator-keys.json');
    const keys = await coordinatorKeys({ parameters, path: file, writer: null });
    const known = keys.known();
    let asked = 0;
    const root = {
      // Its status still waits while a member's contribution comes.
      status: (_cursor: number | null, _wait: number, signal?: AbortSignal) =>
        new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('stopped')))),
      broadcast: async (_round: number, stage: number) => lists[stage] ?? null,
      keyChanges: async () => {
        asked++;
        return shown;
      },
      close: () => {},
    } as unknown as CoordinatorClient;
    const relay = await openRelay({
      cipher: nodeCipher,
      clock: systemClock,
      parameters,
      region: parameters.regions[0]!,
      signer: relaySigner(nodeCipher, 0),
      store,
      root,
      keys,
      log: () => {},
    });
    const outcome = await relay.accepted(announced).then(
      () => 'accepted',
      (error: unknown) => (error as { code?: string }).code,
    );
    await relay.close();
    return { outcome, asked, before: known, after: keys.known() };
  }

  const forged = { ...change, lead: change.next! };
  assert.deepEqual(await relayed([forged], 'a'), {
    outcome: 'coordinator-key-not-by-lead',
    asked: 1,
    before: 0,
    after: 0,
  });
  assert.deepEqual(await relayed([], 'a'), { outcome: 'coordinator-signature', asked: 1, before: 0, after: 0 });
  assert.deepEqual(await relayed([change], 'a'), { outcome: 'accepted', asked: 1, before: 0, after: 1 });
  // Kept: the next start knows it and asks nobody.
  assert.deepEqual(await relayed([], 'a'), { outcome: 'accepted', asked: 0, before: 1, after: 1 });
});
