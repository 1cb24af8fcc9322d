// Masks: PRG(key) for chunk k is the AES-256-CTR stream under that chunk's key, read as little-endian 32-bit words and
// added mod 2^32. Design 3, "Keys". Behind the type `Masks`, so that key-homomorphic masks can take its place.

import { bytesToWords } from '../encoding/bytes.ts';
import { requireInteger } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { chunkKey } from './keys.ts';

/** Words in a chunk; only the last one of a vector may be shorter. */
export const chunkWords = 2 ** 20;

/** Number of chunks of a vector of `dimension` words. */
export function chunkCount(dimension: number): number {
  requireInteger('dimension', dimension, 1, 0xffffffff);
  return Math.ceil(dimension / chunkWords);
}

/** Words `[from, to)` of the vector that chunk `chunk` holds. */
export function chunkRange(dimension: number, chunk: number): { readonly from: number; readonly to: number } {
  requireInteger('chunk', chunk, 0, chunkCount(dimension) - 1);
  return { from: chunk * chunkWords, to: Math.min(dimension, (chunk + 1) * chunkWords) };
}

export type MaskSign = 'add' | 'subtract';

/** A mask key and what to do with its stream. */
export type SignedKey = { readonly key: Uint8Array; readonly sign: MaskSign };

export type Masks = {
  /** Adds PRG(key) of this chunk to `words` in place mod 2^32, or subtracts it. */
  apply(words: Uint32Array, chunk: number, mask: SignedKey): void;
};

const littleEndianHost = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** One buffer of a chunk's size is kept and wiped after each use: one instance per thread. */
export function createMasks(cipher: Cipher, littleEndian = littleEndianHost): Masks {
  let stream = new Uint8Array(0);
  return {
    apply(words, chunk, { key, sign }) {
      requireInteger('words.length', words.length, 1, chunkWords);
      if (stream.length < 4 * words.length) stream = new Uint8Array(4 * words.length);
      const bytes = stream.subarray(0, 4 * words.length);
      const streamKey = chunkKey(cipher, key, chunk);
      try {
        cipher.aes256Ctr(streamKey, bytes);
        const mask = littleEndian ? new Uint32Array(stream.buffer, 0, words.length) : bytesToWords(bytes);
        if (sign === 'add') for (let i = 0; i < words.length; i++) words[i] = (words[i]! + mask[i]!) | 0;
        else for (let i = 0; i < words.length; i++) words[i] = (words[i]! - mask[i]!) | 0;
      } finally {
        bytes.fill(0);
        streamKey.fill(0);
      }
    },
  };
}

/** What the member `own` does with the mask it shares with `peer`: the lower index adds, the higher subtracts. */
export function pairSign(own: number, peer: number): MaskSign {
  if (own === peer) throw new RangeError('own and peer must be two members');
  return own < peer ? 'add' : 'subtract';
}

/**
 * y_i = x_i + PRG(b_i) ± Σ PRG(k_ij) for one chunk, in place. `pairKeys`: one for each member of U2 but oneself.
 * A mask key meets one plaintext, ever: the caller stores the outcome before it sends any of it.
 */
export function maskChunk(
  masks: Masks,
  words: Uint32Array,
  chunk: number,
  own: number,
  selfKey: Uint8Array,
  pairKeys: readonly { readonly index: number; readonly key: Uint8Array }[],
): void {
  masks.apply(words, chunk, { key: selfKey, sign: 'add' });
  for (const { index, key } of pairKeys) masks.apply(words, chunk, { key, sign: pairSign(own, index) });
}
