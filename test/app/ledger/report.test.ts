// The report: a settlement is believed only for a reservation of its own study and round, and numbers are said whole.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '../../../app/encoding/bytes.ts';
import { readCheckpoint } from '../../../app/ledger/checkpoint.ts';
import { decodeEntry } from '../../../app/ledger/entry.ts';
import { writeReport } from '../../../app/ledger/report.ts';
import { describeEvent, quoted } from '../../../app/ledger/sentences.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { SampleLedger, sampleLedger, sampleStudy } from './sample.ts';

function reportOf(ledger: SampleLedger): string {
  const entries = ledger.lines.map((line) => decodeEntry(utf8(line)));
  return writeReport(entries, readCheckpoint(nodeCipher, ledger.checkpoint()), []);
}

void test('a settlement of another round leaves the worst case charged', () => {
  assert.match(reportOf(sampleLedger()), /\| 1 \| settled by \[entry 7\]/);
  const ledger = new SampleLedger();
  const event = { mechanism: 'gaussian' };
  const outbox = '67'.repeat(32);
  ledger.add('budget-reserved', { study: sampleStudy, round: 1, dataset: 'd', event, outbox });
  ledger.add('budget-settled', { study: sampleStudy, round: 2, reservedSeq: 1, event, transcript: outbox });
  ledger.add('budget-settled', { study: outbox, round: 1, reservedSeq: 1, event, transcript: outbox });
  const report = reportOf(ledger);
  assert.match(report, /worst case stays charged/);
  assert.doesNotMatch(report, /settled by/);
});

void test('events are said whole, also composed ones', () => {
  const event = { mechanism: 'composed', parts: [{ mechanism: 'gaussian', steps: 2 }], delta: 0.5 };
  assert.equal(describeEvent(event), 'composed (parts [{"mechanism":"gaussian","steps":2}], delta 0.5)');
});

void test('text of others is one line and shortened', () => {
  assert.equal(quoted('a\n\u0007b'), '“a b”');
  assert.equal(quoted('x'.repeat(130)).length, 122);
});
