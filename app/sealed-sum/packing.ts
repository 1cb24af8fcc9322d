// How ring words travel. Word i of the ring 2^w takes the bits [i·w, (i + 1)·w) of the bytes, the lowest first; what is
// left of the last byte is zero. With w = 32 these are little-endian words. Design 3, "Quantisation": a sum mod 2^w needs no
// more than w bits of each vector, because the low bits of a sum rest on the low bits of what is added.

import { bytesToWords, wordsToBytes } from '../encoding/bytes.ts';
import { InputError, requireInteger } from '../errors.ts';

/** Bytes of that many words. */
export function packedLength(count: number, bits: number): number {
  requireInteger('bits', bits, 16, 32);
  return Math.ceil((count * bits) / 8);
}

/** The words mod 2^bits. */
export function packWords(words: Uint32Array, bits: number): Uint8Array {
  const length = packedLength(words.length, bits);
  if (bits === 32) return wordsToBytes(words);
  const mask = 2 ** bits - 1;
  const packed = new Uint32Array(Math.ceil(length / 4) + 1);
  for (let i = 0, at = 0, shift = 0; i < words.length; i++) {
    const word = words[i]! & mask;
    packed[at] = packed[at]! | (word << shift);
    const used = 32 - shift;
    shift += bits;
    if (shift < 32) continue;
    at += 1;
    shift -= 32;
    if (shift > 0) packed[at] = word >>> used;
  }
  const bytes = wordsToBytes(packed).slice(0, length);
  packed.fill(0);
  return bytes;
}

/**
 * The words of `packWords`, each below 2^bits; their number follows from the length. Bits behind the last word are not
 * read: whoever sets them changes what it signed, and no sum.
 * @throws InputError `vector-form` where the length is that of no whole number of words.
 */
export function unpackWords(bytes: Uint8Array, bits: number): Uint32Array {
  requireInteger('bits', bits, 16, 32);
  const count = Math.floor((8 * bytes.length) / bits);
  if (packedLength(count, bits) !== bytes.length)
    throw new InputError('vector-form', 'A vector arrived in a form that is not the study’s. Ask for it again.');
  if (bits === 32) return bytesToWords(bytes);
  const padded = new Uint8Array(4 * Math.ceil(bytes.length / 4));
  padded.set(bytes);
  const packed = bytesToWords(padded);
  const mask = 2 ** bits - 1;
  const words = new Uint32Array(count);
  for (let i = 0, at = 0, shift = 0; i < count; i++) {
    let word = packed[at]! >>> shift;
    const used = 32 - shift;
    shift += bits;
    if (shift >= 32) {
      at += 1;
      shift -= 32;
      if (shift > 0) word |= packed[at]! << used;
    }
    words[i] = word & mask;
  }
  return words;
}
