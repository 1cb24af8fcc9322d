// The coordinator's key is lost in the middle of a running study: the lead names another, the coordinator comes back under
// it on the same store, and institutions that never stopped check it, log it and finish. Without the lead nobody moves.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { signerFromSeed } from '../../../app/encoding/signature.ts';
import { RefusalError } from '../../../app/errors.ts';
import type { Signer } from '../../../app/ports.ts';
import { acceptKeyChange, coordinatorKeyAt, studyParameters } from '../../../app/round/parameters.ts';
import { confirmKeyChange, signKeyChange } from '../../../app/study/coordinator-key.ts';
import type { KeyChange, SignedKeyChange } from '../../../app/study/coordinator-key.ts';
import { openEngine } from '../../../main/coordinator/engine.ts';
import { modelApplier } from '../../../main/coordinator/model-applier.ts';
import { startServer } from '../../../main/coordinator/server.ts';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import { nodeCipher, systemClock } from '../../../main/host/machine.ts';
import { connectParticipant } from '../../../main/host/participant/connection.ts';
import type { StudyConnection } from '../../../main/host/participant/connection.ts';
import { runParticipant } from '../../../main/host/participant/run.ts';
import { sampleStudy } from '../../app/round/sample-study.ts';
import { freePort } from '../free-port.ts';
import { ledgerEntries, makeHomes, quickTrainer } from '../host/participant/homes.ts';

const study = sampleStudy({ institutions: 3 });
const { lead, coordinator: old } = study;
const successor = signerFromSeed(nodeCipher, new Uint8Array(32).fill(0x5a));

const changeOf = (contract: string, fromRound: number): KeyChange => ({
  format: 'consilience/coordinator-key/1',
  contract,
  fromRound,
  old: toHex(old.publicKey),
  next: toHex(successor.publicKey),
  given: '2026-06-01T00:00:00.000Z',
});

test('the lead, the new key and the order are needed; the old key where it is given', () => {
  const fresh = () => studyParameters(nodeCipher, study.contract);
  const hash = toHex(fresh().study);
  const signed = confirmKeyChange(signKeyChange(study.contract, lead, changeOf(hash, 5)), successor);
  const refused = (code: string, document: SignedKeyChange, parameters = fresh()): void =>
    assert.throws(
      () => acceptKeyChange(nodeCipher, parameters, document),
      (error) => error instanceof RefusalError && error.code === code,
    );
  const zeros = '0'.repeat(128);
  refused('coordinator-key-not-by-lead', { ...signed, lead: zeros });
  refused('coordinator-key-not-by-lead', { ...signed, lead: signed.next! });
  refused('coordinator-key-unconfirmed', { ...signed, next: null });
  refused('coordinator-key-old-signature', { ...signed, old: zeros });
  refused('coordinator-key-not-by-lead', { ...signed, change: { ...signed.change, fromRound: 4 } });
  refused('coordinator-key-other-study', { ...signed, change: { ...signed.change, contract: '1'.repeat(64) } });
  refused('coordinator-key-out-of-order', { ...signed, change: { ...signed.change, old: '1'.repeat(64) } });
  assert.throws(
    () => signKeyChange(study.contract, old, changeOf(hash, 5)),
    (error) => error instanceof RefusalError && error.code === 'lead-key-differs',
  );
  const parameters = fresh();
  assert.equal(acceptKeyChange(nodeCipher, parameters, confirmKeyChange(signed, old)), true);
  assert.equal(acceptKeyChange(nodeCipher, parameters, signed), false);
  assert.deepEqual(coordinatorKeyAt(parameters, 4), old.publicKey);
  assert.deepEqual(coordinatorKeyAt(parameters, 5), successor.publicKey);
});

type Connect = (...given: Parameters<typeof connectParticipant>) => Promise<StudyConnection>;

/** Three institutions that run over HTTP, and a coordinator that can be served again on its store under another key. */
async function runningStudy(t: TestContext, rounds: number, connect: Connect = connectParticipant) {
  const port = await freePort();
  const seconds = { ready: 30, shares: 30, masked: 30, consistency: 30, unmask: 30 };
  const schedule = { rounds, attempts: 8, stageSeconds: seconds, intervalSeconds: 1 };
  const homes = await makeHomes(3, (contract) => ({ ...contract, schedule }), `http://127.0.0.1:${port}`);
  t.after(() => homes.remove());
  for (const institution of homes.institutions) await homes.consent(institution);
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-key-rotation-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const { contract } = homes.signed;
  const hash = toHex(studyParameters(nodeCipher, contract).study);

  async function serve(signer: Signer, keyChanges: readonly SignedKeyChange[]) {
    const store = await openCoordinatorStore({ folder, study: hash });
    const engine = await openEngine({
      cipher: nodeCipher,
      clock: systemClock,
      parameters: studyParameters(nodeCipher, contract),
      signer,
      keyChanges,
      store,
      applier: modelApplier(nodeCipher, contract),
    });
    const server = await startServer({ engine, contract: utf8(homes.contractText), host: '127.0.0.1', port });
    const close = async (): Promise<void> => {
      await server.close();
      await engine.close();
    };
    return { engine, close };
  }

  const first = await serve(old, []);
  const stop = new AbortController();
  const away = new Set<string>();
  const runs = homes.institutions.map(({ home }) =>
    runParticipant({
      home,
      keys: homes.keys,
      study: null,
      policy: null,
      connect: (stored, index, keystore) => connect(stored, index, keystore),
      trainer: quickTrainer(),
      signal: stop.signal,
      onEvent: ({ kind }) => void (kind === 'unreachable' && away.add(home)),
    }),
  );
  for (const run of runs) run.catch(() => {});
  t.after(() => stop.abort());

  async function until(holds: () => boolean, what: string): Promise<void> {
    for (let waited = 0; !holds(); waited += 20) {
      assert.ok(waited < 120_000, what);
      await sleep(20);
    }
  }
  await until(() => first.engine.study().closed.length > 0, 'the first round does not close');

  /** The old coordinator ends, and comes back under the new key from two rounds on. */
  async function changeKey(meanwhile: () => Promise<void>) {
    await first.close();
    await meanwhile();
    const fromRound = first.engine.study().nextRound + 1;
    const change = confirmKeyChange(signKeyChange(contract, lead, changeOf(hash, fromRound)), successor);
    const second = await serve(successor, [change]);
    t.after(() => second.close());
    return { second, fromRound };
  }
  return { homes, runs, away, until, changeKey };
}

test('a running study goes on under the new key, from its round on', async (t) => {
  const { homes, runs, away, until, changeKey } = await runningStudy(t, 3);
  const noticed = (): Promise<void> => until(() => away.size === 3, 'nobody notices that the coordinator is away');
  const { second, fromRound } = await changeKey(noticed);
  for (const run of runs) assert.equal((await run).outcome, 'complete');
  const { closed } = second.engine.study();
  assert.equal(closed.length, 3);
  assert.ok(closed.slice(1).every(({ round }) => round >= fromRound));
  for (const { home } of homes.institutions) {
    const entries = await ledgerEntries(home);
    const changes = entries.filter(({ kind }) => kind === 'coordinator-key-changed');
    assert.deepEqual(
      changes.map(({ body }) => [body['fromRound'], body['next']]),
      [[fromRound, toHex(successor.publicKey)]],
    );
  }
});

test('a request that was under way when the key changed costs nobody the round', async (t) => {
  let held = 0;
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  // Each reads the status of the old coordinator, and the result that it speaks of from the new one.
  const connect: Connect = async (...given) => {
    const connection = await connectParticipant(...given);
    const port: StudyConnection['port'] = {
      ...connection.port,
      async broadcast(round, stage) {
        if (stage === 4) {
          held++;
          await gate;
        }
        return connection.port.broadcast(round, stage);
      },
    };
    return { ...connection, port };
  };
  const { homes, runs, until, changeKey } = await runningStudy(t, 2, connect);
  await until(() => held === 3, 'nobody asks for the result');
  const { second } = await changeKey(async () => {});
  open();
  for (const run of runs) assert.equal((await run).outcome, 'complete');
  assert.equal(second.engine.study().closed.length, 2);
  for (const { home } of homes.institutions) {
    const closed = (await ledgerEntries(home)).filter(({ kind }) => kind === 'round-closed');
    assert.deepEqual(
      closed.map(({ body }) => body['verified']),
      [true, true],
    );
  }
});
