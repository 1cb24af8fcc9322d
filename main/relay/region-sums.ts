// The opened sums of one region in its relay's home, where the study terms let regions open their own: written by the relay
// at the end of each round, read by `consilience relay sum`. What lies here is noised and charged; who may read the home may
// read it. Design 3, "Trees".

import { canonicalBytes, parseCanonical } from '../../app/encoding/canonical-json.ts';
import { InputError } from '../../app/errors.ts';
import type { Cipher } from '../../app/ports.ts';
import { wordBits } from '../../app/round/parameters.ts';
import type { StudyParameters } from '../../app/round/parameters.ts';
import { sumRule } from '../../app/round/vector-rules.ts';
import { chunkCount, chunkRange, createMasks } from '../../app/sealed-sum/masks.ts';
import type { SignedKey } from '../../app/sealed-sum/masks.ts';
import { packWords, unpackWords } from '../../app/sealed-sum/packing.ts';
import { dequantise } from '../../app/sealed-sum/quantise.ts';
import { reduceWords } from '../../app/sealed-sum/unmask.ts';
import type { Blobs } from '../coordinator/vectors/blobs.ts';
import type { ChunkFiles } from '../coordinator/vectors/chunk-files.ts';

const noteName = (round: number): string => `region-sums/${round}`;

export type RegionSum = {
  readonly round: number;
  /** Roster positions in it. */
  readonly members: readonly number[];
  /** In units of what is summed, Float64Array of all words. */
  readonly values: Float64Array;
};

/** Takes the masks away chunk by chunk; the note comes last, so that a sum is there whole or not at all. */
export async function writeRegionSum(
  around: {
    readonly cipher: Cipher;
    readonly parameters: StudyParameters;
    readonly files: ChunkFiles;
    readonly blobs: Blobs;
  },
  round: number,
  members: readonly number[],
  masks: readonly SignedKey[],
  read: (chunk: number) => Promise<Uint8Array>,
): Promise<void> {
  const { cipher, parameters, files, blobs } = around;
  const bits = wordBits(parameters);
  const remaining = createMasks(cipher);
  for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
    const words = unpackWords(await read(chunk), bits);
    remaining.applyAll(words, chunk, masks);
    reduceWords(words, bits);
    await files.writeSum(round, chunk, packWords(words, bits));
  }
  await blobs.put(noteName(round), canonicalBytes({ members }));
}

/** Whether the sum of that round is there. */
export const hasRegionSum = async (blobs: Blobs, round: number): Promise<boolean> =>
  (await blobs.get(noteName(round))) !== null;

/** @throws InputError `region-sum-missing`. */
export async function readRegionSum(
  parameters: StudyParameters,
  files: ChunkFiles,
  blobs: Blobs,
  round: number,
): Promise<RegionSum> {
  const note = await blobs.get(noteName(round));
  if (note === null)
    throw new InputError(
      'region-sum-missing',
      `The relay’s home holds no opened sum of round ${round}: the region was not in it, it did not close, or the terms open nothing below the root.`,
    );
  const { members } = parseCanonical(note) as { readonly members: readonly number[] };
  const { scale, ringBits } = sumRule(parameters.contract);
  const values = new Float64Array(parameters.dimension);
  for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
    const bytes = await files.readSum(round, chunk);
    if (bytes === null) throw new InputError('region-sum-missing', `A part of the sum of round ${round} is gone.`);
    values.set(
      dequantise(unpackWords(bytes, wordBits(parameters)), scale, ringBits),
      chunkRange(parameters.dimension, chunk).from,
    );
  }
  return { round, members, values };
}
