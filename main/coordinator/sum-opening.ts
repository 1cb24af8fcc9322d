// Opens a round's sum: masked chunks of U3 are read one by one from the store and added, the opened masks taken away,
// and the plain chunk stored. One chunk of one member in memory at a time, never n vectors. Design 3, R5.

import { setImmediate } from 'node:timers/promises';
import { bytesToWords, toHex, wordsToBytes } from '../../app/encoding/bytes.ts';
import { InvariantError } from '../../app/errors.ts';
import type { Cipher } from '../../app/ports.ts';
import type { CoordinatorRound } from '../../app/round/coordinator-state.ts';
import { contextOf } from '../../app/round/parameters.ts';
import type { StudyParameters } from '../../app/round/parameters.ts';
import { masksLeft, sumHash } from '../../app/round/result.ts';
import { chunkCount, chunkRange, createMasks } from '../../app/sealed-sum/masks.ts';
import { addWords } from '../../app/sealed-sum/unmask.ts';
import { vectorLeafHash } from '../../app/sealed-sum/vector-root.ts';
import type { ChunkRow, CoordinatorStore } from './store.ts';

/** A stored contribution is gone or is no longer what was signed: the round cannot be opened. */
export class DamagedChunkError extends InvariantError {}

/** Mask words between two turns of the event loop: some milliseconds of AES. */
const wordsBetweenTurns = 2 ** 21;

/**
 * @returns the sum, d ring words, and its hash; every chunk of it lies durably in the store.
 * @throws DamagedChunkError `chunk-damaged`; UnavailableError of the disk.
 */
export async function openSum(
  cipher: Cipher,
  parameters: StudyParameters,
  store: CoordinatorStore,
  round: CoordinatorRound,
): Promise<{ readonly sum: Uint32Array; readonly hash: string }> {
  const { dimension } = parameters;
  const u1 = { hash: round.u1!.body.u1, members: round.members };
  const remaining = masksLeft(cipher, parameters, round.round, u1, round.seeds);
  const masks = createMasks(cipher);
  const sum = new Uint32Array(dimension);
  const chunks: Uint32Array[] = [];
  const rows = new Map<number, readonly ChunkRow[]>();
  for (const index of round.survivors) rows.set(index, await store.chunksOf(round.round, index));
  let worked = 0;
  for (let chunk = 0; chunk < chunkCount(dimension); chunk++) {
    const { from, to } = chunkRange(dimension, chunk);
    const words = sum.subarray(from, to);
    for (const index of round.survivors) {
      const bytes = await store.files.readMasked(round.round, index, chunk);
      const leaf = bytes && toHex(vectorLeafHash(cipher, contextOf(parameters, round.round), index, chunk, bytes));
      if (bytes === null || leaf !== rows.get(index)![chunk]?.leaf)
        throw new DamagedChunkError(
          'chunk-damaged',
          `A stored contribution of round ${round.round} is gone or damaged. The round is given up; check the disk.`,
        );
      addWords(words, bytesToWords(bytes));
    }
    for (const mask of remaining) {
      masks.apply(words, chunk, mask);
      worked += words.length;
      if (worked >= wordsBetweenTurns) {
        worked = 0;
        await setImmediate();
      }
    }
    await store.files.writeSum(round.round, chunk, wordsToBytes(words));
    chunks.push(words);
  }
  return { sum, hash: toHex(sumHash(cipher, parameters, round.round, round.survivors, chunks)) };
}

/** A sum that was opened before, from the store. @throws InvariantError `sum-damaged`. */
export async function storedSum(
  cipher: Cipher,
  parameters: StudyParameters,
  store: CoordinatorStore,
  closed: { readonly round: number; readonly sum: string; readonly survivors: readonly number[] },
): Promise<Uint32Array> {
  const sum = new Uint32Array(parameters.dimension);
  const chunks: Uint32Array[] = [];
  const damaged = (): InvariantError =>
    new InvariantError(
      'sum-damaged',
      `The stored sum of round ${closed.round} is gone or damaged. Put the coordinator’s folder back from a backup.`,
    );
  for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
    const { from, to } = chunkRange(parameters.dimension, chunk);
    const bytes = await store.files.readSum(closed.round, chunk);
    if (bytes?.length !== 4 * (to - from)) throw damaged();
    sum.set(bytesToWords(bytes), from);
    chunks.push(sum.subarray(from, to));
  }
  if (toHex(sumHash(cipher, parameters, closed.round, closed.survivors, chunks)) !== closed.sum) throw damaged();
  return sum;
}
