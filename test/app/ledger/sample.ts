// A small ledger from fixed keys and a fixed clock: what the golden files hold and what the other tests damage.

import { fromUtf8 } from '../../../app/encoding/bytes.ts';
import { signerFromSeed } from '../../../app/encoding/signature.ts';
import { appendEntry, emptyHead } from '../../../app/ledger/chain.ts';
import { writeCheckpoint } from '../../../app/ledger/checkpoint.ts';
import type { LedgerHead } from '../../../app/ledger/checkpoint.ts';
import { hostActor } from '../../../app/ledger/entry.ts';
import type { Actor, EntryBody, EntryKind } from '../../../app/ledger/entry.ts';
import { nodeCipher } from '../../../main/host/machine.ts';

export const sampleSigner = signerFromSeed(nodeCipher, new Uint8Array(32).fill(7));
export const sampleStart = Date.UTC(2026, 10, 23, 9, 30, 0, 125);
export const sampleStudy = 'ab'.repeat(32);
const steward: Actor = { id: 'steward@hospital-a', role: 'steward', signIn: 'operating-system' };
const charge = {
  mechanism: 'sealed-gaussian-sum',
  honestShares: 3,
  noiseVariance: 1024,
  sensitivity: 90.5,
  dimension: 14,
  samplingRate: 0.05,
  steps: 1,
  delta: 0.00001,
  unit: 'record',
  adjacency: 'add-or-remove',
  institutionsPerPerson: 1,
};

export class SampleLedger {
  lines: string[] = [];
  head: LedgerHead = emptyHead;

  add<Kind extends EntryKind>(kind: Kind, body: EntryBody<Kind>, actor: Actor = hostActor): void {
    const made = appendEntry(nodeCipher, this.head, sampleStart + 1000 * this.head.size, actor, kind, body);
    this.lines.push(fromUtf8(made.line));
    this.head = made.head;
  }

  text(): string {
    return this.lines.map((line) => `${line}\n`).join('');
  }

  checkpoint(): string {
    return writeCheckpoint(nodeCipher, sampleSigner, this.head, sampleStart + 1000 * this.head.size);
  }
}

/** Every strict kind, a few free ones, text outside ASCII, and a number in exponent form. */
export function sampleLedger(): SampleLedger {
  const ledger = new SampleLedger();
  ledger.add('start', { version: '0.1.0' });
  ledger.add('enrolled', { organisation: 'Krankenhaus „Süd“ | ward *7*' }, steward);
  ledger.add(
    'dataset-imported',
    { dataset: 'heart-a', digest: '01'.repeat(32), rows: '100-999', columns: ['age', 'sex'], lineage: '23'.repeat(32) },
    steward,
  );
  ledger.add(
    'consent-given',
    {
      study: sampleStudy,
      dataset: 'heart-a',
      purpose: 'Find who needs an angiography.\nNothing else.',
      lawfulBasis: 'public interest',
      references: { ethics: 'EC 2026/17', dpia: 'DPIA 9' },
      epsilon: 1.5,
      delta: 0.00001,
      unit: 'record',
      noise: 'discrete-gaussian',
      expires: '2027-01-01T00:00:00.000Z',
      lateJoiners: 0,
      consent: '45'.repeat(32),
    },
    steward,
  );
  ledger.add('round-stage-reached', { study: sampleStudy, round: 1, stage: 'ready', counter: 1 });
  ledger.add('budget-reserved', {
    study: sampleStudy,
    round: 1,
    dataset: 'heart-a',
    event: charge,
    outbox: '67'.repeat(32),
  });
  ledger.add('budget-settled', {
    study: sampleStudy,
    round: 1,
    reservedSeq: 6,
    event: { ...charge, honestShares: 4, tiny: 1e-21 },
    transcript: '89'.repeat(32),
  });
  ledger.add('round-closed', { study: sampleStudy, round: 1, sum: 'cd'.repeat(32) });
  ledger.add('consent-withdrawn', { study: sampleStudy, dataset: 'heart-a', reason: 'audit' }, steward);
  ledger.add('consent-expired', { study: sampleStudy, dataset: 'heart-a', expires: '2027-01-01T00:00:00.000Z' });
  ledger.add('clean-stop', {});
  return ledger;
}
