// `consilience doctor`: as a process on this machine, on made homes that are whole, open to others or altered, on a
// coordinator whose clock is right, wrong or no coordinator's; and the limits of its own judgements.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { runCommand } from '../../../main/cli/command.ts';
import { doctorCommand } from '../../../main/cli/doctor.ts';
import { backendOutcome, backendReport, takenOf } from '../../../main/host/doctor/backends.ts';
import type { Tried } from '../../../main/host/doctor/backends.ts';
import type { Check, Outcome } from '../../../main/host/doctor/check.ts';
import { check } from '../../../main/host/doctor/check.ts';
import { homeChecks, spaceOutcome } from '../../../main/host/doctor/home.ts';
import { clockOutcome, randomnessOutcome, sizeOutcome } from '../../../main/host/doctor/machine.ts';
import { clockDifference, coordinatorCheck, policyCheck } from '../../../main/host/doctor/network.ts';
import { openKeystore } from '../../../main/host/keys/keystore.ts';
import { openLedger } from '../../../main/host/ledger/ledger-file.ts';
import { nodeMachine, systemRandom } from '../../../main/host/machine.ts';

const entry = resolve(import.meta.dirname, '../../../main/cli/index.ts');

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-doctor-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A home with keys and two entries. */
async function madeHome(t: TestContext): Promise<string> {
  const home = join(await temporaryFolder(t), 'home');
  const keystore = await openKeystore({
    folder: home,
    keyring: false,
    prompt: async () => 'correct horse battery',
    scryptLogN: 14,
  });
  const { clock, cipher } = nodeMachine;
  const ledger = await openLedger({ folder: join(home, 'ledger'), signer: keystore.identity, clock, cipher });
  await ledger.append('start', { program: 'test' });
  await ledger.append('clean-stop', {});
  await ledger.close();
  keystore.close();
  return home;
}

const levels = (checks: readonly Check[]): { readonly [name: string]: string } =>
  Object.fromEntries(checks.map(({ name, level }) => [name, level]));

test('as a process: every check has a level, a meaning, and a repair where it is not passed', async (t) => {
  const home = await madeHome(t);
  const ran = await new Promise<{ code: number; out: string }>((done) => {
    execFile(process.execPath, [entry, 'doctor', '--home', home, '--json'], (error, out) => {
      done({ code: error === null ? 0 : Number(error.code), out });
    });
  });
  const report = JSON.parse(ran.out) as { ok: boolean; failed: number; checks: Check[] };
  assert.deepEqual([ran.code, report.ok, report.failed], [0, true, 0], ran.out);
  for (const one of report.checks) {
    assert.ok(one.found.length > 0 && one.meaning.length > 0, one.name);
    assert.equal(one.repair === null, one.level === 'pass', one.name);
  }
  const found = levels(report.checks);
  for (const name of [
    'node',
    'clock',
    'randomness',
    'curves',
    'backend-wasm',
    'backend-cpu',
    'home-modes',
    'home-keys',
  ])
    assert.equal(found[name], 'pass', name);
  assert.equal(found['home-ledger'], 'pass');
  for (const name of ['keyring', 'cores-and-memory', 'electron', 'backend-tfjs-node', 'backend-webgpu', 'home-disk'])
    assert.ok(name in found, name);
});

test('a home: open to others, an altered ledger, a lost checkpoint and damaged keys fail, each by its name', async (t) => {
  if (process.platform === 'win32') return t.skip('Windows has no mode bits');
  const home = await madeHome(t);
  const whole = await homeChecks(home);
  assert.deepEqual(
    whole.filter(({ level }) => level === 'fail'),
    [],
  );
  assert.match(whole.find(({ name }) => name === 'home-keys')!.found, /a passphrase.*keyring was not asked/);
  assert.match(whole.find(({ name }) => name === 'home-ledger')!.found, /^2 entries/);
  assert.ok(!(await readdir(home)).some((name) => name.startsWith('.doctor')), 'the probe is gone');

  await chmod(home, 0o755);
  const open = await homeChecks(home);
  assert.equal(levels(open)['home-modes'], 'fail');
  assert.match(open.find(({ name }) => name === 'home-modes')!.repair!, /chmod -R go=/);
  await chmod(home, 0o700);

  const path = join(home, 'ledger', 'ledger.jsonl');
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('"program":"test"', '"program":"tost"'));
  const altered = (await homeChecks(home)).find(({ name }) => name === 'home-ledger')!;
  assert.deepEqual([altered.level, /entry 1/i.test(altered.found)], ['fail', true]);
  await writeFile(path, `${text}{"torn`);
  assert.equal(levels(await homeChecks(home))['home-ledger'], 'warn');
  await writeFile(path, text);
  await rm(join(home, 'ledger', 'checkpoint'));
  assert.equal(levels(await homeChecks(home))['home-ledger'], 'fail');
  await writeFile(join(home, 'keys.json'), '{}\n');
  assert.equal(levels(await homeChecks(home))['home-keys'], 'fail');
  await rm(join(home, 'keys.json'));
  assert.equal(levels(await homeChecks(home))['home-keys'], 'warn');
});

test('a home that is not there is one failure; an empty one is told how to begin', async (t) => {
  const folder = await temporaryFolder(t);
  assert.deepEqual(levels(await homeChecks(join(folder, 'none'))), { home: 'fail' });
  await mkdir(join(folder, 'empty'), { mode: 0o700 });
  const empty = levels(await homeChecks(join(folder, 'empty')));
  assert.deepEqual([empty['home-keys'], empty['home-ledger']], ['warn', 'warn']);
});

/** Serves one answer to everything. */
async function served(t: TestContext, body: string, headers: { [name: string]: string } = {}): Promise<URL> {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers });
    response.end(body);
  });
  await new Promise<void>((ready) => {
    server.listen(0, '127.0.0.1', ready);
  });
  t.after(() => server.close());
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

const health = JSON.stringify({ status: 'ok', study: 'ab'.repeat(32) });

test('a coordinator: answers, has another clock, is something else, is not there', async (t) => {
  assert.equal((await coordinatorCheck(await served(t, health), null)).level, 'pass');
  const early = new Date(Date.now() - 3_600_000).toUTCString();
  const behind = await coordinatorCheck(await served(t, health, { date: early }), null);
  assert.deepEqual([behind.level, /differ by 36\d\d s/.test(behind.found)], ['fail', true]);
  const other = await coordinatorCheck(await served(t, '<html>'), null);
  assert.deepEqual([other.level, /no coordinator/.test(other.found)], ['fail', true]);
  const gone = await coordinatorCheck(new URL('http://127.0.0.1:9'), null);
  assert.deepEqual([gone.level, /ECONNREFUSED/.test(gone.found)], ['fail', true]);
});

test('the clock of the other side: fine, drifting, beyond the window of signed requests, unsaid', () => {
  const level = (seconds: number | null): string =>
    clockDifference(seconds === null ? null : 1e12, 1e12 + 1000 * (seconds ?? 0), 'ab').level;
  assert.deepEqual(
    [level(0), level(149), level(151), level(-301), level(null)],
    ['pass', 'pass', 'warn', 'fail', 'warn'],
  );
});

test('a policy that cannot be read fails, and the command then ends with 1', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'policy.json');
  await writeFile(path, '{"format":"something"}');
  const found = await policyCheck(path);
  assert.deepEqual([found.level, /policy/.test(found.found)], ['fail', true]);
  const template = resolve(import.meta.dirname, '../../../main/resources/policy-template.json');
  assert.equal((await policyCheck(template)).level, 'pass');
  let out = '';
  const code = await runCommand(
    doctorCommand,
    ['--policy', path],
    (text) => void (out += text),
    () => {},
  );
  assert.equal(code, 1);
  assert.match(out, /FAIL {2}policy/);
  assert.match(out, /1 check fails/);
});

test('usage: an address that is none, --ca alone, a stray word', async () => {
  for (const args of [['--coordinator', 'relay'], ['--ca', 'x'], ['now']])
    assert.equal(
      await runCommand(
        doctorCommand,
        args,
        () => {},
        () => {},
      ),
      2,
    );
});

const level = ({ level: found }: Outcome): string => found;

test('judgements: clock, randomness, size, space', () => {
  assert.equal(level(clockOutcome(Date.UTC(2026, 10, 23))), 'pass');
  assert.equal(level(clockOutcome(0)), 'fail');
  const good = systemRandom.bytes(1 << 16);
  assert.equal(level(randomnessOutcome(good, systemRandom.bytes(1 << 16))), 'pass');
  assert.equal(level(randomnessOutcome(good, good)), 'fail');
  assert.equal(level(randomnessOutcome(good, new Uint8Array(1 << 16))), 'fail');
  assert.equal(
    level(
      randomnessOutcome(
        good,
        good.map((byte) => byte & 0x7f),
      ),
    ),
    'fail',
  );
  // Too even is not random either.
  assert.equal(
    level(
      randomnessOutcome(
        good,
        good.map((_, index) => index),
      ),
    ),
    'fail',
  );
  assert.deepEqual([sizeOutcome(1, 2 ** 32), sizeOutcome(2, 2 ** 29), sizeOutcome(2, 2 ** 32)].map(level), [
    'warn',
    'warn',
    'pass',
  ]);
  assert.deepEqual([spaceOutcome(2 ** 25, ''), spaceOutcome(2 ** 29, ''), spaceOutcome(2 ** 31, '')].map(level), [
    'fail',
    'warn',
    'pass',
  ]);
});

test('a check that breaks is a failure with its repair', async () => {
  const broken = await check('name', 'meaning', 'repair', () => {
    throw new Error('first line\nsecond line');
  });
  assert.deepEqual(broken, { name: 'name', meaning: 'meaning', level: 'fail', found: 'first line', repair: 'repair' });
});

test('backends: what is not here passes, what fails is named with what takes its place, and the fastest first is taken', () => {
  const works = (gigaflops: number) =>
    ({ state: 'works', device: null, speed: { gigaflops, kernelMicroseconds: 9 } }) as const;
  const absent = { state: 'absent', reason: 'no graphics card' } as const;
  const refused = { state: 'refused', reason: 'Card X: its softmax differs from the reference' } as const;
  const tried: readonly Tried[] = [
    { name: 'tfjs-node-gpu', trial: absent },
    { name: 'webgpu', trial: refused },
    { name: 'tfjs-node', trial: works(10) },
    { name: 'wasm', trial: works(20) },
    { name: 'cpu', trial: works(1) },
  ];
  assert.equal(takenOf(tried), 'wasm', 'tfjs-node is slower here');
  assert.equal(takenOf(tried.with(2, { name: 'tfjs-node', trial: works(30) })), 'tfjs-node');
  assert.equal(
    takenOf(tried.with(3, { name: 'wasm', trial: refused }).with(2, { name: 'tfjs-node', trial: absent })),
    'cpu',
  );
  const outcome = (at: number): Outcome => backendOutcome(tried[at]!.name, tried[at]!.trial, tried);
  assert.deepEqual(
    [0, 1, 2, 3].map((at) => level(outcome(at))),
    ['pass', 'warn', 'pass', 'pass'],
  );
  assert.match(outcome(1).found, /Card X: its softmax differs.*wasm is used/);
  assert.match(outcome(3).found, /20 GFLOP\/s.*Models are trained with it/);
  const report = backendReport(tried);
  assert.deepEqual(
    [report.name, report.gigaflops, report.refused.map(({ name }) => name)],
    ['wasm', 20, ['webgpu', 'tfjs-node']],
  );
  assert.deepEqual(report.absent, [{ name: 'tfjs-node-gpu', reason: 'no graphics card' }]);
  assert.throws(() => backendReport([{ name: 'wasm', trial: refused }]), /doctor/);
  assert.equal(backendOutcome('wasm', refused, [{ name: 'wasm', trial: refused }]).level, 'fail');
});
