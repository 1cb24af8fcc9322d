// A coordinator in memory: the real reducer and codecs, vectors in a map in place of files. Every message passes through
// its wire form on the way in and out.

import { bytesToWords, toHex, wordsToBytes } from '../encoding/bytes.ts';
import { RefusalError } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { broadcastBytes, deliveryBytes } from '../round/coordinator.ts';
import type { Coordinator } from '../round/coordinator.ts';
import { closedAfter, newStudy, reduceStudy, roundOf } from '../round/coordinator-study.ts';
import type { CoordinatorStudy, StudyEvent } from '../round/coordinator-study.ts';
import type { CoordinatorRound } from '../round/coordinator-state.ts';
import type { CoordinatorPort } from '../round/engine-ports.ts';
import { decodeMessage, encodeMessage } from '../round/messages.ts';
import type { AnyMessage, Message } from '../round/messages.ts';
import type { ModelChain } from '../round/model-chain.ts';
import { masksLeft, sumHash } from '../round/result.ts';
import { vectorRoot } from '../sealed-sum/vector-root.ts';
import { chunkCount, chunkRange, createMasks } from '../sealed-sum/masks.ts';
import { openChunk } from '../sealed-sum/unmask.ts';

export type MemoryCoordinator = {
  readonly study: () => CoordinatorStudy;
  readonly portFor: (index: number) => CoordinatorPort;
  readonly apply: (event: StudyEvent) => void;
  /** Adds and opens the round that has all its shares; nothing to do otherwise. */
  readonly openIfDue: () => void;
  /** Bytes that left participants so far. */
  readonly received: () => number;
};

export function memoryCoordinator(coordinator: Coordinator, firstModel: ModelChain, clock: Clock): MemoryCoordinator {
  const { cipher, parameters } = coordinator;
  let study = newStudy(firstModel.hash);
  let model = firstModel;
  let received = 0;
  const vectors = new Map<string, Uint8Array>();
  const sums = new Map<number, readonly Uint32Array[]>();

  const apply = (event: StudyEvent): void => {
    study = reduceStudy(coordinator, study, event);
  };

  const through = (message: AnyMessage): Message => {
    const bytes = encodeMessage(message);
    received += bytes.length;
    return decodeMessage(bytes);
  };

  function acceptUpload(round: number, index: number, chunks: readonly Uint8Array[]): void {
    const open = study.round;
    const signed = open?.masked.get(index)?.message;
    if (open === null || open.round !== round || signed === undefined)
      throw new RefusalError('not-announced', 'Chunks came before the signed root they belong to.');
    if (toHex(vectorRoot(cipher, { study: parameters.study, round }, index, chunks)) !== signed.body.root)
      throw new RefusalError('vector-off-root', 'The chunks do not give the signed root. Send them again.');
    chunks.forEach((bytes, chunk) => vectors.set(`${round}/${index}/${chunk}`, bytes));
    received += chunks.reduce((total, bytes) => total + bytes.length, 0);
    apply({ kind: 'uploaded', sender: index, now: clock.now() });
  }

  function openSum(round: CoordinatorRound): Uint32Array {
    const u1 = { hash: round.u1!.body.u1, members: round.members };
    const left = masksLeft(cipher, parameters, round.round, u1, round.seeds);
    const masks = createMasks(cipher);
    const sum = new Uint32Array(parameters.dimension);
    const chunks: Uint32Array[] = [];
    for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
      const { from, to } = chunkRange(parameters.dimension, chunk);
      const masked = round.survivors.map((index) => bytesToWords(vectors.get(`${round.round}/${index}/${chunk}`)!));
      const words = openChunk(masks, left, chunk, to - from, masked);
      chunks.push(words);
      sum.set(words, from);
    }
    sums.set(round.round, chunks);
    return sum;
  }

  return {
    study: () => study,
    received: () => received,
    apply,
    openIfDue() {
      const { round } = study;
      if (round?.stage !== 'opening') return;
      const sum = openSum(round);
      const hash = sumHash(cipher, parameters, round.round, round.survivors, sums.get(round.round)!);
      const applied = model.apply(round.survivors, sum);
      model = applied.chain;
      const { hash: pinned, adaptation } = model;
      const adapted = adaptation === null ? {} : { adaptation };
      const { spoiled } = applied;
      apply({ kind: 'summed', sum: toHex(hash), model: pinned, ...adapted, spoiled, now: clock.now() });
    },
    portFor: (index) => ({
      async send(message) {
        apply({ kind: 'message', message: through(message), now: clock.now() });
      },
      async sendShares(message, bundle) {
        received += bundle.length;
        apply({ kind: 'message', message: through(message), bundle: bundle.slice(), now: clock.now() });
      },
      async broadcast(number, stage) {
        const round = roundOf(study, number);
        if (round === null) return null;
        if (stage !== 4) return broadcastBytes(round, stage);
        return round.result === null ? null : encodeMessage(round.result);
      },
      async boxes(number) {
        const round = roundOf(study, number);
        const bytes = round && deliveryBytes(coordinator, round, index);
        if (bytes === null) throw new RefusalError('broadcast-gone', 'There are no boxes for this institution now.');
        return bytes;
      },
      async upload(round, chunks) {
        acceptUpload(round, index, chunks);
      },
      maskedChunk: async (round, member, chunk) => vectors.get(`${round}/${member}/${chunk}`)!.slice(),
      sumChunk: async (round, chunk) => bytesToWords(wordsToBytes(sums.get(round)![chunk]!)),
      closedAfter: async (round) => closedAfter(study, round),
    }),
  };
}
