// Regions: what the root and the participants require of a relay's signed sum, and when a sum counts as checked by every
// region. Who is outside a region never sees its vectors, so each region's own members say whether their relay added
// rightly: c + 1 of them, of whom one is honest, or all that are in the sum. Design 3, "Trees".

import { toHex } from '../encoding/bytes.ts';
import { merkleRoot } from '../encoding/merkle.ts';
import { InputError, RefusalError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { chunkCount, chunkRange, createMasks } from '../sealed-sum/masks.ts';
import type { SignedKey } from '../sealed-sum/masks.ts';
import { packedLength, unpackWords } from '../sealed-sum/packing.ts';
import { addWords, reduceWords } from '../sealed-sum/unmask.ts';
import { vectorLeafHash } from '../sealed-sum/vector-root.ts';
import type { Contract } from '../study/contract.ts';
import { checkAscending, checkCloserSigned, checkMemberSignatures } from './checks.ts';
import type { Broadcast } from './lists.ts';
import { isSignedBy, messageFrom, expectStage, relaySender } from './messages.ts';
import type { Message } from './messages.ts';
import { parseCanonical } from '../encoding/canonical-json.ts';
import { contextOf, wordBits } from './parameters.ts';
import type { Region, StudyParameters } from './parameters.ts';
import type { RoundState } from './participant-state.ts';
import { refuse } from './refuse.ts';
import { sumHash } from './result.ts';

/** The region of that sender, where it is a relay of this study. */
export function relayRegion(parameters: StudyParameters, sender: number): Region | null {
  return parameters.regions.find((region) => relaySender(region.position) === sender) ?? null;
}

/** The region of roster position `index`; null where the study has none. */
export function regionOf(parameters: StudyParameters, index: number): Region | null {
  return parameters.regions.find((region) => region.members.includes(index)) ?? null;
}

/** The key whose requests `sender` signs: an institution's or a relay's; null for a stranger. */
export function senderKey(parameters: StudyParameters, sender: number): Uint8Array | null {
  return parameters.identityKeys[sender] ?? relayRegion(parameters, sender)?.key ?? null;
}

/** Where institution `index` dials, and under which certificate authority: its region's relay, or the coordinator. */
export function dialledAt(
  { regions, coordinator }: Contract,
  index: number,
): { readonly address: string; readonly certificateAuthority: string | null } {
  return regions?.relays.find(({ members }) => members.includes(index)) ?? coordinator;
}

/** @throws RefusalError `relay-unknown`, `relay-signature`, `list-order`, `region-foreign-member`. */
export function checkRegionSum(
  cipher: Cipher,
  parameters: StudyParameters,
  round: number,
  message: Message<64>,
): Region {
  const region = relayRegion(parameters, message.sender);
  if (region === null) throw refuse('relay-unknown', 'A sum of a region comes from no relay of the study terms.');
  if (!isSignedBy(cipher, contextOf(parameters, round), message, region.key))
    throw refuse('relay-signature', `The sum of region ${region.name} is not signed by its relay.`);
  checkAscending(message.body.members.map(({ index }) => ({ sender: index })));
  if (message.body.members.some(({ index }) => !region.members.includes(index)))
    throw refuse('region-foreign-member', `The sum of region ${region.name} names an institution of another region.`);
  return region;
}

/** How many of a region's members in the sum must say that they added it up themselves. */
export const vouchersNeeded = (parameters: StudyParameters, inSum: number): number =>
  Math.min(parameters.colluders + 1, inSum);

/**
 * Per region that is in the sum: whether enough of its members agree, and whether enough still could.
 * @param survivors U3
 */
export function vouched(
  parameters: StudyParameters,
  survivors: readonly number[],
  vouches: Iterable<Message<6>>,
): { readonly enough: boolean; readonly hopeless: boolean } {
  const agreeing = new Set<number>();
  const against = new Set<number>();
  for (const { sender, body } of vouches) (body.agrees ? agreeing : against).add(sender);
  let enough = true;
  let hopeless = false;
  for (const region of parameters.regions) {
    const members = survivors.filter((index) => region.members.includes(index));
    const needed = vouchersNeeded(parameters, members.length);
    if (members.filter((index) => agreeing.has(index)).length < needed) enough = false;
    if (members.filter((index) => !against.has(index)).length < needed) hopeless = true;
  }
  return { enough, hopeless };
}

/**
 * That every region vouches for `sum`, as a participant reads it from the list that closes the round.
 * @throws RefusalError `coordinator-signature`, `list-order`, `list-signature`, `vouch-differs`, `region-not-vouched`.
 */
export function checkVouches(
  cipher: Cipher,
  parameters: StudyParameters,
  state: RoundState & Required<Pick<RoundState, 'u3'>>,
  sum: string,
  list: Broadcast<134, 6>,
): void {
  checkCloserSigned(cipher, parameters, state.round, list.head);
  checkAscending(list.members);
  const { statement } = state.u3;
  if (
    [list.head, ...list.members].some(({ body }) => body.statement !== statement || body.sum !== sum) ||
    list.members.some(({ body }) => !body.agrees)
  )
    throw refuse('vouch-differs', 'Institutions vouch for another sum than the one that was shown here.');
  checkMemberSignatures(cipher, parameters, state.round, list.members);
  const survivors = state.u3.members.map((member) => member.index);
  if (!vouched(parameters, survivors, list.members).enough)
    throw refuse('region-not-vouched', 'Too few institutions of a region vouch for what their relay added.');
}

export type RegionSource = {
  /** The signed sums of all regions that are in the sum. */
  regionSums(): Promise<readonly Message<64>[]>;
  /** A chunk of a member of the participant's own region, as its relay shows it. */
  masked(index: number, chunk: number): Promise<Uint8Array>;
  /** A chunk of a region's sum, and words of the opened one, as the coordinator shows them. */
  regionSum(position: number, chunk: number): Promise<Uint8Array>;
  sum(chunk: number): Promise<Uint32Array>;
};

/**
 * Adds up the participant's own region from its members' signed vectors, and the whole from the regions' signed sums;
 * one chunk in memory beside the sum.
 * @param masks what is left to take away (result.ts#checkResult)
 * @returns the sum, d ring words.
 * @throws RefusalError `region-sum-differs` (this region's relay added wrongly, under its signature), `vector-off-root`,
 * `regions-incomplete`, `region-chunk-off-root`, `sum-differs`, `sum-off-hash`, and what checkRegionSum refuses.
 */
export async function readdRegions(
  cipher: Cipher,
  parameters: StudyParameters,
  state: RoundState & Required<Pick<RoundState, 'u1' | 'u2' | 'u3'>>,
  result: Message<132>,
  masks: readonly SignedKey[],
  source: RegionSource,
): Promise<Uint32Array> {
  const context = contextOf(parameters, state.round);
  const sums = await source.regionSums();
  const regions = sums.map((message) => checkRegionSum(cipher, parameters, state.round, message));
  checkRegionsOf(parameters, state, sums, regions);
  const own = regionOf(parameters, state.index);
  const ownMembers = state.u3.members.filter(({ index }) => own?.members.includes(index));
  const leaves = ownMembers.map((): Uint8Array[] => []);
  const regionLeaves = sums.map((): Uint8Array[] => []);
  const remaining = createMasks(cipher);
  const bits = wordBits(parameters);
  const total = new Uint32Array(parameters.dimension);
  const chunks: Uint32Array[] = [];
  let ownDiffers = false;
  for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
    const { from, to } = chunkRange(parameters.dimension, chunk);
    const words = total.subarray(from, to);
    const added = new Uint32Array(words.length);
    for (const [at, { index }] of ownMembers.entries()) {
      const bytes = sized(await source.masked(index, chunk), words.length, bits);
      leaves[at]!.push(vectorLeafHash(cipher, context, index, chunk, bytes));
      addWords(added, unpackWords(bytes, bits));
    }
    reduceWords(added, bits);
    for (const [at, region] of regions.entries()) {
      const bytes = sized(await source.regionSum(region.position, chunk), words.length, bits);
      regionLeaves[at]!.push(vectorLeafHash(cipher, context, relaySender(region.position), chunk, bytes));
      const shown = unpackWords(bytes, bits);
      if (region === own) ownDiffers ||= shown.some((word, place) => word !== added[place]);
      addWords(words, shown);
    }
    remaining.applyAll(words, chunk, masks);
    reduceWords(words, bits);
    chunks.push(words);
  }
  for (const [at, region] of regions.entries())
    if (toHex(merkleRoot(cipher, regionLeaves[at]!)) !== sums[at]!.body.sum)
      throw refuse(
        'region-chunk-off-root',
        `The coordinator shows a sum of region ${region.name} that its relay never signed.`,
      );
  for (const [at, { index, root }] of ownMembers.entries())
    if (toHex(merkleRoot(cipher, leaves[at]!)) !== root)
      throw refuse(
        'vector-off-root',
        `The relay shows a sealed contribution of ${parameters.contract.roster[index]!.name} that it never signed.`,
      );
  if (ownDiffers)
    throw refuse(
      'region-sum-differs',
      `The relay of region ${own!.name} signed a sum that is not the sum of its members’ contributions.`,
    );
  await requireShown(cipher, parameters, state, result, chunks, (chunk) => source.sum(chunk));
  return total;
}

function checkRegionsOf(
  parameters: StudyParameters,
  state: RoundState & Required<Pick<RoundState, 'u1' | 'u2' | 'u3'>>,
  sums: readonly Message<64>[],
  regions: readonly Region[],
): void {
  const wanted = parameters.regions.filter(({ members }) =>
    state.u3.members.some(({ index }) => members.includes(index)),
  );
  if (regions.map(({ position }) => position).join() !== wanted.map(({ position }) => position).join())
    throw refuse(
      'regions-incomplete',
      'The coordinator does not show one signed sum for each region that is in the sum.',
    );
  for (const [at, { members }] of wanted.entries()) {
    const { u1, u2, members: added } = sums[at]!.body;
    const inSum = state.u3.members.filter(({ index }) => members.includes(index));
    const same =
      u1 === state.u1.hash &&
      u2 === state.u2.hash &&
      added.length === inSum.length &&
      added.every(({ index, root }, place) => index === inSum[place]!.index && root === inSum[place]!.root);
    if (!same)
      throw refuse(
        'regions-incomplete',
        `The relay of region ${wanted[at]!.name} added other contributions than are in the sum.`,
      );
  }
}

/**
 * The opened sum once this participant has vouched for its hash: its chunks alone are read again.
 * @returns the sum, d ring words. @throws RefusalError `sum-off-hash`.
 */
export async function sumVouchedFor(
  cipher: Cipher,
  parameters: StudyParameters,
  state: RoundState & Required<Pick<RoundState, 'u3'>>,
  sum: string,
  read: (chunk: number) => Promise<Uint32Array>,
): Promise<Uint32Array> {
  const words = new Uint32Array(parameters.dimension);
  const chunks: Uint32Array[] = [];
  for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
    const { from, to } = chunkRange(parameters.dimension, chunk);
    const shown = await read(chunk);
    if (shown.length !== to - from) throw refuse('sum-off-hash', 'The coordinator shows a sum of the wrong length.');
    words.set(shown, from);
    chunks.push(words.subarray(from, to));
  }
  const survivors = state.u3.members.map((member) => member.index);
  if (toHex(sumHash(cipher, parameters, state.round, survivors, chunks)) !== sum)
    throw refuse('sum-off-hash', 'The coordinator now shows another sum than the one that this institution checked.');
  return words;
}

async function requireShown(
  cipher: Cipher,
  parameters: StudyParameters,
  state: RoundState & Required<Pick<RoundState, 'u3'>>,
  result: Message<132>,
  chunks: readonly Uint32Array[],
  sum: (chunk: number) => Promise<Uint32Array>,
): Promise<void> {
  for (const [chunk, words] of chunks.entries()) {
    const shown = await sum(chunk);
    if (shown.length !== words.length || words.some((word, at) => word !== shown[at]))
      throw refuse('sum-differs', 'The coordinator’s sum is not the sum of the regions’ sums.');
  }
  const survivors = state.u3.members.map((member) => member.index);
  if (toHex(sumHash(cipher, parameters, state.round, survivors, chunks)) !== result.body.sum)
    throw refuse('sum-off-hash', 'The coordinator signed another sum than it shows.');
}

function sized(bytes: Uint8Array, words: number, bits: number): Uint8Array {
  if (bytes.length !== packedLength(words, bits))
    throw refuse('vector-off-root', 'A vector that was shown has the wrong length.');
  return bytes;
}

/** The regions' signed sums on the wire: a JSON list. @throws InputError `message-malformed`, `not-canonical`, `wrong-stage`. */
export function decodeRegionSums(bytes: Uint8Array): Message<64>[] {
  const list = parseCanonical(bytes);
  if (!Array.isArray(list) || list.length > 50)
    throw new InputError('message-malformed', 'The list of the regions’ sums is malformed.');
  return list.map((value: unknown) => expectStage(messageFrom(value), 64));
}

/** Whether an error says that what a relay or the coordinator showed is wrong, so that this participant cannot vouch. */
export const isAgainstRelay = (error: unknown): error is RefusalError =>
  error instanceof RefusalError && error.code === 'region-sum-differs';
