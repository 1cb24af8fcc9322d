// The command as its own process: keys, start, health, kill -9 and return, a clean stop, and what it refuses.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { signerFromSeed } from '../../../app/encoding/signature.ts';
import { createModelChain } from '../../../app/round/model-chain.ts';
import { studyParameters } from '../../../app/round/parameters.ts';
import { signReady } from '../../../app/round/participant.ts';
import { firstMemory } from '../../../app/round/participant-state.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { consentTo, signConsent, signedConsentText } from '../../../app/study/consent.ts';
import { signContract, signedContractText } from '../../../app/study/signed-contract.ts';
import { connectCoordinator } from '../../../main/host/connection/coordinator-client.ts';
import { nodeCipher, nodeMachine } from '../../../main/host/machine.ts';
import { sampleStudy } from '../../app/round/sample-study.ts';

const entry = path.resolve(import.meta.dirname, '../../../main/cli/index.ts');

/** No keyring here, so that the credential file serves. */
const env = { ...process.env, DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' };

function run(args: readonly string[]) {
  const done = spawnSync(process.execPath, [entry, 'coordinator', ...args], { encoding: 'utf8', env });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

type Started = { readonly child: ChildProcess; readonly address: string; readonly log: () => string };

async function start(t: TestContext, args: readonly string[]): Promise<Started> {
  const child = spawn(process.execPath, [entry, 'coordinator', '--json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  t.after(() => child.kill('SIGKILL'));
  let log = '';
  child.stderr.on('data', (data: Buffer) => (log += data.toString('utf8')));
  const line = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString('utf8');
      if (text.includes('\n')) resolve(text);
    });
    child.once('exit', () => reject(new Error(`the coordinator ended early: ${text}${log}`)));
  });
  const said = JSON.parse(line) as { event: string; address: string; study: string };
  assert.equal(said.event, 'listening');
  return { child, address: said.address, log: () => log };
}

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => child.once('exit', (code) => resolve(code)));

test('starts, answers, is killed and goes on, stops cleanly', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-cli-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const home = path.join(folder, 'home');
  const credential = path.join(folder, 'credential');
  writeFileSync(credential, 'a credential that is long enough\n', { mode: 0o600 });
  const keys = ['--home', home, '--credential-file', credential];

  const made = run(['key', '--json', ...keys]);
  assert.equal(made.code, 0, made.err);
  const { key } = JSON.parse(made.out) as { key: string };
  const withKey = (named: string) => (contract: Contract) => ({
    ...contract,
    coordinator: { ...contract.coordinator, key: named },
    schedule: { ...contract.schedule, stageSeconds: { ...contract.schedule.stageSeconds, ready: 600 } },
  });
  const sample = sampleStudy({ institutions: 3, change: withKey(key) });
  const file = (name: string, contract: Contract): string => {
    const target = path.join(folder, name);
    writeFileSync(target, signedContractText(signContract(nodeCipher, sample.lead, contract)));
    return target;
  };
  const studyFile = file('study.json', sample.contract);

  const foreign = file('foreign.json', withKey(toHex(sample.coordinator.publicKey))(sample.contract));
  const refused = run(['--json', '--study', foreign, ...keys]);
  assert.equal(refused.code, 1);
  assert.match(refused.out, /"coordinator-key-differs"/);
  const beyond = run(['--json', '--study', studyFile, '--host', '0.0.0.0', ...keys]);
  assert.equal(beyond.code, 1);
  assert.match(beyond.out, /"plain-http"/);
  assert.equal(run(['--study', studyFile, '--home', home, '--tls-cert', studyFile]).code, 2);
  assert.equal(run(['serve']).code, 2);

  const first = await start(t, ['--study', studyFile, ...keys]);
  const health = (await (await fetch(`${first.address}/v1/health`)).json()) as { study: string };
  const parameters = studyParameters(nodeCipher, sample.contract);
  assert.equal(health.study, toHex(parameters.study));
  const client = (index: number, address: string) => {
    const transport = signerFromSeed(nodeCipher, new Uint8Array(32).fill(index + 1));
    const identity = sample.identities[index]!;
    const opened = connectCoordinator({ machine: nodeMachine, parameters, index, identity, transport, address });
    t.after(() => opened.close());
    return opened;
  };
  const model = createModelChain(nodeCipher, sample.contract).hash;
  for (const index of [0, 1, 2]) {
    const consent = consentTo(nodeCipher, sample.contract, {
      index,
      dataset: { name: 'data', lineage: null },
      epsilonCeiling: sample.contract.privacy.epsilon,
      noise: 'discrete-gaussian',
      given: '2026-01-02T00:00:00.000Z',
      expires: '2035-01-01T00:00:00.000Z',
    });
    const signed = signConsent(nodeCipher, sample.identities[index]!, consent);
    await client(index, first.address).sendConsent(signedConsentText(signed));
  }
  const ready = async (index: number, address: string): Promise<void> => {
    const participant = { machine: nodeMachine, parameters, index, identity: sample.identities[index]! };
    const step = signReady(participant, firstMemory(model), null, 1, new Uint8Array(32));
    await client(index, address).send(step.state.ready);
  };
  await ready(0, first.address);
  await ready(1, first.address);
  const killed = ended(first.child);
  first.child.kill('SIGKILL');
  await killed;

  const second = await start(t, ['--log', '--study', studyFile, ...keys]);
  const before = await client(2, second.address).status(null, 0);
  assert.equal(before.round?.readies, 2);
  await ready(2, second.address);
  assert.equal((await client(2, second.address).status(null, 0)).round?.stage, 'shares');
  const stopped = ended(second.child);
  second.child.kill('SIGTERM');
  assert.equal(await stopped, 0);
  const lines = second
    .log()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; stage?: string });
  assert.deepEqual(
    lines.map(({ event, stage }) => stage ?? event),
    ['listening', 'shares', 'stopped'],
  );
});
