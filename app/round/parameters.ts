// What a round needs to know of the signed contract, worked out once: keys as bytes, thresholds, sizes, hashes. Nothing
// in here ever comes from the coordinator at run time (design 3, first section).

import { fromHex, toHex, utf8 } from '../encoding/bytes.ts';
import { canonicalBytes, canonicalJson } from '../encoding/canonical-json.ts';
import { RefusalError, requireInteger } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import type { RoundContext } from '../sealed-sum/context.ts';
import type { SparseGraph } from '../sealed-sum/sparse-graph.ts';
import type { Contract } from '../study/contract.ts';
import { checkKeyChange } from '../study/coordinator-key.ts';
import type { KeyChange, SignedKeyChange } from '../study/coordinator-key.ts';
import { selectionOf } from '../study/selection.ts';
import { roundTerms } from './adaptation.ts';
import type { Adaptation } from './adaptation.ts';

export type Region = {
  readonly position: number;
  readonly name: string;
  /** Its relay's key. */
  readonly key: Uint8Array;
  /** Roster positions, ascending. */
  readonly members: readonly number[];
  /** t_r where regions open their own sums; else null. */
  readonly threshold: number | null;
};

export type StudyParameters = {
  readonly contract: Contract;
  /** SHA-256 of the canonical contract: the study's identity. */
  readonly study: Uint8Array;
  /** The contract's; coordinatorKeyAt gives that of a round. */
  readonly coordinatorKey: Uint8Array;
  /** Accepted changes of it, oldest first. The one thing here that grows during a study (acceptKeyChange). */
  readonly keyChanges: readonly KeyChange[];
  /** Identity keys by roster position. */
  readonly identityKeys: readonly Uint8Array[];
  readonly threshold: number;
  readonly colluders: number;
  /** max(cohort floor, t): the least size of U1, U2 and U3. */
  readonly least: number;
  readonly dimension: number;
  /** Empty: institutions send to the coordinator itself. */
  readonly regions: readonly Region[];
  /** Masks and shares stay within a region, and what opens is each region's sum. */
  readonly opensRegions: boolean;
  /** Degree and share threshold of the sparse graph; null: the graph is always complete. */
  readonly sparse: SparseGraph | null;
  /** Roster positions asked in a round; null: all, always. */
  readonly selected: ((round: number) => readonly number[]) | null;
};

export function studyParameters(cipher: Cipher, contract: Contract): StudyParameters {
  const study = cipher.sha256(canonicalBytes(contract));
  return {
    contract,
    study,
    coordinatorKey: fromHex(contract.coordinator.key, 32),
    keyChanges: [],
    identityKeys: contract.roster.map((entry) => fromHex(entry.identityKey, 32)),
    threshold: contract.sealing.threshold,
    colluders: contract.sealing.colluders,
    least: Math.max(contract.sealing.cohortFloor, contract.sealing.threshold),
    dimension: contract.sealing.dimension,
    regions: regionsOf(contract),
    opensRegions: contract.regions?.opening === 'region',
    sparse: contract.sealing.sparseGraph ?? null,
    selected: selectionOf(cipher, contract, study),
  };
}

/** @throws RefusalError `regions-overlap`, `region-threshold-missing`. */
function regionsOf({ regions, roster }: Contract): Region[] {
  if (regions === undefined) return [];
  const opens = regions.opening === 'region';
  if (opens && regions.relays.some(({ threshold }) => threshold === undefined))
    throw new RefusalError(
      'region-threshold-missing',
      'The study terms let regions open their own sums, but do not say how many members that takes in each of them.',
    );
  const members = regions.relays.flatMap((relay) => relay.members).sort((left, right) => left - right);
  const ascending = regions.relays.every((relay) =>
    relay.members.every((one, at, all) => at === 0 || one > all[at - 1]!),
  );
  if (!ascending || members.length !== roster.length || members.some((index, at) => index !== at))
    throw new RefusalError(
      'regions-overlap',
      'The study terms must put each institution into exactly one region, each region’s members in ascending order.',
    );
  return regions.relays.map(({ name, key, members: own, threshold }, position) => ({
    position,
    name,
    key: fromHex(key, 32),
    members: own,
    threshold: opens ? threshold! : null,
  }));
}

/** Bits in which a word of a vector travels. */
export function wordBits({ contract: { sealing } }: StudyParameters): number {
  return sealing.packing === 'ring' ? sealing.ringBits : 32;
}

export function contextOf(parameters: StudyParameters, round: number): RoundContext {
  return { study: parameters.study, round };
}

/**
 * H(config) of a round: z, C, s, v, q, steps, sizes and deadlines, all from the contract and, where it adapts them, from
 * the sums so far. 32 bytes.
 * @param adaptation absent before the first sum
 */
export function configHash(
  cipher: Cipher,
  parameters: StudyParameters,
  round: number,
  adaptation: Adaptation | null = null,
): Uint8Array {
  requireInteger('round', round, 1, 0xffff_ffff);
  const { training, sealing, privacy, schedule } = roundTerms(parameters.contract, adaptation);
  const config = { round, training, sealing, noise: privacy.noise, noiseMultiplier: privacy.noiseMultiplier, schedule };
  return cipher.sha256(utf8('consilience/round-config/1\0'), canonicalBytes(config));
}

/** Whether institution `index` is asked in a round. */
export const isAsked = ({ selected }: StudyParameters, round: number, index: number): boolean =>
  selected === null || selected(round).includes(index);

export function identityKeyOf(parameters: StudyParameters, index: number): Uint8Array {
  const key = parameters.identityKeys[index];
  if (key === undefined)
    throw new RefusalError('unknown-key', `The list names institution ${index}, which is not in the signed roster.`);
  return key;
}

export function nameOf(parameters: StudyParameters, index: number): string {
  return parameters.contract.roster[index]?.name ?? `institution ${index}`;
}

/** The key that signs the coordinator's lists of that round. */
export function coordinatorKeyAt({ coordinatorKey, keyChanges }: StudyParameters, round: number): Uint8Array {
  const change = keyChanges.findLast(({ fromRound }) => round >= fromRound);
  return change === undefined ? coordinatorKey : fromHex(change.next, 32);
}

/**
 * Takes up a change of the coordinator's key, from its round on. The same one again changes nothing.
 * @returns whether it was new. @throws RefusalError as checkKeyChange.
 */
export function acceptKeyChange(cipher: Cipher, parameters: StudyParameters, signed: SignedKeyChange): boolean {
  const { contract, study, keyChanges } = parameters;
  const text = canonicalJson(signed.change);
  if (keyChanges.some((known) => canonicalJson(known) === text)) return false;
  (keyChanges as KeyChange[]).push(checkKeyChange(cipher, contract, toHex(study), keyChanges, signed));
  return true;
}
