// Opening the sum: masked chunks of U3 are added one by one, then the self masks of U3 and the pair masks between U3 and
// the members who dropped out after sharing (U2 \ U3) are taken away. Design 3, R4 and R5. Never n vectors at once.

import { InvariantError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { pairMaskKey, selfMaskKey } from './keys.ts';
import { pairSign } from './masks.ts';
import type { Masks, SignedKey } from './masks.ts';
import type { RoundContext } from './context.ts';

/** A member of U3: its opened seed b_i (checked against its commitment) and its announced `spk`. */
export type OpenedSurvivor = {
  readonly index: number;
  readonly selfSeed: Uint8Array;
  readonly maskPublicKey: Uint8Array;
};
/** A member of U2 \ U3: its opened mask secret key (checked against its `spk`). */
export type OpenedDropout = { readonly index: number; readonly maskPrivateKey: Uint8Array };

/**
 * All keys still in the plain addition of U3's vectors, with the sign that removes each.
 * @param areNeighbours whether two members share a mask; all do on the complete graph
 * @throws InvariantError `survivor-and-dropout` if a member is opened twice or on both sides: never both secrets.
 */
export function remainingMasks(
  cipher: Cipher,
  ctx: RoundContext,
  hU1: Uint8Array,
  survivors: readonly OpenedSurvivor[],
  dropouts: readonly OpenedDropout[],
  areNeighbours: (left: number, right: number) => boolean = () => true,
): SignedKey[] {
  const indices = new Set([...survivors, ...dropouts].map((member) => member.index));
  if (indices.size !== survivors.length + dropouts.length)
    throw new InvariantError(
      'survivor-and-dropout',
      'A member was to be opened twice in one round. The round was abandoned; please report this.',
    );
  const keys: SignedKey[] = survivors.map(({ index, selfSeed }) => ({
    key: selfMaskKey(cipher, ctx, hU1, index, selfSeed),
    sign: 'subtract',
  }));
  for (const dropout of dropouts)
    for (const survivor of survivors) {
      if (!areNeighbours(dropout.index, survivor.index)) continue;
      keys.push({
        key: pairMaskKey(
          cipher,
          ctx,
          hU1,
          dropout.index,
          survivor.index,
          dropout.maskPrivateKey,
          survivor.maskPublicKey,
        ),
        // The dropout's own sign is the opposite of the one that the survivor put into its vector.
        sign: pairSign(dropout.index, survivor.index),
      });
    }
  return keys;
}

/** sum += words, mod 2^32, in place. */
export function addWords(sum: Uint32Array, words: Uint32Array): void {
  if (sum.length !== words.length) throw new RangeError('words must be as long as sum');
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i]! + words[i]!) | 0;
}

/** words mod 2^bits, in place. */
export function reduceWords(words: Uint32Array, bits: number): void {
  if (bits === 32) return;
  const mask = 2 ** bits - 1;
  for (let i = 0; i < words.length; i++) words[i] = words[i]! & mask;
}

/** Chunk `chunk` of the plain sum mod 2^32. `maskedChunks`: that chunk of each member of U3, in any order. */
export function openChunk(
  masks: Masks,
  remaining: readonly SignedKey[],
  chunk: number,
  length: number,
  maskedChunks: Iterable<Uint32Array>,
): Uint32Array {
  const sum = new Uint32Array(length);
  for (const words of maskedChunks) addWords(sum, words);
  masks.applyAll(sum, chunk, remaining);
  return sum;
}
