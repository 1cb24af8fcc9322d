// A whole federation in one process for tests of the round: real reducers on both sides, real codecs between them, and
// hooks where a test lets a party fail or lie. Vectors are the test's own.

import { toHex } from '../../../app/encoding/bytes.ts';
import type { Machine } from '../../../app/ports.ts';
import { reduceRound } from '../../../app/round/coordinator.ts';
import type { Coordinator } from '../../../app/round/coordinator.ts';
import { broadcastBytes, deliveryBytes } from '../../../app/round/coordinator-lists.ts';
import { openRound } from '../../../app/round/coordinator-state.ts';
import type { CoordinatorRound } from '../../../app/round/coordinator-state.ts';
import { decodeBroadcast } from '../../../app/round/lists.ts';
import { decodeMessage, encodeMessage, relaySender, signMessage } from '../../../app/round/messages.ts';
import type { AnyMessage, Message } from '../../../app/round/messages.ts';
import { configHash } from '../../../app/round/parameters.ts';
import {
  receiveCohort,
  receiveReveals,
  receiveShares,
  receiveSurvivors,
  receiveTranscript,
  sealVector,
  signReady,
} from '../../../app/round/participant.ts';
import type { Participant } from '../../../app/round/participant.ts';
import { firstMemory } from '../../../app/round/participant-state.ts';
import type { RoundState, StudyMemory } from '../../../app/round/participant-state.ts';
import { masksLeft, sumHash } from '../../../app/round/result.ts';
import { bytesToWords, fromHex, wordsToBytes } from '../../../app/encoding/bytes.ts';
import { chunkCount, chunkRange, createMasks } from '../../../app/sealed-sum/masks.ts';
import { addWords, openChunk } from '../../../app/sealed-sum/unmask.ts';
import { vectorRoot } from '../../../app/sealed-sum/vector-root.ts';
import { relaySigner } from '../../../app/simulation/small-study.ts';
import type { SampleStudy } from './sample-study.ts';

export type Party = { participant: Participant; memory: StudyMemory; state: RoundState | null };

export type Federation = {
  readonly study: SampleStudy;
  readonly coordinator: Coordinator;
  readonly parties: Party[];
  round: CoordinatorRound;
  readonly uploads: Map<number, readonly Uint8Array[]>;
  now: number;
};

export const model = 'ab'.repeat(32);

export function federation(study: SampleStudy, machine: Machine, round = 1): Federation {
  const coordinator = { cipher: machine.cipher, parameters: study.parameters, signer: study.coordinator };
  const expected = {
    round,
    contract: toHex(study.parameters.study),
    config: toHex(configHash(machine.cipher, study.parameters, round)),
    model,
    last: { round: 0, sum: '0'.repeat(64) },
  };
  return {
    study,
    coordinator,
    parties: study.identities.map((identity, index) => ({
      participant: { machine, parameters: study.parameters, index, identity },
      memory: firstMemory(model),
      state: null,
    })),
    round: openRound(
      round,
      expected,
      study.identities.map((_, index) => index),
    ),
    uploads: new Map(),
    now: 1_000_000,
  };
}

/** Through the wire's codec and into the coordinator. */
export function deliver(fed: Federation, message: AnyMessage, bundle?: Uint8Array): void {
  const decoded = decodeMessage(encodeMessage(message)) as Message;
  fed.round = reduceRound(fed.coordinator, fed.round, {
    kind: 'message',
    message: decoded,
    ...(bundle === undefined ? {} : { bundle }),
    now: fed.now,
  });
}

/** Lets the deadline of the present stage pass. */
export function expire(fed: Federation): void {
  fed.now = (fed.round.deadline ?? fed.now) + 1;
  fed.round = reduceRound(fed.coordinator, fed.round, { kind: 'tick', now: fed.now });
}

const partiesOf = (fed: Federation, silent: ReadonlySet<number>): Party[] =>
  fed.parties.filter((party) => !silent.has(party.participant.index));

export function ready(fed: Federation, silent: ReadonlySet<number> = new Set()): void {
  for (const party of partiesOf(fed, silent)) {
    const { participant, memory } = party;
    const head = new Uint8Array(32).fill(participant.index + 1);
    const step = signReady(participant, memory, party.state, fed.round.round, head);
    party.memory = step.memory;
    party.state = step.state;
    deliver(fed, step.state.ready);
  }
  if (fed.round.stage === 'ready') expire(fed);
}

/** The first list as this party decodes it. */
export function cohortList(fed: Federation, party: Party) {
  const { body } = party.state!.ready;
  const own = { round: body.round, contract: body.contract, config: body.config, model: body.model };
  return decodeBroadcast(broadcastBytes(fed.round, 0)!, 128, 0, own);
}

/** R0b, where the contract allows a sparse graph. */
export function reveal(fed: Federation, silent: ReadonlySet<number> = new Set()): void {
  for (const party of partiesOf(fed, silent)) {
    const step = receiveCohort(party.participant, party.memory, party.state!, cohortList(fed, party));
    party.memory = step.memory;
    party.state = step.state;
    if (step.state.reveal !== undefined) deliver(fed, step.state.reveal);
  }
  if (fed.round.stage === 'reveals') expire(fed);
}

/** The draw of the graph as this party decodes it. */
export function revealsList(fed: Federation, party: Party) {
  const own = { u1: party.state!.u1!.hash, u1Signature: party.state!.u1!.signature };
  return decodeBroadcast(broadcastBytes(fed.round, 5)!, 133, 5, own);
}

export function share(fed: Federation, silent: ReadonlySet<number> = new Set()): void {
  if (fed.coordinator.parameters.sparse !== null && fed.round.drawn === null) reveal(fed, silent);
  for (const party of partiesOf(fed, silent)) {
    if (party.state!.stage === 'ready') {
      const step = receiveCohort(party.participant, party.memory, party.state!, cohortList(fed, party));
      party.memory = step.memory;
      party.state = step.state;
    } else if (party.state!.stage === 'revealed')
      party.state = receiveReveals(party.participant, party.state!, revealsList(fed, party)).state;
    const step = { state: party.state! };
    deliver(fed, step.state.shares!, fromHex(step.state.bundle!));
  }
  if (fed.round.stage === 'shares') expire(fed);
}

export function sharersList(fed: Federation, party: Party) {
  const { ring } = party.state!.shares!.body;
  const first = { u1: party.state!.u1!.hash, u1Signature: party.state!.u1!.signature };
  const own = ring === undefined ? first : { ...first, ring };
  return decodeBroadcast(broadcastBytes(fed.round, 1)!, 129, 1, own);
}

export function seal(
  fed: Federation,
  vectorOf: (index: number) => Uint32Array,
  silent: ReadonlySet<number> = new Set(),
): void {
  for (const party of partiesOf(fed, silent)) {
    const { index } = party.participant;
    const list = sharersList(fed, party);
    const opened = receiveShares(
      party.participant,
      party.state!,
      list,
      deliveryBytes(fed.coordinator, fed.round, index)!,
    );
    party.state = opened.state;
    for (const complaint of opened.state.complaints) deliver(fed, complaint);
    if (opened.state.stage === 'left') continue;
    const sealed = sealVector(party.participant, opened.state, vectorOf(index));
    party.state = sealed.state;
    deliver(fed, sealed.state.masked!);
    fed.uploads.set(index, sealed.chunks);
    if (fed.coordinator.parameters.regions.length > 0) continue;
    fed.round = reduceRound(fed.coordinator, fed.round, { kind: 'uploaded', sender: index, now: fed.now });
  }
  for (const { position } of fed.coordinator.parameters.regions) {
    const { message } = addedRegion(fed, position);
    if (message.body.members.length === 0) continue;
    deliver(fed, message);
    fed.round = reduceRound(fed.coordinator, fed.round, { kind: 'uploaded', sender: message.sender, now: fed.now });
  }
  if (fed.round.stage === 'masked') expire(fed);
}

/** What the relay of that region adds of what its members sealed, and signs. Vectors of one chunk. */
export function addedRegion(
  fed: Federation,
  position: number,
): { readonly message: Message<64>; readonly words: Uint32Array } {
  const { cipher, parameters } = fed.coordinator;
  const members = parameters.regions[position]!.members.filter((index) => fed.uploads.has(index));
  const words = new Uint32Array(parameters.dimension);
  for (const index of members) addWords(words, bytesToWords(fed.uploads.get(index)![0]!));
  const { round } = fed.round;
  const context = { study: parameters.study, round };
  const sender = relaySender(position);
  const message = signMessage(cipher, relaySigner(cipher, position), context, 64, sender, {
    u1: fed.round.u1!.body.u1,
    u2: fed.round.u2!.body.u2,
    members: members.map((index) => ({ index, root: fed.parties[index]!.state!.masked!.body.root })),
    sum: toHex(vectorRoot(cipher, context, sender, [wordsToBytes(words)])),
  });
  return { message, words };
}

export function survivorsList(fed: Federation, party: Party) {
  const own = { u1: party.state!.u1!.hash, u2: party.state!.u2!.hash };
  return decodeBroadcast(broadcastBytes(fed.round, 2)!, 130, 2, own);
}

export function agree(fed: Federation, silent: ReadonlySet<number> = new Set()): void {
  for (const party of partiesOf(fed, silent)) {
    if (!fed.round.survivors.includes(party.participant.index)) continue;
    party.state = receiveSurvivors(party.participant, party.state!, survivorsList(fed, party)).state;
    deliver(fed, party.state.consistency!);
  }
  if (fed.round.stage === 'consistency') expire(fed);
}

export function transcriptList(fed: Federation, party: Party) {
  const own = { u1: party.state!.u1!.hash, u2: party.state!.u2!.hash, statement: party.state!.u3!.statement };
  return decodeBroadcast(broadcastBytes(fed.round, 3)!, 131, 3, own);
}

export function unmask(fed: Federation, silent: ReadonlySet<number> = new Set()): void {
  for (const party of partiesOf(fed, silent)) {
    if (party.state?.stage !== 'consistency') continue;
    party.state = receiveTranscript(party.participant, party.state, transcriptList(fed, party)).state;
    deliver(fed, party.state.unmask!);
  }
  if (fed.round.stage === 'unmask') expire(fed);
}

/** Adds and opens as the coordinator's shell does; closes the round. @returns the plain sum mod 2^32. */
export function open(fed: Federation): Uint32Array {
  const { cipher, parameters } = fed.coordinator;
  const { ring } = fed.round;
  const u1 = { hash: fed.round.u1!.body.u1, members: fed.round.members, ...(ring === undefined ? {} : { ring }) };
  const left = masksLeft(cipher, parameters, fed.round.round, u1, fed.round.seeds);
  const masks = createMasks(cipher);
  const sum = new Uint32Array(parameters.dimension);
  const chunks: Uint32Array[] = [];
  for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
    const { from, to } = chunkRange(parameters.dimension, chunk);
    const masked = fed.round.survivors.map((index) => bytesToWords(fed.uploads.get(index)![chunk]!));
    const words = openChunk(masks, left, chunk, to - from, masked);
    chunks.push(words);
    sum.set(words, from);
  }
  const hash = toHex(sumHash(cipher, parameters, fed.round.round, fed.round.survivors, chunks));
  fed.round = reduceRound(fed.coordinator, fed.round, { kind: 'opened', sum: hash, now: fed.now });
  return sum;
}
