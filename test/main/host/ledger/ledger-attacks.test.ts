// The ledger under attack, one test an attack: what somebody with the disk, or with the disk and time, can do to it, and the
// words in which it is found. Old folders and lost machines: participant-recover.test.ts. Design 4, "The ledger".

import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { signerFromSeed } from '../../../../app/encoding/signature.ts';
import { verifyLedger } from '../../../../app/ledger/chain.ts';
import { writeCheckpoint } from '../../../../app/ledger/checkpoint.ts';
import { judgeWitness, readyHead } from '../../../../app/ledger/head.ts';
import { checkPeerCounter } from '../../../../app/round/checks.ts';
import type { Message } from '../../../../app/round/messages.ts';
import { firstMemory } from '../../../../app/round/participant-state.ts';
import { openLedger } from '../../../../main/host/ledger/ledger-file.ts';
import type { Ledger } from '../../../../main/host/ledger/ledger-file.ts';
import { nodeCipher, systemClock } from '../../../../main/host/machine.ts';
import { requireAgreeing } from '../../../../main/host/participant/rollback.ts';
import { SampleLedger, sampleLedger, sampleSigner, sampleStart } from '../../../app/ledger/sample.ts';
import { sampleStudy } from '../../../app/round/sample-study.ts';

const thief = signerFromSeed(nodeCipher, new Uint8Array(32).fill(9));
const study = 'ab'.repeat(32);

const open = (folder: string): Promise<Ledger> =>
  openLedger({ folder, signer: sampleSigner, clock: systemClock, cipher: nodeCipher });

/** A folder with the sample ledger as `change` left it. */
async function damaged(
  t: TestContext,
  change: (text: string, checkpoint: string) => { text?: string; checkpoint?: string },
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-attack-'));
  t.after(() => rm(folder, { recursive: true }));
  const sample = sampleLedger();
  const { text = sample.text(), checkpoint = sample.checkpoint() } = change(sample.text(), sample.checkpoint());
  await writeFile(join(folder, 'ledger.jsonl'), text);
  await writeFile(join(folder, 'checkpoint'), checkpoint);
  return folder;
}

const lines = (text: string): string[] => text.trimEnd().split('\n');
const joined = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

async function refused(folder: string, message: RegExp): Promise<void> {
  const before = await readFile(join(folder, 'ledger.jsonl'));
  await assert.rejects(open(folder), { name: 'RefusalError', code: 'ledger-broken', message });
  assert.deepEqual(await readFile(join(folder, 'ledger.jsonl')), before, 'the evidence is left as it is');
}

test('attack: a charge is made smaller (flipped)', async (t) => {
  const folder = await damaged(t, (text) => ({ text: text.replace('"noiseVariance":1024', '"noiseVariance":9999') }));
  await refused(folder, /Entry 6 was altered/);
});

test('attack: the newest entries are cut off', async (t) => {
  await refused(await damaged(t, (text) => ({ text: joined(lines(text).slice(0, 6)) })), /[Ee]ntr.*7.*missing/);
});

test('attack: a charge is taken out of the middle', async (t) => {
  await refused(await damaged(t, (text) => ({ text: joined(lines(text).toSpliced(5, 1)) })), /Entry 6 is missing/);
});

test('attack: entries are reordered', async (t) => {
  const swap = (all: string[]): string[] => [...all.slice(0, 4), all[5]!, all[4]!, ...all.slice(6)];
  await refused(
    await damaged(t, (text) => ({ text: joined(swap(lines(text))) })),
    /Entry 5 does not stand in its place/,
  );
});

test('attack: the log is written anew and linked, without the key', async (t) => {
  const folder = await damaged(t, () => {
    const clean = new SampleLedger();
    for (let seq = 1; seq <= 11; seq++) clean.add('start', { version: '0.1.0' });
    return { text: clean.text() };
  });
  await refused(folder, /is not the one that a signed checkpoint names/);
});

test('attack: the log is written anew and signed with another key (re-signed)', async (t) => {
  const clean = new SampleLedger();
  clean.add('start', { version: '0.1.0' });
  const checkpoint = writeCheckpoint(nodeCipher, thief, clean.head, sampleStart);
  await refused(await damaged(t, () => ({ text: clean.text(), checkpoint })), /another key than the one expected/);
  const mixed = checkpoint.replaceAll(checkpoint.slice(21, 85), Buffer.from(sampleSigner.publicKey).toString('hex'));
  await refused(await damaged(t, () => ({ text: clean.text(), checkpoint: mixed })), /signature.*does not hold/);
});

test('attack: log or checkpoint is deleted', async (t) => {
  const folder = await damaged(t, () => ({}));
  await rm(join(folder, 'checkpoint'));
  await refused(folder, /checkpoint .* is gone/);
  const other = await damaged(t, () => ({}));
  await rm(join(other, 'ledger.jsonl'));
  await assert.rejects(open(other), { code: 'ledger-lost', message: /what was spent is not forgotten/ });
});

test('attack: log and checkpoint are rolled back together (old disk restored): the witnesses tell', async (t) => {
  const folder = await damaged(t, () => ({}));
  const kept = `${folder}-kept`;
  t.after(() => rm(kept, { recursive: true }));
  await cp(folder, kept, { recursive: true });
  const secret = new Uint8Array(32).fill(3);
  const bytes = new Uint8Array(32).fill(0xab);
  const ledger = await open(folder);
  const ready = await ledger.append('round-stage-reached', { study, round: 2, stage: 'ready', counter: 2 });
  await ledger.close();
  const witnessed = { counter: 2, head: readyHead(nodeCipher, secret, bytes, ready.hash) };
  // The old files verify in themselves; only others remember.
  await (await open(kept)).close();
  const own = { counter: 1, head: '00'.repeat(32) };
  assert.equal(judgeWitness(own, witnessed), 'behind');
  assert.throws(() => requireAgreeing(1, own, witnessed), {
    code: 'ledger-behind',
    message: /older copy of this folder/,
  });
});

test('attack: two copies of one machine, or two views shown to peers: the same number with another head', () => {
  const own = { counter: 2, head: '11'.repeat(32) };
  const witnessed = { counter: 2, head: '22'.repeat(32) };
  assert.throws(() => requireAgreeing(2, own, witnessed), {
    code: 'ledger-forked',
    message: /two copies of this folder/,
  });

  const { parameters } = sampleStudy({ institutions: 3 });
  const memory = { ...firstMemory('ab'.repeat(32)), peers: { '1': witnessed } };
  const shown = (counter: number, head: string) => ({ sender: 1, body: { counter, head } }) as unknown as Message<0>;
  const rolledBack = { code: 'counter-rolled-back', message: /site-1 came back with an older state/ };
  assert.throws(() => checkPeerCounter(parameters, memory, shown(2, own.head)), rolledBack);
  assert.throws(() => checkPeerCounter(parameters, memory, shown(1, witnessed.head)), rolledBack);
  checkPeerCounter(parameters, memory, shown(2, witnessed.head));
  checkPeerCounter(parameters, memory, shown(3, own.head));
});

test('attack: two different pasts under one key: checkpoints that were kept convict', () => {
  const told = sampleLedger();
  const other = new SampleLedger();
  for (let seq = 1; seq <= 11; seq++) other.add('start', { version: 'other' });
  const { ok, findings } = verifyLedger(nodeCipher, told.text(), [told.checkpoint(), other.checkpoint()]);
  assert.equal(ok, false);
  assert.ok(findings.some(({ sentence }) => /there were two ledgers under one key/.test(sentence)));
});

test('ten thousand entries are appended and verified, and the first bad one is named', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-many-'));
  t.after(() => rm(folder, { recursive: true }));
  const ledger = await open(folder);
  for (let batch = 0; batch < 20; batch++)
    await Promise.all(
      Array.from({ length: 500 }, (_, at) =>
        ledger.append('round-stage-reached', {
          study,
          round: batch + 1,
          stage: 'ready',
          counter: 500 * batch + at + 1,
        }),
      ),
    );
  await ledger.close();
  const text = await readFile(join(folder, 'ledger.jsonl'), 'utf8');
  const checkpoint = await readFile(join(folder, 'checkpoint'), 'utf8');
  const whole = verifyLedger(nodeCipher, text, [checkpoint], sampleSigner.publicKey);
  assert.deepEqual([whole.ok, whole.head.size, whole.vouchedSize], [true, 10_000, 10_000]);
  const all = lines(text);
  for (const seq of [1, 4321, 9999, 10_000]) {
    const altered = all.with(seq - 1, all[seq - 1]!.replace('"stage":"ready"', '"stage":"reads"'));
    const [first] = verifyLedger(nodeCipher, joined(altered), [checkpoint]).findings;
    assert.equal(first!.seq, seq);
  }
});
