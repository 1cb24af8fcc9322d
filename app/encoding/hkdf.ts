// HKDF-SHA-256 (RFC 5869), from the Cipher port's HMAC.

import { requireInteger } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { concat, u8 } from './bytes.ts';

export function hkdfExtract(cipher: Cipher, salt: Uint8Array, keyMaterial: Uint8Array): Uint8Array {
  return cipher.hmacSha256(salt.length === 0 ? new Uint8Array(32) : salt, keyMaterial);
}

/** `length` up to 255 · 32 bytes. */
export function hkdfExpand(cipher: Cipher, pseudorandomKey: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  requireInteger('length', length, 0, 255 * 32);
  const blocks: Uint8Array[] = [];
  let previous = new Uint8Array(0) as Uint8Array;
  for (let counter = 1; blocks.length * 32 < length; counter++) {
    previous = cipher.hmacSha256(pseudorandomKey, previous, info, u8(counter));
    blocks.push(previous);
  }
  return concat(...blocks).slice(0, length);
}

export function hkdf(
  cipher: Cipher,
  keyMaterial: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  return hkdfExpand(cipher, hkdfExtract(cipher, salt, keyMaterial), info, length);
}
