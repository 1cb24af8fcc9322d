// Masks: PRG(key) for chunk k is the AES-256-CTR stream under that chunk's key, read as little-endian 32-bit words and
// added mod 2^32. Design 3, "Keys". Behind the type `Masks`, so that key-homomorphic masks can take its place.

import { bytesToWords, littleEndianHost } from '../encoding/bytes.ts';
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
  /** The same for many masks, at once where the machine can (ports.ts, `addStreams`). */
  applyAll(words: Uint32Array, chunk: number, masks: readonly SignedKey[]): void;
};

/** The AES keys of one chunk's streams, by what is done with them. Wipe them after use. */
export type StreamKeys = { readonly add: Uint8Array[]; readonly subtract: Uint8Array[] };

export function streamKeys(cipher: Cipher, chunk: number, masks: readonly SignedKey[]): StreamKeys {
  const keys: StreamKeys = { add: [], subtract: [] };
  for (const { key, sign } of masks) keys[sign].push(chunkKey(cipher, key, chunk));
  return keys;
}

export function wipeStreamKeys({ add, subtract }: StreamKeys): void {
  for (const key of [...add, ...subtract]) key.fill(0);
}

/** One buffer of a chunk's size is kept and wiped after each use: one instance per thread. */
export function createMasks(cipher: Cipher, littleEndian = littleEndianHost): Masks {
  let stream = new Uint8Array(0);
  const masks: Masks = {
    apply(words, chunk, { key, sign }) {
      requireInteger('words.length', words.length, 1, chunkWords);
      if (stream.length < 4 * words.length) stream = new Uint8Array(4 * words.length);
      const bytes = stream.subarray(0, 4 * words.length);
      const streamKey = chunkKey(cipher, key, chunk);
      try {
        cipher.aes256Ctr(streamKey, bytes);
        const mask = littleEndian ? new Uint32Array(stream.buffer, 0, words.length) : bytesToWords(bytes, false);
        if (sign === 'add') for (let i = 0; i < words.length; i++) words[i] = (words[i]! + mask[i]!) | 0;
        else for (let i = 0; i < words.length; i++) words[i] = (words[i]! - mask[i]!) | 0;
      } finally {
        bytes.fill(0);
        streamKey.fill(0);
      }
    },
    applyAll(words, chunk, all) {
      requireInteger('words.length', words.length, 1, chunkWords);
      if (cipher.addStreams === undefined) {
        for (const mask of all) masks.apply(words, chunk, mask);
        return;
      }
      const keys = streamKeys(cipher, chunk, all);
      try {
        cipher.addStreams(words, keys.add, keys.subtract, 0);
      } finally {
        wipeStreamKeys(keys);
      }
    },
  };
  return masks;
}

/** What the member `own` does with the mask it shares with `peer`: the lower index adds, the higher subtracts. */
export function pairSign(own: number, peer: number): MaskSign {
  if (own === peer) throw new RangeError('own and peer must be two members');
  return own < peer ? 'add' : 'subtract';
}

/**
 * The masks of y_i = x_i + PRG(b_i) ± Σ PRG(k_ij). `pairKeys`: one for each member of U2 but oneself. A mask key meets
 * one plaintext, ever: the caller stores the outcome before it sends any of it.
 */
export function ownMasks(
  own: number,
  selfKey: Uint8Array,
  pairKeys: readonly { readonly index: number; readonly key: Uint8Array }[],
): SignedKey[] {
  return [{ key: selfKey, sign: 'add' }, ...pairKeys.map(({ index, key }) => ({ key, sign: pairSign(own, index) }))];
}

/** y_i for one chunk, in place. */
export function maskChunk(
  masks: Masks,
  words: Uint32Array,
  chunk: number,
  own: number,
  selfKey: Uint8Array,
  pairKeys: readonly { readonly index: number; readonly key: Uint8Array }[],
): void {
  masks.applyAll(words, chunk, ownMasks(own, selfKey, pairKeys));
}
