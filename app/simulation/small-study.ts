// A small valid study for simulations and tests: n institutions with keys from fixed seeds, any dimension, thresholds by
// the rule of design 3. Nothing here is random or secret; what a run draws comes from the Random that it brings.

import { toHex } from '../encoding/bytes.ts';
import { signerFromSeed } from '../encoding/signature.ts';
import type { Cipher, Signer } from '../ports.ts';
import { customaryQuorum } from '../sealed-sum/thresholds.ts';
import { sparseGraphFor } from '../sealed-sum/sparse-graph.ts';
import { studyParameters } from '../round/parameters.ts';
import type { StudyParameters } from '../round/parameters.ts';
import { contractSchema } from '../study/contract.ts';
import type { Contract } from '../study/contract.ts';

export type SmallStudy = {
  readonly cipher: Cipher;
  readonly contract: Contract;
  readonly parameters: StudyParameters;
  readonly identities: readonly Signer[];
  readonly lead: Signer;
  readonly coordinator: Signer;
};

const seeded = (cipher: Cipher, byte: number, index: number): Signer => {
  const seed = new Uint8Array(32).fill(byte);
  seed[0] = index & 0xff;
  seed[1] = index >> 8;
  return signerFromSeed(cipher, seed);
};

/** The key that follows the coordinator's where that is lost. */
export const successor = (cipher: Cipher): Signer => seeded(cipher, 0x5a, 0);

/** The relay of region `position` in a small study. */
export const relaySigner = (cipher: Cipher, position: number): Signer => seeded(cipher, 0x44, position);

/** Equal regions of neighbours, as the contract names them. */
export function smallRegions(
  cipher: Cipher,
  institutions: number,
  count: number,
  opening: 'root' | 'region' = 'root',
): NonNullable<Contract['regions']> {
  const size = Math.ceil(institutions / count);
  return {
    opening,
    relays: Array.from({ length: count }, (_, position) => ({
      name: `region-${position}`,
      operator: `Operator ${position}`,
      address: 'http://127.0.0.1:0',
      key: toHex(relaySigner(cipher, position).publicKey),
      certificateAuthority: null,
      members: Array.from({ length: institutions }, (_, index) => index).slice(position * size, (position + 1) * size),
      ...(opening === 'root' ? {} : { threshold: customaryQuorum(size) }),
    })),
  };
}

export type SmallStudyOptions = {
  readonly institutions: number;
  /** Features of the linear model; the dimension is one more. */
  readonly features?: number;
  /** On the sparsest graph that withstands so many colluders and losses; absent: on the complete one. */
  readonly sparse?: { readonly colluders: number; readonly losses: number };
  readonly change?: (contract: Contract) => Contract;
};

export function smallStudy(cipher: Cipher, options: SmallStudyOptions): SmallStudy {
  const n = options.institutions;
  const features = options.features ?? 4;
  const dimension = features + 1;
  const { sparse } = options;
  const threshold = n - (sparse?.losses ?? Math.floor(0.3 * n));
  const colluders = sparse?.colluders ?? Math.min(2 * threshold - n - 1, threshold - 2);
  const found = sparse === undefined ? null : sparseGraphFor({ institutions: n, least: threshold, colluders });
  if (sparse !== undefined && found === null) throw new RangeError('no sparse graph serves a study of this size');
  const identities = Array.from({ length: n }, (_, index) => seeded(cipher, 0x11, index));
  const lead = seeded(cipher, 0x22, 0);
  const coordinator = seeded(cipher, 0x33, 0);
  const clip = 1;
  const scale = 2 ** Math.ceil(Math.log2((64 * Math.sqrt(dimension)) / clip));
  const sensitivity = Math.ceil(scale * clip + Math.sqrt(dimension));
  const base: Contract = {
    format: 'consilience/contract/1',
    name: 'sample',
    title: 'A sample study',
    created: '2026-01-01T00:00:00.000Z',
    expires: '2036-01-01T00:00:00.000Z',
    purpose: 'To test the protocol.',
    lawfulBasis: 'None is needed: the records are made up.',
    references: { ethics: 'none', dpia: 'none' },
    retention: 'Nothing is kept.',
    lead: { organisation: 'Lead', identityKey: toHex(lead.publicKey) },
    coordinator: {
      operator: 'Operator',
      address: 'http://127.0.0.1:0',
      key: toHex(coordinator.publicKey),
      certificateAuthority: null,
    },
    roster: identities.map((identity, index) => ({
      name: `site-${index}`,
      organisation: `Site ${index}`,
      identityKey: toHex(identity.publicKey),
      nominalUnits: 100,
    })),
    task: {
      kind: 'tabular-classification',
      table: {
        format: 'csv',
        columnNames: null,
        missingTokens: [],
        features: Array.from({ length: features }, (_, index) => ({
          kind: 'number' as const,
          column: `x${index}`,
          least: -1,
          most: 1,
          outside: 'clamp' as const,
          whenMissing: { rule: 'drop-row' as const },
        })),
        label: { kind: 'binary', column: 'y', comparison: '>', value: 0 },
        personColumn: null,
      },
      model: { kind: 'linear', initialisation: { kind: 'zeros' } },
    },
    training: {
      mode: 'union',
      unit: 'record',
      samplingRate: 0.5,
      localSteps: 1,
      localLearningRate: null,
      clippingNorm: clip,
      weightDecay: 0,
      person: null,
      institutionsPerPerson: 1,
      microbatch: { units: 50, count: 2 },
      server: { kind: 'fedavg', learningRate: 0.5 },
      averageFromRound: null,
    },
    privacy: {
      noise: 'discrete-gaussian',
      noiseMultiplier: 2,
      delta: 1e-5,
      unitsUpperBound: 1000,
      deltaExemption: null,
      epsilon: 10,
    },
    sealing: {
      version: 'css1',
      suite: 1,
      graph: 'complete',
      ...(found === null ? {} : { sparseGraph: { kind: 'harary', ...found } }),
      cohortFloor: threshold,
      threshold,
      colluders,
      dimension,
      ringBits: 32,
      scale,
      updateScale: null,
      noiseVariance: Math.max(16, Math.ceil(((2 * sensitivity) ** 2 + 4) / (threshold - colluders))),
      openableBatches: [],
    },
    schedule: {
      rounds: 5,
      attempts: 8,
      stageSeconds: { ready: 5, shares: 5, masked: 5, consistency: 5, unmask: 5 },
      intervalSeconds: 0,
    },
  };
  const contract = contractSchema.parse(options.change === undefined ? base : options.change(base));
  return { cipher, contract, parameters: studyParameters(cipher, contract), identities, lead, coordinator };
}

/** A ring word that no sum of honest vectors comes near, with any of them added: 7/16 of the ring. */
export const beyond = ({ contract }: StudyParameters): number => 7 * 2 ** (contract.sealing.ringBits - 4);
