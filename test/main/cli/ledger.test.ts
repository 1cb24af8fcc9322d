// `consilience ledger`: verify, export, show; and the export's own VERIFY.md, whose sh blocks are run as they stand with
// openssl and sha256sum, on whole bundles and on altered ones.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { writeCheckpoint } from '../../../app/ledger/checkpoint.ts';
import { runCommand } from '../../../main/cli/command.ts';
import { ledgerCommand } from '../../../main/cli/ledger.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleLedger, sampleSigner, sampleStart, SampleLedger } from '../../app/ledger/sample.ts';

async function run(...args: string[]): Promise<{ code: number; out: string; warned: string }> {
  let [out, warned] = ['', ''];
  const code = await runCommand(
    ledgerCommand,
    args,
    (text) => void (out += text),
    (text) => void (warned += text),
  );
  return { code, out, warned };
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-cli-ledger-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function written(t: TestContext, ledger = sampleLedger()): Promise<string> {
  const folder = join(await temporaryFolder(t), 'home');
  await mkdir(folder);
  await writeFile(join(folder, 'ledger.jsonl'), ledger.text());
  await writeFile(join(folder, 'checkpoint'), ledger.checkpoint());
  return folder;
}

const key = toHex(sampleSigner.publicKey);

void test('verify: a whole ledger is 0, in words and as JSON, with the key pinned or not', async (t) => {
  const folder = await written(t);
  const { code, out } = await run('verify', folder);
  assert.equal(code, 0);
  assert.match(out, /unaltered: 11 entries/);
  assert.ok(out.includes(key));
  assert.equal((await run('verify', folder, '--key', key)).code, 0);
  const json = await run('verify', join(folder, 'ledger.jsonl'), '--json');
  const { last } = sampleLedger().head;
  assert.deepEqual(JSON.parse(json.out), {
    verified: true,
    entries: 11,
    last,
    vouchedEntries: 11,
    first: null,
    findings: [],
  });
});

void test('verify: damage, another key and a missing checkpoint are 1 and named', async (t) => {
  const folder = await written(t);
  const other = await run('verify', folder, '--key', 'ab'.repeat(32));
  assert.deepEqual([other.code, /another key/.test(other.out)], [1, true]);
  const path = join(folder, 'ledger.jsonl');
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('heart-a', 'heart-b'));
  const altered = await run('verify', folder, '--json');
  assert.equal(altered.code, 1);
  const said = JSON.parse(altered.out) as { verified: boolean; first: { code: string; seq: number } };
  assert.deepEqual([said.verified, said.first.code, said.first.seq], [false, 'altered', 3]);
  await writeFile(path, text.slice(0, -5));
  assert.match((await run('verify', folder)).out, /entry 11 is missing/);
  await writeFile(path, text);
  const early = new SampleLedger();
  early.add('start', { version: 'other' });
  await writeFile(join(folder, 'kept'), early.checkpoint());
  assert.match((await run('verify', folder, '--checkpoint', join(folder, 'kept'))).out, /Entry 1 is not the one/);
  await rm(join(folder, 'checkpoint'));
  const without = await run('verify', folder);
  assert.deepEqual([without.code, /checkpoint file is missing/.test(without.out)], [1, true]);
  assert.equal((await run('verify', path)).code, 0);
});

void test('usage mistakes are 2, what is not there is 1', async (t) => {
  assert.equal((await run()).code, 2);
  assert.equal((await run('verify')).code, 2);
  assert.equal((await run('burn', '.')).code, 2);
  assert.equal((await run('verify', '.', 'more')).code, 2);
  assert.equal((await run('show', '.', '--kind', 'nonsense')).code, 2);
  assert.equal((await run('verify', '/nonexistent')).code, 1);
  assert.equal((await run('verify', await temporaryFolder(t))).code, 1);
  const folder = await written(t);
  assert.equal((await run('export', folder)).code, 2);
  await writeFile(join(folder, 'no-key.pem'), 'x');
  assert.match((await run('verify', folder, '--key', join(folder, 'no-key.pem'))).warned, /no Ed25519 public key/);
});

void test('show: filters, words, JSON, and stops at the first bad entry', async (t) => {
  const folder = await written(t);
  const all = await run('show', folder);
  assert.equal(all.code, 0);
  assert.equal(all.out.trimEnd().split('\n').length, 11);
  assert.match(all.out, /worst case was reserved for dataset “heart-a”/);
  const some = await run(
    'show',
    folder,
    '--kind',
    'budget-reserved',
    '--kind',
    'budget-settled',
    '--last',
    '1',
    '--json',
  );
  assert.deepEqual(
    (JSON.parse(some.out) as { entries: { seq: number }[] }).entries.map((entry) => entry.seq),
    [7],
  );
  assert.equal((await run('show', folder, '--study', 'abab')).out.trimEnd().split('\n').length, 7);
  const path = join(folder, 'ledger.jsonl');
  await writeFile(path, (await readFile(path, 'utf8')).replace('"round":1', '"round":2'));
  const broken = await run('show', folder);
  assert.equal(broken.code, 1);
  assert.match(broken.warned, /Entry 5 was altered/);
});

const contractText = JSON.stringify({
  roster: [
    { identityKey: 'cd'.repeat(32), name: 'hospital-b' },
    { identityKey: 'ef'.repeat(32), name: '../evil' },
  ],
});

/** A ledger that names a contract lying beside it, and the exported bundle of it. */
async function exported(t: TestContext): Promise<{ bundle: string; hash: string }> {
  const hash = createHash('sha256').update(contractText).digest('hex');
  const ledger = sampleLedger();
  ledger.add('contract-reviewed', { study: hash, title: 'Angina | **bold** <b>' });
  const folder = await written(t, ledger);
  await mkdir(join(folder, 'contracts'));
  await writeFile(join(folder, 'contracts', 'any.json'), contractText);
  await writeFile(join(folder, 'contracts', 'unnamed.json'), '{"roster":[]}');
  await writeFile(join(folder, 'records.csv'), 'CANARY-4411');
  const bundle = join(folder, '..', 'bundle');
  const { code, warned } = await run('export', folder, '--out', bundle);
  assert.equal(code, 0, warned);
  return { bundle, hash };
}

void test('export: the bundle holds what it promises, verifies, and nothing else of the folder', async (t) => {
  const { bundle, hash } = await exported(t);
  const names = (await readdir(bundle, { recursive: true })).sort();
  assert.deepEqual(names, [
    'SHA256SUMS',
    'VERIFY.md',
    'checkpoint',
    'contracts',
    `contracts/${hash}.json`,
    'keys',
    'keys.json',
    'keys/hospital-b.pem',
    `keys/key-${'ef'.repeat(16)}.pem`,
    'keys/ledger.pem',
    'ledger.jsonl',
    'report.md',
    'verify.html',
  ]);
  assert.equal((await run('verify', bundle, '--key', join(bundle, 'keys', 'ledger.pem'))).code, 0);
  assert.equal((await run('export', bundle, '--out', bundle)).code, 1);
  const report = await readFile(join(bundle, 'report.md'), 'utf8');
  assert.match(report, /\[entry 6\]\(ledger\.jsonl#L6\) \| heart-a \| abababababab \| 1 \| settled by \[entry 7\]/);
  assert.match(report, new RegExp(`contracts/${hash}\\.json`));
  assert.ok(report.includes('Angina \\| \\*\\*bold\\*\\* \\<b\\>'), 'text of others is escaped');
  for (let seq = 1; seq <= 12; seq++) assert.ok(report.includes(`- [entry ${seq}](ledger.jsonl#L${seq})`), `${seq}`);
  for (const name of names.filter((one) => one.includes('.')))
    assert.ok(!(await readFile(join(bundle, name), 'utf8')).includes('CANARY'), name);
});

void test('export: a broken ledger is not exported', async (t) => {
  const folder = await written(t);
  const path = join(folder, 'ledger.jsonl');
  await writeFile(path, (await readFile(path, 'utf8')).replace('heart-a', 'heart-b'));
  const { code, warned } = await run('export', folder, '--out', join(folder, 'out'));
  assert.deepEqual([code, /Entry 3 was altered/.test(warned)], [1, true]);
  assert.ok(!(await readdir(folder)).includes('out'));
});

const haveTools = ((): string | false => {
  const version = spawnSync('openssl', ['version'], { encoding: 'utf8' });
  if (version.status !== 0 || !/^OpenSSL ([3-9]|\d\d)/.test(version.stdout))
    return 'openssl 3 or later is not installed';
  for (const tool of ['sha256sum', 'base64', 'od', 'sh'])
    if (spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0) return `${tool} is not installed`;
  return false;
})();

async function steps(bundle: string): Promise<string[]> {
  const text = await readFile(join(bundle, 'VERIFY.md'), 'utf8');
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);
}

const shell = (bundle: string, script: string) =>
  spawnSync('sh', ['-eu', '-c', script], { cwd: bundle, encoding: 'utf8' });

void test('VERIFY.md: every command runs and says ok on a whole bundle', { skip: haveTools }, async (t) => {
  const { bundle } = await exported(t);
  const scripts = await steps(bundle);
  assert.equal(scripts.length, 5);
  const outputs = scripts.map((script) => {
    const { status, stdout, stderr } = shell(bundle, script);
    assert.equal(status, 0, `${script}\n${stdout}${stderr}`);
    return stdout;
  });
  for (const step of [0, 1, 2, 4]) assert.match(outputs[step]!, /^ok: /m);
  assert.match(outputs[1]!, /12 entries are linked, and entry 12/);
  assert.equal(outputs[3]!.trim(), key);
});

void test('VERIFY.md: an altered bundle fails at the right step', { skip: haveTools }, async (t) => {
  const { bundle } = await exported(t);
  const [sums, chain, signature, , contracts] = await steps(bundle);
  const damaged = async (file: string, change: (text: string) => string): Promise<string> => {
    const copy = join(await temporaryFolder(t), 'bundle');
    await cp(bundle, copy, { recursive: true });
    const before = await readFile(join(copy, file), 'utf8');
    const after = change(before);
    assert.notEqual(after, before);
    await writeFile(join(copy, file), after);
    assert.notEqual(shell(copy, sums!).status, 0);
    return copy;
  };
  const fails = (folder: string, script: string | undefined, words: RegExp): void => {
    const { status, stdout, stderr } = shell(folder, script!);
    assert.notEqual(status, 0);
    assert.match(stdout + stderr, words);
  };
  fails(await damaged('ledger.jsonl', (text) => text.replace('heart-a', 'heart-b')), chain, /entry 4 does not follow/);
  fails(await damaged('ledger.jsonl', (text) => text.replace(/^.*"seq":5.*\n/m, '')), chain, /entry 5 does not follow/);
  fails(await damaged('ledger.jsonl', (text) => text.replace(/[^\n]*\n$/, '')), chain, /names another entry 12/);
  // A `previous` planted inside a body must not pass for the entry's own.
  const planted = sampleLedger();
  const lines = planted.text().split('\n');
  const own = /"previous":"([0-9a-f]{64})","seq":8/.exec(lines[7]!)![1]!;
  const spoof = `"zz":{"x":1,"previous":"${own}","seq":8,"time":"2026-11-23T09:30:07.125Z"}`;
  const spoofed = lines[7]!.replace(own, 'ee'.repeat(32)).replace('"sum"', `${spoof},"sum"`);
  fails(await damaged('ledger.jsonl', (text) => text.replace(lines[7]!, spoofed)), chain, /entry 8 does not follow/);
  for (const change of [
    (text: string) => text.replace('\n12\n', '\n11\n'),
    (text: string) => text.replace(/\n(20\d\d)/, '\n1999'),
  ])
    fails(await damaged('checkpoint', change), signature, /Signature Verification Failure|Verification/);
  fails(
    await damaged('keys/ledger.pem', () =>
      execFileSync('cat', [join(bundle, 'keys', 'hospital-b.pem')], { encoding: 'utf8' }),
    ),
    signature,
    /./,
  );
  const name = (await readdir(join(bundle, 'contracts')))[0]!;
  fails(await damaged(`contracts/${name}`, (text) => `${text} `), contracts, /is not what its name says/);
});

void test(
  'the documented bytes are what is signed: openssl verifies a checkpoint of an empty ledger too',
  { skip: haveTools },
  async (t) => {
    const folder = await written(t, new SampleLedger());
    await writeFile(
      join(folder, 'checkpoint'),
      writeCheckpoint(nodeCipher, sampleSigner, { size: 0, last: '0'.repeat(64) }, sampleStart),
    );
    const bundle = join(folder, '..', 'bundle');
    assert.equal((await run('export', folder, '--out', bundle)).code, 0);
    for (const script of await steps(bundle)) assert.equal(shell(bundle, script).status, 0, script);
  },
);
