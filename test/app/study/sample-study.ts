// A small study with fixed keys (seeds 1, 2, 3 …) that passes its check, for tests of contract, check and command line.

import { signerFromSeed } from '../../../app/encoding/signature.ts';
import { toHex } from '../../../app/encoding/bytes.ts';
import type { Signer } from '../../../app/ports.ts';
import type { Contract, ContractDraft } from '../../../app/study/contract.ts';
import { nodeCipher } from '../../../main/host/machine.ts';

/** Seed `which` repeated 32 times: 1 the lead, 2 the coordinator, 10 + i institution i. */
export function sampleSigner(which: number): Signer {
  return signerFromSeed(nodeCipher, new Uint8Array(32).fill(which));
}

export const sampleKey = (which: number): string => toHex(sampleSigner(which).publicKey);

export const sampleNow = Date.parse('2026-12-01T00:00:00.000Z');

export function sampleContract(institutions = 6): Contract {
  return {
    format: 'consilience/contract/1',
    name: 'sample-study',
    title: 'Readmission within thirty days',
    created: '2026-11-23T09:00:00.000Z',
    expires: '2027-11-23T09:00:00.000Z',
    purpose: 'To predict readmission within thirty days from what is known at discharge.',
    lawfulBasis: 'Public interest in the area of public health.',
    references: { ethics: 'REC 26/0117', dpia: 'DPIA-2026-41' },
    retention: 'The model for ten years; nothing else leaves the institutions.',
    lead: { organisation: 'Institute of Methods', identityKey: sampleKey(1) },
    coordinator: {
      operator: 'Relay Services',
      address: 'https://relay.example.org:8443',
      key: sampleKey(2),
      certificateAuthority: null,
    },
    roster: Array.from({ length: institutions }, (_, index) => ({
      name: `hospital-${index + 1}`,
      organisation: `Hospital number ${index + 1}`,
      identityKey: sampleKey(10 + index),
      nominalUnits: 1000,
    })),
    task: {
      kind: 'tabular-classification',
      table: {
        format: 'csv',
        columnNames: null,
        missingTokens: ['?'],
        features: [
          { kind: 'number', column: 'age', least: 0, most: 120, outside: 'clamp', whenMissing: { rule: 'refuse' } },
          {
            kind: 'category',
            column: 'ward',
            categories: ['1', '2', '3'],
            encoding: 'one-hot',
            unknown: 'other',
            whenMissing: { rule: 'value', value: '1' },
          },
        ],
        label: { kind: 'binary', column: 'readmitted', comparison: '=', value: 1 },
        personColumn: null,
      },
      model: { kind: 'linear', initialisation: { kind: 'zeros' } },
    },
    training: {
      mode: 'union',
      unit: 'record',
      samplingRate: 0.1,
      localSteps: 1,
      localLearningRate: null,
      clippingNorm: 1,
      weightDecay: 0,
      person: null,
      institutionsPerPerson: 1,
      microbatch: { units: 32, count: 7 },
      server: { kind: 'fedavg', learningRate: 1 },
      averageFromRound: null,
    },
    privacy: {
      noise: 'discrete-gaussian',
      noiseMultiplier: 1,
      delta: 1e-6,
      unitsUpperBound: 10_000,
      deltaExemption: null,
      epsilon: 7,
    },
    sealing: {
      version: 'css1',
      suite: 1,
      graph: 'complete',
      cohortFloor: 5,
      threshold: 5,
      colluders: 1,
      dimension: sampleDimension,
      ringBits: 32,
      scale: 1024,
      updateScale: null,
      noiseVariance: 263_684,
      openableBatches: [],
    },
    schedule: {
      rounds: 30,
      attempts: 40,
      stageSeconds: { ready: 600, shares: 600, masked: 3600, consistency: 600, unmask: 600 },
      intervalSeconds: 60,
    },
  };
}

/** age, three wards and "other", and the intercept. */
export const sampleDimension = 6;

type Deep<T> = T extends readonly unknown[] ? T : T extends object ? { readonly [K in keyof T]?: Deep<T[K]> } : T;

/** The contract with some members replaced, however deep; lists are replaced whole. */
export function changed<C extends ContractDraft>(contract: C, changes: Deep<ContractDraft>): C {
  return merged(contract, changes) as C;
}

function merged(base: unknown, changes: unknown): unknown {
  const isPlain = (value: unknown): value is Record<string, unknown> =>
    value !== null && typeof value === 'object' && !Array.isArray(value);
  if (!isPlain(base) || !isPlain(changes)) return changes;
  const out: Record<string, unknown> = { ...base };
  // A member that tells variants apart replaces the whole variant.
  if ('kind' in changes && changes['kind'] !== base['kind']) return changes;
  for (const [name, value] of Object.entries(changes)) out[name] = merged(base[name], value);
  return out;
}
