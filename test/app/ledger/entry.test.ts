// The frozen line format: the golden files, written once, must come out byte for byte, and nothing looser is accepted.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { utf8 } from '../../../app/encoding/bytes.ts';
import { decodeEntry, emptyHash, encodeEntry, entryKinds, ledgerTime, problemOf } from '../../../app/ledger/entry.ts';
import type { Entry } from '../../../app/ledger/entry.ts';
import { sampleLedger, sampleStudy } from './sample.ts';

const golden = (name: string): string => readFileSync(new URL(`../../vectors/${name}`, import.meta.url), 'utf8');

void test('the golden ledger and checkpoint come out byte for byte', () => {
  const ledger = sampleLedger();
  assert.equal(ledger.text(), golden('ledger.jsonl'));
  assert.equal(ledger.checkpoint(), golden('ledger-checkpoint.txt'));
});

void test('each line names the SHA-256 of the line before it, by node:crypto alone', () => {
  let previous = emptyHash;
  for (const line of golden('ledger.jsonl').trimEnd().split('\n')) {
    assert.equal((JSON.parse(line) as { previous: string }).previous, previous);
    previous = createHash('sha256').update(line).digest('hex');
  }
});

void test('lines decode to the entry they were made of', () => {
  for (const line of golden('ledger.jsonl').trimEnd().split('\n')) {
    const entry = decodeEntry(utf8(line));
    assert.deepEqual(encodeEntry(entry), utf8(line));
  }
});

void test('the kinds are those of the design, and frozen', () => {
  const frozen =
    'enrolled dataset-imported mapping-chosen contract-reviewed consent-given consent-withdrawn consent-expired ' +
    'policy-changed round-stage-reached budget-reserved budget-settled round-closed round-aborted model-pinned ' +
    'release-voted export-made exclusion-list-loaded settings-changed start clean-stop recovery device-replaced coordinator-key-changed';
  assert.equal(entryKinds.join(' '), frozen);
});

const good = {
  seq: 1,
  time: '2026-11-23T09:30:00.000Z',
  actor: { id: 'host', role: 'host', signIn: 'service' },
  kind: 'budget-reserved',
  body: { study: sampleStudy, round: 1, dataset: 'd', event: { mechanism: 'gaussian' }, outbox: 'ab'.repeat(32) },
  previous: emptyHash,
};

const wrong: readonly (readonly [string, object, RegExp])[] = [
  ['seq 0', { ...good, seq: 0 }, /"seq"/],
  ['a fractional seq', { ...good, seq: 1.5 }, /"seq"/],
  ['a time without milliseconds', { ...good, time: '2026-11-23T09:30:00Z' }, /"time"/],
  ['a day that does not exist', { ...good, time: '2026-02-30T09:30:00.000Z' }, /"time"/],
  ['an extra field', { ...good, note: 1 }, /does not belong/],
  ['an extra field of a strict body', { ...good, body: { ...good.body, rows: 3 } }, /"body".*does not belong/],
  ['an upper-case hash', { ...good, previous: 'AB'.repeat(32) }, /"previous"/],
  ['an event without mechanism', { ...good, body: { ...good.body, event: {} } }, /"body.event.mechanism"/],
  ['only an ε instead of an event', { ...good, body: { ...good.body, event: 1.5 } }, /"body.event"/],
  ['a body that is a list', { ...good, kind: 'start', body: [] }, /"body"/],
  ['an actor without sign-in', { ...good, actor: { id: 'a', role: 'b' } }, /"actor.signIn"/],
  ['a line break in an id', { ...good, actor: { ...good.actor, id: 'a\nb' } }, /"actor.id"/],
];

void test('whatever does not follow the schema is refused by field', () => {
  assert.equal(problemOf(good), null);
  for (const [name, value, sentence] of wrong) {
    assert.match(problemOf(value)?.sentence ?? 'accepted', sentence, name);
    assert.throws(() => encodeEntry(value as Entry), TypeError, name);
  }
  assert.equal(problemOf({ ...good, kind: 'budget-refunded' })?.code, 'unknown-kind');
});

void test('times are UTC with milliseconds, and impossible ones are refused', () => {
  assert.equal(ledgerTime(0), '1970-01-01T00:00:00.000Z');
  assert.throws(() => ledgerTime(Number.NaN), RangeError);
  assert.throws(() => ledgerTime(8.64e15), RangeError);
});
