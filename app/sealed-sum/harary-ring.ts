// The sparse graph of one round: members stand on a ring in the order of a hash that nobody could foresee, and each one's
// neighbours are those within half a degree of it on either side. Everybody works the ring out alike from U1 and the
// nonces that its members committed to in it. Design 3, stage R0b.

import { compareBytes, concat, u16, utf8 } from '../encoding/bytes.ts';
import { requireBytes } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { contextBytes } from './context.ts';
import type { RoundContext } from './context.ts';

/** Roster positions of U1 in the order in which they stand on the ring. */
export type Ring = readonly number[];

/** What a Ready commits to and R0b reveals: 32 random bytes. */
export const nonceCommitment = (cipher: Cipher, nonce: Uint8Array): Uint8Array => cipher.sha256(nonce);

/**
 * Ordered by SHA-256("css1/position" ‖ seed ‖ u16 i), seed = SHA-256("css1/nonces" ‖ ctx ‖ H(U1) ‖ (u16 i ‖ nonce_i)…).
 * @param nonces of every member of U1, ascending by index
 */
export function ringOrder(
  cipher: Cipher,
  ctx: RoundContext,
  hU1: Uint8Array,
  nonces: readonly { readonly index: number; readonly nonce: Uint8Array }[],
): Ring {
  requireBytes('hU1', hU1, 32);
  const revealed = nonces.map(({ index, nonce }, at) => {
    requireBytes('nonce', nonce, 32);
    if (at > 0 && index <= nonces[at - 1]!.index) throw new RangeError('nonces must ascend by index');
    return concat(u16(index), nonce);
  });
  const seed = cipher.sha256(utf8('css1/nonces'), contextBytes(ctx), hU1, concat(...revealed));
  return nonces
    .map(({ index }) => ({ index, place: cipher.sha256(utf8('css1/position'), seed, u16(index)) }))
    .sort((left, right) => compareBytes(left.place, right.place))
    .map(({ index }) => index);
}

/** The neighbours of a member, ascending by index; `degree` is even and below the ring's size. */
export function neighboursOn(ring: Ring, degree: number, index: number): number[] {
  const place = ring.indexOf(index);
  if (place < 0 || degree >= ring.length) throw new RangeError('index must stand on a ring larger than the degree');
  const found: number[] = [];
  for (let step = 1; step <= degree / 2; step++)
    found.push(ring[(place + step) % ring.length]!, ring[(place - step + ring.length) % ring.length]!);
  return found.sort((left, right) => left - right);
}

/** SHA-256("css1/ring" ‖ ctx ‖ H(U1) ‖ (u16 index)… in the ring's order): which ring boxes were dealt on. */
export function ringHash(cipher: Cipher, ctx: RoundContext, hU1: Uint8Array, ring: Ring): Uint8Array {
  requireBytes('hU1', hU1, 32);
  return cipher.sha256(utf8('css1/ring'), contextBytes(ctx), hU1, concat(...ring.map(u16)));
}
