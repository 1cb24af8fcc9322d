// A part of one chunk of a sum: the masked chunks of some survivors, added, with what masks those survivors brought in
// taken away (their self masks, and their pair masks with every dropout). The parts of all survivors add up to the chunk.
// Pure but for the blobs it reads: the same in the coordinator's own thread and in its workers. Design 3, R5.

import { toHex } from '../../../app/encoding/bytes.ts';
import { InvariantError } from '../../../app/errors.ts';
import type { Cipher } from '../../../app/ports.ts';
import type { OpenedSeed } from '../../../app/round/coordinator-state.ts';
import { contextOf, wordBits } from '../../../app/round/parameters.ts';
import type { StudyParameters } from '../../../app/round/parameters.ts';
import type { CohortMember } from '../../../app/round/participant-state.ts';
import { masksLeft } from '../../../app/round/result.ts';
import type { Ring } from '../../../app/sealed-sum/harary-ring.ts';
import type { Masks, SignedKey } from '../../../app/sealed-sum/masks.ts';
import { unpackWords } from '../../../app/sealed-sum/packing.ts';
import { addWords } from '../../../app/sealed-sum/unmask.ts';
import { vectorLeafHash } from '../../../app/sealed-sum/vector-root.ts';
import type { ChunkFiles } from './chunk-files.ts';

/** A stored contribution is gone or is no longer what was signed: the round cannot be opened. */
export class DamagedChunkError extends InvariantError {}

/** What is opened: plain data, so that it crosses to a thread. */
export type OpeningPart = {
  readonly round: number;
  readonly u1: { readonly hash: string; readonly members: readonly CohortMember[]; readonly ring?: Ring };
  /** Vectors of this part, of survivors or of relays, with their signed leaves, by chunk. */
  readonly vectors: readonly { readonly index: number; readonly leaves: readonly string[] }[];
  /** Seeds of the part's survivors, and of every dropout. */
  readonly seeds: readonly OpenedSeed[];
};

/** Masks between two pauses, some milliseconds of work: passes of eight (main/host/sealing/stream-adder.ts). */
const masksAtOnce = (length: number): number => Math.max(8, Math.min(64, Math.floor(2 ** 23 / length)));

/** Those of one sign lie together, so that they are added in whole passes. */
export const keysOf = (cipher: Cipher, parameters: StudyParameters, part: OpeningPart): SignedKey[] =>
  masksLeft(cipher, parameters, part.round, part.u1, part.seeds).sort((left, right) =>
    left.sign < right.sign ? -1 : left.sign > right.sign ? 1 : 0,
  );

/**
 * @param keys of the part (keysOf)
 * @param pause called after some masks, for the other work of the thread
 * @returns `length` ring words. @throws DamagedChunkError `chunk-damaged`; UnavailableError of the storage.
 */
export async function partialSum(
  around: {
    readonly cipher: Cipher;
    readonly parameters: StudyParameters;
    readonly files: ChunkFiles;
    readonly masks: Masks;
  },
  part: OpeningPart,
  keys: readonly SignedKey[],
  { chunk, length }: { readonly chunk: number; readonly length: number },
  pause: (words: number) => Promise<void> = async () => undefined,
): Promise<Uint32Array> {
  const { cipher, parameters, files, masks } = around;
  const words = new Uint32Array(length);
  for (const { index, leaves } of part.vectors) {
    const bytes = await files.readMasked(part.round, index, chunk);
    const leaf = bytes && toHex(vectorLeafHash(cipher, contextOf(parameters, part.round), index, chunk, bytes));
    if (bytes === null || leaf !== leaves[chunk])
      throw new DamagedChunkError(
        'chunk-damaged',
        `A stored contribution of round ${part.round} is gone or damaged. The round is given up; check the disk.`,
      );
    addWords(words, unpackWords(bytes, wordBits(parameters)));
  }
  const atOnce = masksAtOnce(length);
  for (let at = 0; at < keys.length; at += atOnce) {
    const some = keys.slice(at, at + atOnce);
    masks.applyAll(words, chunk, some);
    await pause(some.length * length);
  }
  return words;
}
