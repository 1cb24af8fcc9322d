// A relay's round as a pure reducer: which members of its region it waits for, when it adds, and what it signs. It decides
// nothing about anybody's privacy: the root's lists and signatures pass it unread, masks cancel only over the whole roster,
// and what it adds is what its members signed, or its own region's members find it out. Design 3, "Trees".

import { toHex } from '../encoding/bytes.ts';
import { merkleRoot } from '../encoding/merkle.ts';
import { RefusalError } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import { chunkCount, chunkRange } from '../sealed-sum/masks.ts';
import { packWords, unpackWords } from '../sealed-sum/packing.ts';
import { addWords } from '../sealed-sum/unmask.ts';
import { vectorLeafHash } from '../sealed-sum/vector-root.ts';
import { checkCoordinatorSigned, checkMemberSignatures, sameMessage } from './checks.ts';
import { decodeBroadcast, decodeHead } from './lists.ts';
import { relaySender, signMessage } from './messages.ts';
import type { Message } from './messages.ts';
import { contextOf, wordBits } from './parameters.ts';
import type { Region, StudyParameters } from './parameters.ts';

export type RelayRound = {
  readonly round: number;
  readonly region: Region;
  readonly u1: string;
  readonly u2: string;
  /** Members of the region in U2, ascending. */
  readonly sharers: readonly number[];
  readonly masked: ReadonlyMap<number, { readonly message: Message<2>; readonly complete: boolean }>;
  /** Members that left the round with a complaint. */
  readonly gone: ReadonlySet<number>;
  /** When the relay adds what it has, ms: early enough for the sum to arrive before the root's own deadline. */
  readonly deadline: number;
};

/** The relay waits this part of the stage's time for its members; the rest is for its own upload. */
const waitingPart = 0.6;

/**
 * @param lists the root's broadcasts that ended stages 0 and 1, as they came
 * @throws RefusalError `coordinator-signature`, `list-order`, `list-signature`, `u1-differs`; InputError for malformed bytes.
 */
export function openRelayRound(
  cipher: Cipher,
  parameters: StudyParameters,
  region: Region,
  round: number,
  lists: { readonly cohort: Uint8Array; readonly sharers: Uint8Array },
  now: number,
): RelayRound {
  const first = decodeHead(lists.cohort, 128);
  checkCoordinatorSigned(cipher, parameters, round, first);
  const own = { u1: first.body.u1, u1Signature: first.signature };
  const second = decodeBroadcast(lists.sharers, 129, 1, own);
  checkCoordinatorSigned(cipher, parameters, round, second.head);
  if (second.head.body.u1 !== first.body.u1)
    throw new RefusalError('u1-differs', 'The coordinator’s second list belongs to another first list.');
  const sharers = second.members.map((member) => member.sender).filter((index) => region.members.includes(index));
  const seconds = parameters.contract.schedule.stageSeconds.masked;
  return {
    round,
    region,
    u1: first.body.u1,
    u2: second.head.body.u2,
    sharers,
    masked: new Map(),
    gone: new Set(),
    deadline: now + 1000 * seconds * waitingPart,
  };
}

/** @returns the next state; the same object where nothing changed. @throws RefusalError. */
export function relayMasked(
  cipher: Cipher,
  parameters: StudyParameters,
  state: RelayRound,
  message: Message<2>,
): RelayRound {
  const held = state.masked.get(message.sender);
  if (held !== undefined) {
    if (sameMessage(held.message, message)) return state;
    throw new RefusalError('already-signed', 'Another sealed contribution of this institution came before.');
  }
  if (message.round !== state.round || !state.sharers.includes(message.sender))
    throw new RefusalError('sets-not-nested', 'This institution is not in the second list of this round.');
  if (message.body.u1 !== state.u1 || message.body.u2 !== state.u2)
    throw new RefusalError('u2-differs', 'The sealed contribution was made for other lists than were sent.');
  checkMemberSignatures(cipher, parameters, state.round, [message]);
  return { ...state, masked: new Map([...state.masked, [message.sender, { message, complete: false }]]) };
}

/** All chunks of that member are there and give its signed root. */
export function relayUploaded(state: RelayRound, sender: number): RelayRound {
  const held = state.masked.get(sender);
  if (held === undefined) throw new RefusalError('not-announced', 'Chunks came before the signed root they belong to.');
  return held.complete
    ? state
    : { ...state, masked: new Map([...state.masked, [sender, { ...held, complete: true }]]) };
}

export const relayComplained = (state: RelayRound, sender: number): RelayRound => ({
  ...state,
  gone: new Set([...state.gone, sender]),
});

/** Members whose vectors are added, once nobody else is waited for; null before. May be empty: then nothing is sent. */
export function membersToAdd(state: RelayRound, now: number): readonly number[] | null {
  const complete = state.sharers.filter((index) => state.masked.get(index)?.complete === true);
  const awaited = state.sharers.some((index) => !complete.includes(index) && !state.gone.has(index));
  return awaited && now < state.deadline ? null : complete;
}

/**
 * Adds the region's vectors chunk by chunk, mod 2^32, two chunks in memory, and signs.
 * @param members of membersToAdd; the caller stores the message BEFORE it is sent and never signs another for the round
 */
export async function addRegion(
  around: { readonly cipher: Cipher; readonly parameters: StudyParameters; readonly signer: Signer },
  state: RelayRound,
  members: readonly number[],
  read: (index: number, chunk: number) => Promise<Uint8Array>,
  write: (chunk: number, bytes: Uint8Array) => Promise<void>,
): Promise<Message<64>> {
  const { cipher, parameters, signer } = around;
  const context = contextOf(parameters, state.round);
  const bits = wordBits(parameters);
  const sender = relaySender(state.region.position);
  const leaves: Uint8Array[] = [];
  for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
    const { from, to } = chunkRange(parameters.dimension, chunk);
    const sum = new Uint32Array(to - from);
    for (const index of members) addWords(sum, unpackWords(await read(index, chunk), bits));
    const bytes = packWords(sum, bits);
    leaves.push(vectorLeafHash(cipher, context, sender, chunk, bytes));
    await write(chunk, bytes);
  }
  const body = {
    u1: state.u1,
    u2: state.u2,
    members: members.map((index) => ({ index, root: state.masked.get(index)!.message.body.root })),
    sum: toHex(merkleRoot(cipher, leaves)),
  };
  return signMessage(cipher, signer, context, 64, sender, body);
}
