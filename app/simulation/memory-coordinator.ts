// A coordinator in memory: the real reducer and codecs, vectors in a map in place of files. Every message passes through
// its wire form on the way in and out. What it stores outlives it where a simulation hands in a disk.

import { toHex } from '../encoding/bytes.ts';
import { RefusalError } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { canonicalBytes } from '../encoding/canonical-json.ts';
import { broadcastBytes, completeRegions, deliveryBytes, shownRegionSums } from '../round/coordinator-lists.ts';
import type { Coordinator } from '../round/coordinator.ts';
import { closedAfter, newStudy, reduceStudy, roundOf } from '../round/coordinator-study.ts';
import type { CoordinatorStudy, StudyEvent } from '../round/coordinator-study.ts';
import type { CoordinatorRound } from '../round/coordinator-state.ts';
import type { CoordinatorPort } from '../round/engine-ports.ts';
import { decodeMessage, encodeMessage, relaySender } from '../round/messages.ts';
import type { AnyMessage, Message } from '../round/messages.ts';
import { wordBits } from '../round/parameters.ts';
import type { ModelChain } from '../round/model-chain.ts';
import { relayRegion } from '../round/regions.ts';
import { masksLeft, sumHash } from '../round/result.ts';
import { vectorRoot } from '../sealed-sum/vector-root.ts';
import { chunkCount, chunkRange, createMasks } from '../sealed-sum/masks.ts';
import { packWords, unpackWords } from '../sealed-sum/packing.ts';
import { openChunk, reduceWords } from '../sealed-sum/unmask.ts';

/** The port of one institution, answering at once. */
export type CoordinatorCalls = {
  readonly [Name in Exclude<keyof CoordinatorPort, 'uploadFrom'>]: (
    ...given: Parameters<CoordinatorPort[Name]>
  ) => Awaited<ReturnType<CoordinatorPort[Name]>>;
};

export type CoordinatorDisk = {
  /** Accepted events in order: replaying them gives the state. */
  readonly events: readonly StudyEvent[];
  /** Masked chunks by round/member/chunk, and opened sums by round. */
  readonly vectors: Map<string, Uint8Array>;
  readonly sums: Map<number, readonly Uint32Array[]>;
  /** Returns when the event is durable. */
  append(event: StudyEvent): void;
};

export function memoryDisk(): CoordinatorDisk {
  const events: StudyEvent[] = [];
  return { events, vectors: new Map(), sums: new Map(), append: (event) => void events.push(event) };
}

export type MemoryCoordinator = {
  readonly study: () => CoordinatorStudy;
  readonly callsFor: (index: number) => CoordinatorCalls;
  readonly portFor: (index: number) => CoordinatorPort;
  readonly apply: (event: StudyEvent) => void;
  /** Adds and opens the round that has all its shares; nothing to do otherwise. */
  readonly openIfDue: () => void;
  /** Bytes that left participants so far. */
  readonly received: () => number;
};

/** Begins where the disk's events end. */
export function memoryCoordinator(
  coordinator: Coordinator,
  firstModel: ModelChain,
  clock: Clock,
  disk: CoordinatorDisk = memoryDisk(),
): MemoryCoordinator {
  const { cipher, parameters } = coordinator;
  const { vectors, sums } = disk;
  let study = newStudy(firstModel.hash);
  let model = firstModel;
  let received = 0;
  /** After the opened sum of a round that is not closed yet. */
  let opened: ModelChain | null = null;

  function adoptClosed(): void {
    if (opened === null || study.pending !== undefined) return;
    if (opened.hash === study.model) model = opened;
    opened = null;
  }

  for (const event of disk.events) {
    if (event.kind === 'summed') {
      const { round, survivors } = study.round!;
      opened = model.apply(survivors, joined(sums.get(round)!)).chain;
    }
    study = reduceStudy(coordinator, study, event);
    adoptClosed();
  }

  const apply = (event: StudyEvent): void => {
    const next = reduceStudy(coordinator, study, event);
    if (next === study) return;
    disk.append(event);
    study = next;
    adoptClosed();
  };

  const through = (message: AnyMessage): Message => {
    const bytes = encodeMessage(message);
    received += bytes.length;
    return decodeMessage(bytes);
  };

  function acceptUpload(round: number, index: number, chunks: readonly Uint8Array[]): void {
    const open = study.round;
    const region = relayRegion(parameters, index);
    const signed =
      region === null
        ? open?.masked.get(index)?.message.body.root
        : open?.regionSums.get(region.position)?.message.body.sum;
    if (open === null || open.round !== round)
      throw new RefusalError('old-round', `The chunks belong to round ${round}, which is over.`);
    if (signed === undefined)
      throw new RefusalError('not-announced', 'Chunks came before the signed root they belong to.');
    if (toHex(vectorRoot(cipher, { study: parameters.study, round }, index, chunks)) !== signed)
      throw new RefusalError('vector-off-root', 'The chunks do not give the signed root. Send them again.');
    chunks.forEach((bytes, chunk) => vectors.set(`${round}/${index}/${chunk}`, bytes));
    received += chunks.reduce((total, bytes) => total + bytes.length, 0);
    apply({ kind: 'uploaded', sender: index, now: clock.now() });
  }

  const bits = wordBits(parameters);

  function openSum(round: CoordinatorRound): readonly Uint32Array[] {
    const u1 = {
      hash: round.u1!.body.u1,
      members: round.members,
      ...(round.ring === undefined ? {} : { ring: round.ring }),
    };
    const left = masksLeft(cipher, parameters, round.round, u1, round.seeds);
    const masks = createMasks(cipher);
    const chunks: Uint32Array[] = [];
    for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
      const { from, to } = chunkRange(parameters.dimension, chunk);
      // Where regions are, their sums are what there is to add.
      const added = round.regionSums.size === 0 ? round.survivors : [...completeRegions(round)].map(relaySender);
      const masked = added.map((index) => unpackWords(vectors.get(`${round.round}/${index}/${chunk}`)!, bits));
      const words = openChunk(masks, left, chunk, to - from, masked);
      reduceWords(words, bits);
      chunks.push(words);
    }
    sums.set(round.round, chunks);
    return chunks;
  }

  const held = <Held>(value: Held | undefined): Held => {
    if (value === undefined) throw new RefusalError('not-there', 'The coordinator has no such bytes (any more).');
    return value;
  };

  const callsFor = (index: number): CoordinatorCalls => ({
    send(message) {
      apply({ kind: 'message', message: through(message), now: clock.now() });
    },
    sendShares(message, bundle) {
      received += bundle.length;
      apply({ kind: 'message', message: through(message), bundle: bundle.slice(), now: clock.now() });
    },
    broadcast(number, stage) {
      const round = roundOf(study, number);
      if (round === null) return null;
      if (stage !== 4) return broadcastBytes(round, stage);
      return round.result === null ? null : encodeMessage(round.result);
    },
    boxes(number) {
      const round = roundOf(study, number);
      const bytes = round && deliveryBytes(coordinator, round, index);
      if (bytes === null) throw new RefusalError('broadcast-gone', 'There are no boxes for this institution now.');
      return bytes;
    },
    upload: (round, chunks) => acceptUpload(round, index, chunks),
    maskedChunk: (round, member, chunk) => held(vectors.get(`${round}/${member}/${chunk}`)).slice(),
    sumChunk: (round, chunk) => unpackWords(packWords(held(sums.get(round)?.[chunk]), bits), bits),
    closedAfter: (round) => closedAfter(study, round),
    regionSums(number) {
      const round = roundOf(study, number);
      return canonicalBytes(round === null ? [] : shownRegionSums(round));
    },
    regionChunk: (round, position, chunk) => held(vectors.get(`${round}/${relaySender(position)}/${chunk}`)).slice(),
  });

  return {
    study: () => study,
    received: () => received,
    apply,
    openIfDue() {
      const { round } = study;
      if (round?.stage !== 'opening') return;
      const chunks = openSum(round);
      const hash = sumHash(cipher, parameters, round.round, round.survivors, chunks);
      const { chain, spoiled } = model.apply(round.survivors, joined(chunks));
      const { hash: pinned, adaptation } = chain;
      const adapted = adaptation === null ? {} : { adaptation };
      apply({ kind: 'summed', sum: toHex(hash), model: pinned, ...adapted, spoiled, now: clock.now() });
      opened = chain;
      adoptClosed();
    },
    callsFor,
    portFor: (index) => portOf(callsFor(index)),
  };
}

/** Answers at once, as promises. */
function portOf(calls: CoordinatorCalls): CoordinatorPort {
  return {
    send: async (message) => calls.send(message),
    sendShares: async (message, bundle) => calls.sendShares(message, bundle),
    broadcast: async (round, stage) => calls.broadcast(round, stage),
    boxes: async (round) => calls.boxes(round),
    upload: async (round, chunks) => calls.upload(round, chunks),
    maskedChunk: async (round, index, chunk) => calls.maskedChunk(round, index, chunk),
    sumChunk: async (round, chunk) => calls.sumChunk(round, chunk),
    closedAfter: async (round) => calls.closedAfter(round),
    regionSums: async (round) => calls.regionSums(round),
    regionChunk: async (round, position, chunk) => calls.regionChunk(round, position, chunk),
  };
}

function joined(chunks: readonly Uint32Array[]): Uint32Array {
  const words = new Uint32Array(chunks.reduce((total, chunk) => total + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    words.set(chunk, at);
    at += chunk.length;
  }
  return words;
}
