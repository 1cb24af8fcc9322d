// Opens a round's sum chunk by chunk and notes each chunk that lies in the store, so that a kill loses one chunk's work at
// most. One process does all of them; replicas share them as jobs (shared-opening.ts). Design 3, R5.

import { toHex } from '../../../app/encoding/bytes.ts';
import { InvariantError } from '../../../app/errors.ts';
import type { Cipher } from '../../../app/ports.ts';
import type { CoordinatorRound } from '../../../app/round/coordinator-state.ts';
import { wordBits } from '../../../app/round/parameters.ts';
import type { StudyParameters } from '../../../app/round/parameters.ts';
import { sumHash } from '../../../app/round/result.ts';
import { chunkCount, chunkRange } from '../../../app/sealed-sum/masks.ts';
import { packWords, packedLength, unpackWords } from '../../../app/sealed-sum/packing.ts';
import type { CoordinatorStore } from '../store.ts';
import type { AddingPool } from './adding-pool.ts';

export type SumOpener = {
  /**
   * Resolves when every chunk of the sum lies durably in the store, or when the round is no longer being opened.
   * @throws DamagedChunkError `chunk-damaged`; UnavailableError.
   */
  open(round: CoordinatorRound): Promise<void>;
  close(): Promise<void>;
};

/** Adds, unmasks, stores and notes one chunk. */
export async function openChunk(
  parameters: StudyParameters,
  store: CoordinatorStore,
  pool: AddingPool,
  round: CoordinatorRound,
  chunk: number,
): Promise<void> {
  const words = await pool.chunk(round, chunk);
  await store.files.writeSum(round.round, chunk, packWords(words, wordBits(parameters)));
  await store.recordOpened(round.round, chunk);
}

/** The chunks that are not opened yet. */
export async function chunksToOpen(
  parameters: StudyParameters,
  store: CoordinatorStore,
  round: CoordinatorRound,
): Promise<readonly number[]> {
  const there = new Set(await store.openedChunks(round.round));
  return Array.from({ length: chunkCount(parameters.dimension) }, (_, chunk) => chunk).filter(
    (chunk) => !there.has(chunk),
  );
}

/** Everything in this process, two chunks at a time: one is stored while the next is added. */
export function localOpener(parameters: StudyParameters, store: CoordinatorStore, pool: AddingPool): SumOpener {
  return {
    async open(round) {
      const left = [...(await chunksToOpen(parameters, store, round))];
      const lane = async (): Promise<void> => {
        for (let chunk = left.shift(); chunk !== undefined; chunk = left.shift())
          await openChunk(parameters, store, pool, round, chunk);
      };
      // The first failure is told when both have stopped.
      const ends = await Promise.allSettled([lane(), lane()]);
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
    },
    close: () => pool.close(),
  };
}

/**
 * A sum whose every chunk lies in the store, d ring words, with its hash.
 * @throws InvariantError `sum-damaged`.
 */
export async function readSum(
  cipher: Cipher,
  parameters: StudyParameters,
  store: CoordinatorStore,
  { round, survivors }: { readonly round: number; readonly survivors: readonly number[] },
): Promise<{ readonly sum: Uint32Array; readonly hash: string }> {
  const sum = new Uint32Array(parameters.dimension);
  const bits = wordBits(parameters);
  const chunks: Uint32Array[] = [];
  for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
    const { from, to } = chunkRange(parameters.dimension, chunk);
    const bytes = await store.files.readSum(round, chunk);
    if (bytes?.length !== packedLength(to - from, bits)) throw damaged(round);
    sum.set(unpackWords(bytes, bits), from);
    chunks.push(sum.subarray(from, to));
  }
  return { sum, hash: toHex(sumHash(cipher, parameters, round, survivors, chunks)) };
}

/** A sum that was opened before, from the store. @throws InvariantError `sum-damaged`. */
export async function storedSum(
  cipher: Cipher,
  parameters: StudyParameters,
  store: CoordinatorStore,
  closed: { readonly round: number; readonly sum: string; readonly survivors: readonly number[] },
): Promise<Uint32Array> {
  const { sum, hash } = await readSum(cipher, parameters, store, closed);
  if (hash !== closed.sum) throw damaged(closed.round);
  return sum;
}

const damaged = (round: number): InvariantError =>
  new InvariantError(
    'sum-damaged',
    `The stored sum of round ${round} is gone or damaged. Put the coordinator’s folder back from a backup.`,
  );
