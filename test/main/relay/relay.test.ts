// Three relays as processes of their own, started from the command line, between twelve institutions and a coordinator on a
// real socket: a whole round with every region's word on it, a relay killed in the middle of the next, one that never
// comes back, and what all this costs beside the flat layout.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex } from '../../../app/encoding/bytes.ts';
import { RefusalError } from '../../../app/errors.ts';
import { decodeMessage, expectStage } from '../../../app/round/messages.ts';
import { vouchFor } from '../../../app/round/participant.ts';
import { decodeRegionSums, readdRegions } from '../../../app/round/regions.ts';
import { checkResult } from '../../../app/round/result.ts';
import { smallRegions } from '../../../app/simulation/small-study.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { signContract, signedContractText } from '../../../app/study/signed-contract.ts';
import { connectCoordinator } from '../../../main/host/connection/coordinator-client.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import {
  agree,
  consentAll,
  everyone,
  liveFederation,
  plainSum,
  ready,
  seal,
  share,
  unmask,
  verify,
} from '../coordinator/federation.ts';
import type { Driven, LiveFederation, Party } from '../coordinator/federation.ts';

const entry = path.resolve(import.meta.dirname, '../../../main/cli/index.ts');
/** No keyring here, so that the credential file serves. */
const env = { ...process.env, DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' };
const regions = [0, 1, 2];

type Running = { readonly child: ChildProcess; readonly address: string; readonly admin: string };

async function startRelay(folder: string, position: number, root: string, port = 0): Promise<Running> {
  const where = [
    '--study',
    path.join(folder, 'study.json'),
    '--root',
    root,
    '--port',
    String(port),
    '--admin-port',
    '0',
  ];
  const child = spawn(
    process.execPath,
    [entry, 'relay', 'start', '--json', '--log', ...homeOf(folder, position), ...where],
    { stdio: ['ignore', 'pipe', 'pipe'], env },
  );
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said += data.toString('utf8')));
  const line = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString('utf8');
      if (text.includes('\n')) resolve(text);
    });
    child.once('exit', () => reject(new Error(`the relay ended early: ${text}${said}`)));
  });
  return { child, ...(JSON.parse(line) as { address: string; admin: string }) };
}

const homeOf = (folder: string, position: number): string[] => [
  '--home',
  path.join(folder, `relay-${position}`),
  '--credential-file',
  path.join(folder, 'credential'),
];

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !holds(); waited += 20) {
    if (waited > 90_000) throw new Error(`${what} did not come`);
    await sleep(20);
  }
}

async function vouch(fed: Driven, party: Party): Promise<Uint32Array> {
  const { cipher } = fed.machine;
  const { parameters } = fed.study;
  const state = { ...party.state!, u1: party.state!.u1!, u2: party.state!.u2!, u3: party.state!.u3! };
  const { client } = party;
  const result = expectStage(decodeMessage((await client.broadcast(state.round, 4))!), 132);
  const { masks } = checkResult(cipher, parameters, state, result);
  const sum = await readdRegions(cipher, parameters, state, result, masks, {
    masked: (index, chunk) => client.maskedChunk(state.round, index, chunk),
    sum: (chunk) => client.sumChunk(state.round, chunk),
    regionSums: async () => decodeRegionSums(await client.regionSums(state.round)),
    regionSum: (position, chunk) => client.regionChunk(state.round, position, chunk),
  });
  const next = vouchFor(party.participant, state, result.body.sum, true);
  party.state = next.state;
  // Once every region has enough, the round is closed and further words are not needed.
  await client.send(next.state.vouch!).catch((error: unknown) => {
    if (!(error instanceof RefusalError) || !/^(?:old-round|no-round-open|stage-over)$/.test(error.code)) throw error;
  });
  return sum;
}

/** From the sealed contributions to the closed round, with the wall time. */
async function finish(fed: LiveFederation, silent: readonly number[]): Promise<Uint32Array[]> {
  const stage = (name: string) => until(() => fed.engine.study().round?.stage === name, `stage ${name}`);
  await stage('consistency');
  await everyone(fed, agree, silent);
  await stage('unmask');
  await everyone(fed, unmask, silent);
  await stage('vouching');
  const sums: Uint32Array[] = [];
  const closed = fed.engine.study().closed.length;
  await everyone(fed, async (_, party) => void sums.push(await vouch(fed, party)), silent);
  await until(() => fed.engine.study().closed.length > closed, 'the close');
  for (const party of fed.parties) {
    const { round, sum } = fed.engine.study().closed.at(-1)!;
    party.memory = { ...party.memory, last: { round, sum, verified: true }, model: fed.model() };
  }
  return sums;
}

/** Relay 1 dies before its region is in: the others' sum closes at the deadline, and is theirs alone. */
async function closeWithoutRegion(fed: LiveFederation, relay: Running, offset: { ms: number }): Promise<void> {
  relay.child.kill('SIGKILL');
  const lost = [4, 5, 6, 7];
  await everyone(fed, seal, lost);
  const { round } = fed.engine.study();
  await until(() => fed.engine.study().round?.regionSums.size === 2, 'both other regions');
  await until(() => [...fed.engine.study().round!.regionSums.values()].every((one) => one.complete), 'their chunks');
  offset.ms = round!.deadline! - Date.now() + 1;
  await fed.engine.tick();
  const kept = [...fed.parties.keys()].filter((index) => !lost.includes(index));
  for (const sum of await finish(fed, lost)) assert.deepEqual(sum, plainSum(kept, sum.length));
}

async function federated(t: TestContext, relayKeys: readonly string[] | null, opening: 'root' | 'region' = 'root') {
  const bytes = { received: 0, sent: 0 };
  const offset = { ms: 0 };
  const change = (contract: Contract): Contract => {
    const terms = smallRegions(nodeCipher, 12, 3, opening);
    const relays = terms.relays.map((relay, at) => ({ ...relay, key: relayKeys?.[at] ?? relay.key }));
    const seconds = { ready: 100, shares: 100, masked: 100, consistency: 100, unmask: 100 };
    return {
      ...contract,
      schedule: { ...contract.schedule, stageSeconds: seconds },
      sealing: { ...contract.sealing, threshold: 8, cohortFloor: 8, colluders: 1 },
      ...(relayKeys === null ? {} : { regions: { ...terms, relays } }),
    };
  };
  const fed = await liveFederation({
    institutions: 12,
    features: 4000,
    change,
    clock: { now: () => Date.now() + offset.ms },
    onRequest({ receivedBytes, sentBytes }) {
      bytes.received += receivedBytes;
      bytes.sent += sentBytes;
    },
  });
  t.after(() => fed.close());
  return { fed, bytes, offset };
}

/** Twelve institutions that dial three relay processes. */
async function behindRelays(t: TestContext, opening: 'root' | 'region') {
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-relays-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path.join(folder, 'credential'), 'a credential for tests', { mode: 0o600 });
  const keys = regions.map((position) => {
    const done = spawnSync(process.execPath, [entry, 'relay', 'key', '--json', ...homeOf(folder, position)], {
      encoding: 'utf8',
      env,
    });
    assert.equal(done.status, 0, done.stderr);
    return (JSON.parse(done.stdout) as { key: string }).key;
  });
  const { fed, bytes, offset } = await federated(t, keys, opening);
  const { parameters, contract, lead } = fed.study;
  writeFileSync(path.join(folder, 'study.json'), signedContractText(signContract(nodeCipher, lead, contract)));
  const relays = await Promise.all(regions.map((position) => startRelay(folder, position, fed.server.address)));
  t.after(() => relays.forEach(({ child }) => child.kill('SIGKILL')));
  for (const party of fed.parties) {
    const { machine, index, identity } = party.participant;
    const { address } = relays[Math.floor(index / 4)]!;
    const patience = { attempts: 4, firstMs: 100, longestMs: 500 };
    party.client.close();
    const { transport } = party;
    const around = { machine, parameters, index, identity, transport };
    party.client = connectCoordinator({ ...around, address, patience });
  }
  return { fed, relays, folder, bytes, offset };
}

test('12 institutions behind 3 relay processes: exact, killed and gone on, lost and done without', async (t) => {
  const { fed, relays, folder, bytes, offset } = await behindRelays(t, 'root');
  await consentAll(fed);

  // Round 1: everybody.
  const begun = performance.now();
  await everyone(fed, ready);
  await everyone(fed, share);
  await everyone(fed, seal);
  for (const sum of await finish(fed, [])) assert.deepEqual(sum, plainSum([...fed.parties.keys()], sum.length));
  const regional = { milliseconds: Math.round(performance.now() - begun), ...bytes };

  // Round 2: relay 1 is killed when three of its four members have sealed, and started again.
  await until(() => fed.engine.study().round !== null, 'round 2');
  await everyone(fed, ready);
  await everyone(fed, share);
  await everyone(fed, seal, [7]);
  relays[1]!.child.kill('SIGKILL');
  relays[1] = await startRelay(folder, 1, fed.server.address, Number(new URL(relays[1]!.address).port));
  await seal(fed, fed.parties[7]!);
  for (const sum of await finish(fed, [])) assert.deepEqual(sum, plainSum([...fed.parties.keys()], sum.length));

  // Round 3: relay 1 is gone for good; its members are dropouts, whose masks are taken away.
  await until(() => fed.engine.study().round !== null, 'round 3');
  await everyone(fed, ready);
  await everyone(fed, share);
  await closeWithoutRegion(fed, relays[1], offset);

  // The flat layout, one round.
  const flat = await federated(t, null);
  await consentAll(flat.fed);
  const flatBegun = performance.now();
  for (const step of [ready, share, seal, agree, unmask]) await everyone(flat.fed, step);
  await flat.fed.engine.settled();
  await everyone(flat.fed, async (_, party) => void (await verify(flat.fed, party)));
  const plain = { milliseconds: Math.round(performance.now() - flatBegun), ...flat.bytes };
  t.diagnostic(JSON.stringify({ root: { regional, flat: plain } }));
  assert.ok(regional.sent < plain.sent / 2, 'the root sends less than half of what it sends in the flat layout');
});

test('regions that open their own sums: each relay has its region’s, the root the whole; a region that is lost is left out', async (t) => {
  const { fed, relays, folder, bytes, offset } = await behindRelays(t, 'region');
  await consentAll(fed);
  const begun = performance.now();
  for (const step of [ready, share, seal]) await everyone(fed, step);
  for (const sum of await finish(fed, [])) assert.deepEqual(sum, plainSum([...fed.parties.keys()], sum.length));
  t.diagnostic(JSON.stringify({ root: { milliseconds: Math.round(performance.now() - begun), ...bytes } }));

  const read = (position: number, round: number) => {
    const out = path.join(folder, `sum-${position}-${round}`);
    const study = ['--study', path.join(folder, 'study.json'), '--home', path.join(folder, `relay-${position}`)];
    const args = ['relay', 'sum', '--json', ...study, '--round', String(round), '--out', out];
    const done = spawnSync(process.execPath, [entry, ...args], { encoding: 'utf8', env });
    return { done, out };
  };
  const has = async (position: number, round: number) => {
    for (let tries = 0; ; tries++) {
      const { done, out } = read(position, round);
      if (done.status === 0) return { ...(JSON.parse(done.stdout) as { members: string[] }), file: readFileSync(out) };
      if (tries === 30) throw new Error(done.stdout + done.stderr);
      await sleep(500);
    }
  };
  const { dimension, scale } = fed.study.contract.sealing;
  for (const position of regions) {
    const members = [0, 1, 2, 3].map((one) => 4 * position + one);
    const { members: named, file } = await has(position, 1);
    assert.deepEqual(
      named,
      members.map((index) => `site-${index}`),
    );
    const expected = plainSum(members, dimension);
    for (const at of [0, 1, 2000, dimension - 1]) assert.equal(file.readDoubleLE(8 * at), (expected[at]! | 0) / scale);
    assert.equal(file.length, 8 * dimension);
  }
  // What its operator sees.
  const { admin } = relays[0]!;
  const text = await (await fetch(`${admin}/metrics`)).text();
  const valueOf = (name: string, labels = ''): number =>
    Number(
      text
        .split('\n')
        .find((one) => one.startsWith(`consilience_relay_${name}{`) && one.includes(labels))
        ?.split(' ')
        .at(-1),
    );
  assert.deepEqual(
    ['added', 'sent', 'opened'].map((step) => valueOf('sums_total', `step="${step}"`)),
    [1, 1, 1],
  );
  assert.deepEqual([valueOf('members'), valueOf('added'), valueOf('root_up'), valueOf('store_up')], [4, 4, 1, 1]);
  assert.ok(valueOf('received_bytes_total') > 4 * 4 * dimension && valueOf('from_root_bytes_total') > 0);
  for (const { name } of fed.study.contract.roster) assert.ok(!text.includes(name), 'no institution is named');
  const health = (await (await fetch(`${admin}/health`)).json()) as { status: string; root: string };
  assert.deepEqual([health.status, health.root], ['ok', 'ok']);
  assert.match(await (await fetch(admin)).text(), /<h1>Relay: ok<\/h1>/);

  const again = read(0, 1).done;
  assert.equal(again.status, 1);
  assert.match(again.stdout, /"file-exists"/);

  // Round 2: relay 1 dies before its region is in; nothing of its members needs to be opened.
  await until(() => fed.engine.study().round !== null, 'round 2');
  for (const step of [ready, share]) await everyone(fed, step);
  await closeWithoutRegion(fed, relays[1]!, offset);
  assert.equal((await has(2, 2)).members.length, 4);
  assert.match(read(1, 2).done.stdout, /"region-sum-missing"/);

  // Killed before it opened its sum: it does so from its disk when it is started again.
  relays[2]!.child.kill('SIGKILL');
  const home = path.join(folder, 'relay-2', 'relays', toHex(fed.study.parameters.study));
  rmSync(path.join(home, 'region-sums', '2'));
  rmSync(path.join(home, 'sums', '2'), { recursive: true });
  rmSync(path.join(folder, 'sum-2-2'));
  assert.match(read(2, 2).done.stdout, /"region-sum-missing"/);
  relays[2] = await startRelay(folder, 2, fed.server.address);
  const expected = plainSum([8, 9, 10, 11], dimension);
  assert.equal((await has(2, 2)).file.readDoubleLE(8), (expected[1]! | 0) / scale);
});
