// One participant's round as pure steps: what came in and what is remembered give what is signed next. The caller puts
// the returned state on disk BEFORE it sends the returned bytes, and re-sends the stored bytes after a crash; no step
// can be taken twice. Stages R0–R4 of design 3.

import { fromHex, toHex } from '../encoding/bytes.ts';
import { merkleRoot, pathLeadsTo } from '../encoding/merkle.ts';
import { InvariantError, RefusalError, requireInteger } from '../errors.ts';
import type { Machine, Signer } from '../ports.ts';
import { decodeDelivery, encodeBundle } from '../sealed-sum/box-frames.ts';
import type { DeliveryEntry } from '../sealed-sum/box-frames.ts';
import { boxLeafHash, boxRoot, openBox, sealBox } from '../sealed-sum/boxes.ts';
import { nonceCommitment, ringHash } from '../sealed-sum/harary-ring.ts';
import { newKeyPair, pairMaskKey, selfMaskKey, selfSeedCommitment } from '../sealed-sum/keys.ts';
import { chunkCount, chunkRange, createMasks, ownMasks } from '../sealed-sum/masks.ts';
import type { SignedKey } from '../sealed-sum/masks.ts';
import { packWords } from '../sealed-sum/packing.ts';
import { drawSecret, splitSecret } from '../sealed-sum/shamir.ts';
import { vectorLeafHash } from '../sealed-sum/vector-root.ts';
import {
  checkCohort,
  checkMemberSignatures,
  checkReveals,
  checkSharers,
  checkSurvivors,
  checkTranscript,
} from './checks.ts';
import { checkComplaint } from './complaints.ts';
import { redrawsOf, roundGraph, usesSparseGraph } from './graph.ts';
import type { Broadcast } from './lists.ts';
import { signMessage } from './messages.ts';
import type { Message } from './messages.ts';
import { configHash, contextOf, isAsked, nameOf, wordBits } from './parameters.ts';
import type { StudyParameters } from './parameters.ts';
import { wipeRound } from './participant-state.ts';
import type { ReceivedShares, RoundStage, RoundState, StudyMemory } from './participant-state.ts';
import { refuse } from './refuse.ts';

export type Participant = {
  readonly machine: Machine;
  readonly parameters: StudyParameters;
  readonly index: number;
  readonly identity: Signer;
};

type Step = { readonly state: RoundState };

/** The bytes of secrets that are not needed any more; their hex text in the state lives until the round is wiped. */
function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}

/**
 * R0. `round` must exceed every round this participant signed for, by at most `attempts` and one for each second since
 * then: whoever was away while rounds came to nothing for days can return, and a coordinator cannot use up the numbers at
 * once. `head` is the keyed head of its ledger. The round before must be wiped.
 * @throws RefusalError `old-round`, `round-too-far`, `round-not-wiped`, `not-asked`.
 */
export function signReady(
  participant: Participant,
  memory: StudyMemory,
  previous: RoundState | null,
  round: number,
  head: Uint8Array,
): Step & { readonly memory: StudyMemory } {
  const { machine, parameters, index, identity } = participant;
  checkNewRound(participant, memory, previous, round);
  if (!isAsked(parameters, round, index))
    throw refuse('not-asked', `It is not the turn of this institution in round ${round}.`);
  const boxes = newKeyPair(machine.random, machine.cipher);
  const masks = newKeyPair(machine.random, machine.cipher);
  const nonce = machine.random.bytes(32);
  const body = {
    ...readyCommon(participant, memory, round, head),
    keys: {
      boxes: toHex(boxes.publicKey),
      masks: toHex(masks.publicKey),
      // On the complete graph nothing is ever revealed of this nonce; a sparse one reveals it in R0b.
      nonce: toHex(nonceCommitment(machine.cipher, nonce)),
    },
  };
  const ready = signMessage(machine.cipher, identity, contextOf(parameters, round), 0, index, body);
  const secrets = { boxes: toHex(boxes.privateKey), masks: toHex(masks.privateKey) };
  wipe(boxes.privateKey, masks.privateKey);
  return {
    memory: signedFor(participant, memory, round),
    state: {
      round,
      index,
      stage: 'ready',
      ready,
      complaints: [],
      secrets,
      ...(parameters.sparse === null ? {} : { nonce: toHex(nonce) }),
    },
  };
}

/** The last Ready of a study, without keys: it says which sum this participant closed with. */
export function signClosingReady(
  participant: Participant,
  memory: StudyMemory,
  previous: RoundState | null,
  round: number,
  head: Uint8Array,
): { readonly ready: Message<0>; readonly memory: StudyMemory } {
  checkNewRound(participant, memory, previous, round);
  const body = { ...readyCommon(participant, memory, round, head), keys: null };
  const { machine, parameters, index, identity } = participant;
  return {
    ready: signMessage(machine.cipher, identity, contextOf(parameters, round), 0, index, body),
    memory: signedFor(participant, memory, round),
  };
}

const signedFor = ({ machine }: Participant, memory: StudyMemory, round: number): StudyMemory => ({
  ...memory,
  counter: memory.counter + 1,
  signedRound: round,
  signedAt: machine.clock.now(),
});

/** An honest coordinator lets at least a second pass between a round that came to nothing and the next. */
const leastMsPerRound = 1000;

function checkNewRound(
  { machine, parameters }: Participant,
  memory: StudyMemory,
  previous: RoundState | null,
  round: number,
): void {
  requireInteger('round', round, 1, 0xffff_ffff);
  if (previous !== null && previous.stage !== 'wiped')
    throw new RefusalError('round-not-wiped', 'The round before is not wiped yet; a new one cannot begin.');
  if (round <= memory.signedRound)
    throw refuse('old-round', `Round ${round} was already signed for, or an even later one (${memory.signedRound}).`);
  const { schedule, created } = parameters.contract;
  const away = machine.clock.now() - (memory.signedAt ?? Date.parse(created));
  const passed = Math.max(0, Math.floor(away / leastMsPerRound));
  if (round > memory.signedRound + schedule.attempts + passed)
    throw refuse(
      'round-too-far',
      `Round ${round} lies further ahead than the contract’s number of attempts and the time since round ${memory.signedRound} allow.`,
    );
}

function readyCommon(participant: Participant, memory: StudyMemory, round: number, head: Uint8Array) {
  const { cipher } = participant.machine;
  return {
    round,
    contract: toHex(participant.parameters.study),
    config: toHex(configHash(cipher, participant.parameters, round, memory.adaptation)),
    model: memory.model,
    last: memory.last,
    counter: memory.counter + 1,
    head: toHex(head),
    ...(memory.redraws === undefined ? {} : { redraws: memory.redraws }),
  };
}

function atStage<K extends keyof RoundState>(
  state: RoundState,
  stage: RoundStage,
  ...present: K[]
): RoundState & Required<Pick<RoundState, K>> {
  if (state.stage !== stage)
    throw new RefusalError(
      'already-signed',
      `This institution is at stage "${state.stage}" of round ${state.round}; it never signs twice for one stage.`,
    );
  for (const name of present)
    if (state[name] === undefined) throw new InvariantError('state-incomplete', `The stored round lacks "${name}".`);
  return state as RoundState & Required<Pick<RoundState, K>>;
}

/**
 * R0b or R1: checks U1. On a sparse graph it reveals its part of the draw, which counts as drawn in vain until a round
 * closes; on the complete graph it deals at once.
 */
export function receiveCohort(
  participant: Participant,
  memory: StudyMemory,
  before: RoundState,
  list: Broadcast<128, 0>,
): Step & { readonly memory: StudyMemory } {
  const { machine, parameters, index, identity } = participant;
  const { cipher } = machine;
  const state = atStage(before, 'ready');
  const cohort = checkCohort(cipher, parameters, memory, state.ready, list);
  const u1 = { hash: cohort.hash, signature: list.head.signature, members: cohort.members };
  const peers = { ...memory.peers };
  for (const ready of list.members)
    peers[String(ready.sender)] = { counter: ready.body.counter, head: ready.body.head };
  if (!usesSparseGraph(parameters, list.members))
    return { memory: { ...memory, peers }, state: deal(participant, { ...state, u1 }) };
  const { nonce } = atStage(state, 'ready', 'nonce');
  const body = { u1: u1.hash, u1Signature: u1.signature, nonce };
  const reveal = signMessage(cipher, identity, contextOf(parameters, state.round), 5, index, body);
  return {
    memory: { ...memory, peers, redraws: redrawsOf(list.members) + 1 },
    state: { ...state, stage: 'revealed', u1, reveal },
  };
}

/** R1 on a sparse graph: works the ring out, and deals to its neighbours on it. */
export function receiveReveals(participant: Participant, before: RoundState, list: Broadcast<133, 5>): Step {
  const state = atStage(before, 'revealed', 'u1', 'reveal');
  const ring = checkReveals(participant.machine.cipher, participant.parameters, state, list);
  return { state: deal(participant, { ...state, u1: { ...state.u1, ring } }) };
}

/** Shares of a fresh self-mask seed and of the mask secret, a box for each of its holders. */
function deal(participant: Participant, state: RoundState & Required<Pick<RoundState, 'u1'>>): RoundState {
  const { machine, parameters, index, identity } = participant;
  const { cipher, random } = machine;
  const { u1 } = state;
  const context = contextOf(parameters, state.round);
  const graph = roundGraph(parameters, u1.members, u1.ring);
  const indices = graph.holdersOf(index);
  const holders = new Set(indices);
  const selfSeed = drawSecret(random);
  const selfShares = splitSecret(random, selfSeed, graph.thresholdOf(index), indices);
  const maskSecret = fromHex(state.secrets.masks);
  const maskShares = splitSecret(random, maskSecret, graph.thresholdOf(index), indices);
  const ephemerals: Record<string, string> = {};
  const hU1 = fromHex(u1.hash);
  const dealtTo = u1.members.filter((member) => holders.has(member.index));
  const entries = dealtTo.map((member) => {
    const { sealed, ephemeralPrivateKey } = sealBox(
      random,
      cipher,
      { ctx: context, hU1, dealer: index, holder: member.index },
      fromHex(member.boxes),
      { shareB: selfShares.get(member.index)!, shareS: maskShares.get(member.index)! },
    );
    ephemerals[String(member.index)] = toHex(ephemeralPrivateKey);
    wipe(ephemeralPrivateKey);
    return { holder: member.index, sealed };
  });
  const body = {
    u1: u1.hash,
    u1Signature: u1.signature,
    selfMask: toHex(selfSeedCommitment(cipher, context, index, selfSeed)),
    boxes: toHex(boxRoot(cipher, context, index, entries)),
    ...(u1.ring === undefined ? {} : { ring: toHex(ringHash(cipher, context, hU1, u1.ring)) }),
  };
  const seed = toHex(selfSeed);
  wipe(selfSeed, maskSecret, ...selfShares.values(), ...maskShares.values());
  return {
    ...state,
    stage: 'shares',
    selfSeed: seed,
    ephemerals,
    bundle: toHex(encodeBundle(entries)),
    shares: signMessage(cipher, identity, context, 1, index, body),
  };
}

/**
 * U2 and the boxes: opens one from every member. A box that is missing or off its dealer's root accuses the
 * coordinator (refusal); one on the root that does not open, or whose shares miss their hashes, gives a signed
 * complaint about its dealer, and this participant leaves the round.
 */
export function receiveShares(
  participant: Participant,
  before: RoundState,
  list: Broadcast<129, 1>,
  delivery: Uint8Array,
): Step {
  const { machine, parameters, index, identity } = participant;
  const { cipher } = machine;
  const state = atStage(before, 'shares', 'u1', 'shares');
  const u2 = checkSharers(cipher, parameters, state, list);
  const context = contextOf(parameters, state.round);
  const delivered = new Map(decodeDelivery(delivery).map((entry) => [entry.dealer, entry]));
  const graph = roundGraph(parameters, state.u1.members, state.u1.ring);
  const boxSecret = fromHex(state.secrets.boxes);
  const received: Record<string, ReceivedShares> = {};
  const complaints: Message<16>[] = [];
  for (const member of list.members) {
    const holders = graph.holdersOf(member.sender);
    const position = holders.indexOf(index);
    if (position < 0) continue;
    const entry = delivered.get(member.sender);
    if (entry === undefined)
      throw refuse('box-missing', `The coordinator did not deliver the box of ${nameOf(parameters, member.sender)}.`);
    const leaf = boxLeafHash(cipher, context, member.sender, index, entry.sealed);
    const root = fromHex(member.body.boxes);
    if (!pathLeadsTo(cipher, root, leaf, position, holders.length, entry.path))
      throw refuse(
        'box-off-root',
        `The coordinator delivered a box that ${nameOf(parameters, member.sender)} never dealt.`,
      );
    const route = { ctx: context, hU1: fromHex(state.u1.hash), dealer: member.sender, holder: index };
    const shares = openBox(cipher, route, boxSecret, entry.sealed);
    if (shares.opened) {
      received[String(member.sender)] = { self: toHex(shares.shareB), mask: toHex(shares.shareS) };
      wipe(shares.shareB, shares.shareS);
    } else complaints.push(signMessage(cipher, identity, context, 16, index, complaintAbout(state.u1.hash, entry)));
  }
  wipe(boxSecret);
  return complaints.length > 0
    ? { state: { ...state, stage: 'left', u2, complaints } }
    : { state: { ...state, stage: 'opened', u2, received } };
}

/** What a complaint says of the box that did not open, or whose shares miss their hashes. */
export function complaintAbout(u1: string, { dealer, sealed, path }: DeliveryEntry): Message<16>['body'] {
  return {
    u1,
    dealer,
    box: toHex(sealed.box),
    ephemeralKey: toHex(sealed.ephemeralPublicKey),
    shareHashes: { self: toHex(sealed.shareHashB), mask: toHex(sealed.shareHashS) },
    path: path.map(toHex),
  };
}

/**
 * The dealer's answer to a complaint: the ephemeral secret of that one box. The complainer holds its shares anyway, but
 * only the complainer: a coordinator that invented complaints would open every box, and with them the vector. So the
 * complaint has to be the box's holder's own, of this round, about the box that was dealt.
 * @throws RefusalError `complaint-not-mine`, `list-signature`, `complaint-off-root`.
 */
export function answerComplaint(participant: Participant, state: RoundState, complaint: Message<16>): Message<17> {
  const { machine, parameters } = participant;
  const secret = state.ephemerals?.[String(complaint.sender)];
  const mine =
    complaint.round === state.round &&
    complaint.body.dealer === participant.index &&
    complaint.body.u1 === state.u1?.hash;
  if (!mine || state.u1 === undefined || state.shares === undefined || secret === undefined)
    throw refuse('complaint-not-mine', 'A complaint is not about a box that this institution dealt in this round.');
  checkMemberSignatures(machine.cipher, parameters, state.round, [complaint]);
  const holders = roundGraph(parameters, state.u1.members, state.u1.ring).holdersOf(participant.index);
  checkComplaint(machine.cipher, parameters, holders, state.shares, complaint);
  const body = { u1: state.u1.hash, complainer: complaint.sender, ephemeralSecret: secret };
  const context = contextOf(participant.parameters, state.round);
  return signMessage(participant.machine.cipher, participant.identity, context, 17, participant.index, body);
}

/** Masks a chunk of the vector, in this thread or in others; `words` stay as they are. */
export type Masking = (words: Uint32Array, chunk: number, keys: readonly SignedKey[]) => Promise<Uint32Array>;

/**
 * R2: seals the noised, quantised vector (d ring words) against exactly U2, chunk by chunk. Returns the chunks' bytes:
 * the caller stores them and the state, records the charge, and only then sends. Masks meet one vector, ever.
 * @throws what `mask` throws; then nothing was signed, and the same vector can be sealed again.
 */
export async function sealVectorBy(
  mask: Masking,
  participant: Participant,
  before: RoundState,
  vector: Uint32Array,
): Promise<Sealed> {
  const sealing = beginSealing(participant, before, vector);
  const { chunks, keys, wordsOf } = sealing;
  try {
    const count = chunkCount(vector.length);
    // The next chunk is under way while this one is written out: two in hand at most.
    let next = mask(wordsOf(0), 0, keys);
    for (let chunk = 0; chunk < count; chunk++) {
      const masked = await next;
      if (chunk + 1 < count) next = mask(wordsOf(chunk + 1), chunk + 1, keys);
      sealing.keep(masked);
    }
  } finally {
    wipe(...keys.map(({ key }) => key));
  }
  return { state: sealing.sign(), chunks };
}

/** `sealVectorBy` in this thread, at once. */
export function sealVector(participant: Participant, before: RoundState, vector: Uint32Array): Sealed {
  const sealing = beginSealing(participant, before, vector);
  const { chunks, keys, wordsOf } = sealing;
  const masks = createMasks(participant.machine.cipher);
  for (let chunk = 0; chunk < chunkCount(vector.length); chunk++) {
    const words = wordsOf(chunk);
    masks.applyAll(words, chunk, keys);
    sealing.keep(words);
  }
  wipe(...keys.map(({ key }) => key));
  return { state: sealing.sign(), chunks };
}

type Sealed = Step & { readonly chunks: readonly Uint8Array[] };

function beginSealing(participant: Participant, before: RoundState, vector: Uint32Array) {
  const { machine, parameters, index, identity } = participant;
  const { cipher } = machine;
  const state = atStage(before, 'opened', 'u1', 'u2', 'selfSeed');
  if (vector.length !== parameters.dimension)
    throw new RangeError(`vector must have ${parameters.dimension} words, not ${vector.length}`);
  const context = contextOf(parameters, state.round);
  const chunks: Uint8Array[] = [];
  const leaves: Uint8Array[] = [];
  return {
    chunks,
    keys: masksOf(participant, state),
    /** A copy of the chunk's words. */
    wordsOf: (chunk: number): Uint32Array => {
      const { from, to } = chunkRange(vector.length, chunk);
      return vector.slice(from, to);
    },
    keep(masked: Uint32Array): void {
      const bytes = packWords(masked, wordBits(parameters));
      leaves.push(vectorLeafHash(cipher, context, index, chunks.length, bytes));
      chunks.push(bytes);
    },
    sign(): RoundState {
      const body = { u1: state.u1.hash, u2: state.u2.hash, root: toHex(merkleRoot(cipher, leaves)) };
      return { ...state, stage: 'masked', masked: signMessage(cipher, identity, context, 2, index, body) };
    },
  };
}

/** The keys of every mask of this member's vector, against exactly U2. */
function masksOf(
  { machine, parameters, index }: Participant,
  state: RoundState & Required<Pick<RoundState, 'u1' | 'u2' | 'selfSeed'>>,
): SignedKey[] {
  const { cipher } = machine;
  const context = contextOf(parameters, state.round);
  const hU1 = fromHex(state.u1.hash);
  const selfSeed = fromHex(state.selfSeed);
  const maskSecret = fromHex(state.secrets.masks);
  const selfKey = selfMaskKey(cipher, context, hU1, index, selfSeed);
  const spk = new Map(state.u1.members.map((member): [number, string] => [member.index, member.masks]));
  const graph = roundGraph(parameters, state.u1.members, state.u1.ring);
  const pairKeys = state.u2.members
    .filter((member) => graph.areNeighbours(index, member.index))
    .map((member) => ({
      index: member.index,
      key: pairMaskKey(cipher, context, hU1, index, member.index, maskSecret, fromHex(spk.get(member.index)!)),
    }));
  wipe(selfSeed, maskSecret);
  return ownMasks(index, selfKey, pairKeys);
}

/** R3: checks U3 and signs the statement, once. */
export function receiveSurvivors(participant: Participant, before: RoundState, list: Broadcast<130, 2>): Step {
  const { machine, parameters, index, identity } = participant;
  const state = atStage(before, 'masked', 'u1', 'shares', 'u2', 'masked');
  const u3 = checkSurvivors(machine.cipher, parameters, state, list);
  const body = { u1: state.u1.hash, u2: state.u2.hash, statement: u3.statement };
  const consistency = signMessage(machine.cipher, identity, contextOf(parameters, state.round), 3, index, body);
  return { state: { ...state, stage: 'consistency', u3, consistency } };
}

/** R4: of each member of U2 that dealt to it one share, of the self mask where it is in U3, of the mask key where it is not. */
export function receiveTranscript(participant: Participant, before: RoundState, list: Broadcast<131, 3>): Step {
  const { machine, parameters, index, identity } = participant;
  const state = atStage(before, 'consistency', 'u2', 'u3', 'received');
  const transcript = checkTranscript(machine.cipher, parameters, state, list);
  const survivors = new Set(state.u3.members.map((member) => member.index));
  const shares = state.u2.members.flatMap((member) => {
    const held = state.received[String(member.index)];
    if (held === undefined) return [];
    return survivors.has(member.index)
      ? { dealer: member.index, kind: 0, share: held.self }
      : { dealer: member.index, kind: 1, share: held.mask };
  });
  const body = { statement: state.u3.statement, shares };
  const unmask = signMessage(machine.cipher, identity, contextOf(parameters, state.round), 4, index, body);
  return { state: { ...state, stage: 'unmask', unmask, transcript } };
}

/** With regions, after R5: whether this participant's own region and the whole add up (regions.ts#readdRegions). */
export function vouchFor(participant: Participant, before: RoundState, sum: string, agrees: boolean): Step {
  const { machine, parameters, index, identity } = participant;
  const state = atStage(before, 'unmask', 'u3');
  const body = { statement: state.u3.statement, sum, agrees };
  const vouch = signMessage(machine.cipher, identity, contextOf(parameters, state.round), 6, index, body);
  return { state: { ...state, stage: 'vouched', vouch } };
}

/** Leaves the round (aborted, withdrawn, closed): nothing more will be signed in it and its secrets are forgotten. */
export const leaveRound = wipeRound;
