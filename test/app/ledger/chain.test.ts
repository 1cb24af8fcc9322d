// Verification finds the first bad entry: each kind of damage by hand with its words, then any damage by property.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromUtf8, utf8 } from '../../../app/encoding/bytes.ts';
import { canonicalJson } from '../../../app/encoding/canonical-json.ts';
import { signerFromSeed } from '../../../app/encoding/signature.ts';
import { verifyLedger } from '../../../app/ledger/chain.ts';
import type { FindingCode, Verification } from '../../../app/ledger/chain.ts';
import { writeCheckpoint } from '../../../app/ledger/checkpoint.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { SampleLedger, sampleLedger, sampleSigner } from './sample.ts';

const whole = sampleLedger();
const size = whole.lines.length;
const checkpoint = whole.checkpoint();

function verify(lines: readonly string[], checkpoints: readonly string[] = [checkpoint]): Verification {
  return verifyLedger(nodeCipher, lines.map((line) => `${line}\n`).join(''), checkpoints, sampleSigner.publicKey);
}

function assertFirst(result: Verification, code: FindingCode, seq: number | null): void {
  assert.equal(result.ok, false);
  const { code: foundCode, seq: foundSeq } = result.findings[0]!;
  assert.deepEqual({ code: foundCode, seq: foundSeq }, { code, seq }, result.findings[0]!.sentence);
}

/** Line `seq` with one field of the entry replaced, canonical again. */
const edited = (seq: number, change: object): string[] =>
  whole.lines.with(seq - 1, canonicalJson({ ...(JSON.parse(whole.lines[seq - 1]!) as object), ...change }));

void test('a whole ledger verifies, with and without checkpoints, and so does an empty one', () => {
  const result = verify(whole.lines);
  assert.deepEqual(result, { ok: true, head: whole.head, findings: [], vouchedSize: size });
  assert.equal(verify(whole.lines, []).vouchedSize, null);
  assert.equal(verify(whole.lines, []).ok, true);
  const empty = new SampleLedger();
  assert.equal(verify([], [empty.checkpoint()]).ok, true);
});

void test('damage is named by what it is', () => {
  assertFirst(verify(edited(4, { time: '2026-11-23T09:30:03.126Z' })), 'altered', 4);
  assertFirst(verify(edited(4, { previous: 'ee'.repeat(32) })), 'altered', 4);
  assertFirst(verify(edited(1, { previous: 'ee'.repeat(32) })), 'altered', 1);
  assertFirst(verify(edited(size, { time: '2026-11-23T09:31:00.000Z' })), 'checkpoint-mismatch', size);
  assertFirst(verify(edited(size - 1, { time: '2026-11-23T09:31:00.000Z' })), 'altered', size - 1);
  assertFirst(verify(edited(4, { seq: 9 })), 'wrong-seq', 4);
  assertFirst(verify(edited(4, { kind: 'budget-refunded' })), 'unknown-kind', 4);
  assertFirst(verify(edited(6, { body: {} })), 'malformed', 6);
  assertFirst(verify(whole.lines.toSpliced(4, 1)), 'missing', 5);
  assertFirst(verify(whole.lines.toSpliced(4, 3)), 'missing', 5);
  assertFirst(verify(whole.lines.toSpliced(0, 1)), 'missing', 1);
  assertFirst(verify(whole.lines.toSpliced(4, 0, whole.lines[4]!)), 'repeated', 6);
  assertFirst(verify(whole.lines.with(4, whole.lines[5]!).with(5, whole.lines[4]!)), 'reordered', 5);
  assertFirst(verify(whole.lines.with(4, whole.lines[8]!).with(8, whole.lines[4]!)), 'reordered', 5);
  assertFirst(verify(whole.lines.slice(0, -2)), 'truncated', size - 1);
  assertFirst(verify([]), 'truncated', 1);
  assertFirst(verify(whole.lines.with(2, ` ${whole.lines[2]!}`)), 'not-canonical', 3);
  assertFirst(verify(whole.lines.with(2, whole.lines[2]!.replace('"rows"', '"rows'))), 'not-json', 3);
  assertFirst(verify(whole.lines.with(2, '{"a":"\\ud800"}')), 'not-canonical', 3);
  assertFirst(verify(whole.lines.with(2, '')), 'not-json', 3);
  const torn = verifyLedger(nodeCipher, whole.text().slice(0, -9), []);
  assertFirst(torn, 'torn', size);
  assertFirst(verifyLedger(nodeCipher, whole.text().slice(0, -9), [checkpoint]), 'truncated', size);
});

void test('where nothing tells which of two neighbours was altered, the words say so', () => {
  const result = verify(edited(size - 1, { time: '2026-11-23T09:31:00.000Z' }), []);
  assertFirst(result, 'altered', size - 1);
  assert.match(result.findings[0]!.sentence, /nothing after them tells which/);
});

void test('an entry that a checkpoint confirms is believed against the one after it', () => {
  const ledger = new SampleLedger();
  for (const at of [1, 2]) ledger.add('settings-changed', { at });
  const kept = ledger.checkpoint();
  ledger.add('clean-stop', {});
  const last = canonicalJson({ ...(JSON.parse(ledger.lines[2]!) as object), previous: 'ee'.repeat(32) });
  assertFirst(verify(ledger.lines.with(2, last), [kept]), 'altered', 3);
});

void test('a ledger rewritten and linked anew is caught by any checkpoint', () => {
  const rewritten = new SampleLedger();
  rewritten.add('start', { version: '0.1.0' });
  rewritten.add('enrolled', { organisation: 'Another' });
  const early = new SampleLedger();
  early.add('start', { version: '0.1.0' });
  early.add('enrolled', { organisation: 'First' });
  const kept = early.checkpoint();
  rewritten.add('clean-stop', {});
  assert.equal(verify(rewritten.lines, [rewritten.checkpoint()]).ok, true);
  assertFirst(verify(rewritten.lines, [rewritten.checkpoint(), kept]), 'checkpoint-mismatch', 2);
  // Two valid checkpoints of one size that differ prove two ledgers, whatever file is shown.
  const other = writeCheckpoint(nodeCipher, sampleSigner, { size: 2, last: 'ab'.repeat(32) }, 0);
  assert.ok(verify(early.lines, [kept, other]).findings.some((finding) => /two ledgers/.test(finding.sentence)));
});

void test('checkpoints that are forged, foreign or malformed are findings of their own', () => {
  const forged = checkpoint.replace(`\n${size}\n`, `\n${size - 1}\n`);
  assertFirst(verify(whole.lines, [forged]), 'checkpoint-bad-signature', null);
  const stranger = signerFromSeed(nodeCipher, new Uint8Array(32).fill(9));
  assertFirst(
    verify(whole.lines, [writeCheckpoint(nodeCipher, stranger, whole.head, 0)]),
    'checkpoint-other-key',
    null,
  );
  assertFirst(verify(whole.lines, [checkpoint.trimEnd()]), 'checkpoint-malformed', null);
  assertFirst(verify(whole.lines, ['']), 'checkpoint-malformed', null);
});

void test('property: every altered byte is found at its own entry', () => {
  const bytes = utf8(whole.text());
  const seqOf = (at: number): number => fromUtf8Count(bytes, at) + 1;
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, difference) => {
      const damaged = bytes.slice();
      damaged[at]! ^= difference;
      const result = verifyLedger(nodeCipher, damaged, [checkpoint], sampleSigner.publicKey);
      assert.equal(result.ok, false);
      assert.equal(result.findings[0]!.seq, seqOf(at), result.findings[0]!.sentence);
    }),
    { numRuns: 1000 },
  );
});

function fromUtf8Count(bytes: Uint8Array, before: number): number {
  let newlines = 0;
  for (let at = 0; at < before; at++) if (bytes[at] === 0x0a) newlines++;
  return newlines;
}

void test('property: removed and swapped lines are found at the first that is out of place', () => {
  fc.assert(
    fc.property(fc.nat(size - 1), fc.nat(size - 1), (one, two) => {
      assert.equal(verify(whole.lines.toSpliced(one, 1)).findings[0]!.seq, one + 1);
      if (one === two) return;
      const swapped = whole.lines.with(one, whole.lines[two]!).with(two, whole.lines[one]!);
      assertFirst(verify(swapped), 'reordered', Math.min(one, two) + 1);
    }),
    { numRuns: 300 },
  );
});

void test('findings never repeat what an entry holds', () => {
  const canary = 'CANARY-7731';
  for (const damaged of [
    edited(2, { kind: canary }),
    edited(2, { actor: { id: `${canary}\n`, role: 'x', signIn: 'x' } }),
    edited(6, { body: { [canary]: canary } }),
    whole.lines.with(2, canary),
  ])
    assert.doesNotMatch(canonicalJson(verify(damaged).findings.map((finding) => finding.sentence)), /CANARY/);
});

void test('the sample is text that survives decoding', () => {
  assert.equal(fromUtf8(utf8(whole.text())), whole.text());
});
