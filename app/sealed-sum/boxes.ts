// The boxes in which a dealer's shares travel: NaCl box (crypto_box, X25519 + XSalsa20-Poly1305) from an ephemeral key of
// its own, so that a lie can be proved by revealing that one key. Design 3, "Boxes" and R1. Everything that the opener
// knows is inside and compared: a box that was swapped, reflected or kept from another round does not open.

import nacl from 'tweetnacl';
import { concat, equalBytes, u16, utf8 } from '../encoding/bytes.ts';
import { merkleRoot } from '../encoding/merkle.ts';
import { isStrictX25519Key } from '../encoding/signature.ts';
import { InputError, requireBytes } from '../errors.ts';
import type { Cipher, Random } from '../ports.ts';
import { contextBytes, contextLength } from './context.ts';
import type { RoundContext } from './context.ts';
import { isPrivateKeyOf, newKeyPair, shareHash } from './keys.ts';

const nonceLength = 24;
const plainLength = contextLength + 2 + 2 + 32 + 32 + 32;
/** nonce 24 ‖ Poly1305 tag 16 ‖ ciphertext 140. */
export const boxLength = nonceLength + 16 + plainLength;

/** What a dealer publishes for one holder; its leaf stands under the dealer's signed root. */
export type SealedBox = {
  readonly ephemeralPublicKey: Uint8Array;
  readonly shareHashB: Uint8Array;
  readonly shareHashS: Uint8Array;
  /** nonce ‖ ciphertext */
  readonly box: Uint8Array;
};

/** Who sends what to whom, and under which U1. */
export type BoxRoute = {
  readonly ctx: RoundContext;
  readonly hU1: Uint8Array;
  readonly dealer: number;
  readonly holder: number;
};

export type BoxShares = { readonly shareB: Uint8Array; readonly shareS: Uint8Array };

/** Why a box counts as faulty (a complaint names it). */
export type BoxFault =
  'ephemeral-key' | 'length' | 'does-not-open' | 'context' | 'route' | 'member-set' | 'share-hash-b' | 'share-hash-s';

export type BoxOpening = ({ readonly opened: true } & BoxShares) | { readonly opened: false; readonly fault: BoxFault };

/**
 * Seals both shares for one holder. Keep `ephemeralPrivateKey` for this round: revealing it answers a complaint.
 * @throws InputError `box-key-unusable` if the holder's `cpk` is not strict.
 */
export function sealBox(
  random: Random,
  cipher: Cipher,
  route: BoxRoute,
  holderKey: Uint8Array,
  shares: BoxShares,
): { readonly sealed: SealedBox; readonly ephemeralPrivateKey: Uint8Array } {
  requireBytes('shareB', shares.shareB, 32);
  requireBytes('shareS', shares.shareS, 32);
  if (!isStrictX25519Key(holderKey)) throw unusable();
  const ephemeral = newKeyPair(random, cipher);
  const nonce = random.bytes(nonceLength);
  const plain = concat(routeBytes(route), shares.shareB, shares.shareS);
  const key = boxKey(cipher, ephemeral.privateKey, holderKey);
  if (key === null) throw unusable();
  const box = concat(nonce, nacl.secretbox(plain, nonce, key));
  plain.fill(0);
  key.fill(0);
  const { ctx, dealer, holder } = route;
  return {
    sealed: {
      ephemeralPublicKey: ephemeral.publicKey,
      shareHashB: shareHash(cipher, ctx, dealer, holder, 'b', shares.shareB),
      shareHashS: shareHash(cipher, ctx, dealer, holder, 's', shares.shareS),
      box,
    },
    ephemeralPrivateKey: ephemeral.privateKey,
  };
}

/** The holder opens its box with the private half of its `cpk`. A fault is an outcome, not an exception. */
export function openBox(cipher: Cipher, route: BoxRoute, holderPrivateKey: Uint8Array, sealed: SealedBox): BoxOpening {
  if (!isStrictX25519Key(sealed.ephemeralPublicKey)) return { opened: false, fault: 'ephemeral-key' };
  return openWith(cipher, route, sealed.ephemeralPublicKey, holderPrivateKey, sealed);
}

/**
 * Anyone opens a box whose ephemeral private key its dealer revealed, as the holder would have: the judgement of a
 * complaint. A revealed key that is not the one under the box gives the fault `ephemeral-key`.
 */
export function openRevealedBox(
  cipher: Cipher,
  route: BoxRoute,
  holderPublicKey: Uint8Array,
  ephemeralPrivateKey: Uint8Array,
  sealed: SealedBox,
): BoxOpening {
  if (!isStrictX25519Key(holderPublicKey)) throw unusable();
  const matches =
    ephemeralPrivateKey.length === 32 &&
    isStrictX25519Key(sealed.ephemeralPublicKey) &&
    isPrivateKeyOf(cipher, ephemeralPrivateKey, sealed.ephemeralPublicKey);
  if (!matches) return { opened: false, fault: 'ephemeral-key' };
  return openWith(cipher, route, holderPublicKey, ephemeralPrivateKey, sealed);
}

function openWith(
  cipher: Cipher,
  route: BoxRoute,
  publicKey: Uint8Array,
  privateKey: Uint8Array,
  { box, shareHashB, shareHashS }: SealedBox,
): BoxOpening {
  if (box.length !== boxLength) return { opened: false, fault: 'length' };
  const key = boxKey(cipher, privateKey, publicKey);
  const plain = key && nacl.secretbox.open(box.subarray(nonceLength), box.subarray(0, nonceLength), key);
  key?.fill(0);
  if (plain === null) return { opened: false, fault: 'does-not-open' };
  const { ctx, dealer, holder } = route;
  const expected = routeBytes(route);
  const differs = (from: number, to: number): boolean =>
    !equalBytes(plain.subarray(from, to), expected.subarray(from, to));
  const shareB = plain.slice(contextLength + 36, contextLength + 68);
  const shareS = plain.slice(contextLength + 68);
  let fault: BoxFault | null = null;
  if (differs(0, contextLength)) fault = 'context';
  else if (differs(contextLength, contextLength + 4)) fault = 'route';
  else if (differs(contextLength + 4, contextLength + 36)) fault = 'member-set';
  else if (!equalBytes(shareHashB, shareHash(cipher, ctx, dealer, holder, 'b', shareB))) fault = 'share-hash-b';
  else if (!equalBytes(shareHashS, shareHash(cipher, ctx, dealer, holder, 's', shareS))) fault = 'share-hash-s';
  plain.fill(0);
  if (fault === null) return { opened: true, shareB, shareS };
  shareB.fill(0);
  shareS.fill(0);
  return { opened: false, fault };
}

const { lowlevel } = nacl as unknown as {
  readonly lowlevel: {
    crypto_core_hsalsa20(out: Uint8Array, input: Uint8Array, key: Uint8Array, constant: Uint8Array): void;
  };
};
const saltOfKey = new Uint8Array(16);
const salsaConstant = utf8('expand 32-byte k');

/**
 * crypto_box_beforenm: HSalsa20 of the X25519 output, which the machine computes many times faster than the library
 * would (a round of 500 seals and opens 500 boxes at each member). Null where the output is all zero.
 */
function boxKey(cipher: Cipher, privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null {
  const shared = cipher.x25519(privateKey, publicKey);
  if (shared === null) return null;
  const key = new Uint8Array(32);
  lowlevel.crypto_core_hsalsa20(key, saltOfKey, shared, salsaConstant);
  shared.fill(0);
  return key;
}

function unusable(): InputError {
  return new InputError('box-key-unusable', 'A member announced a box key that cannot be used. The round was refused.');
}

/** ctx ‖ u16 dealer ‖ u16 holder ‖ H(U1): the part of the plaintext that the opener can foretell. */
function routeBytes({ ctx, hU1, dealer, holder }: BoxRoute): Uint8Array {
  requireBytes('hU1', hU1, 32);
  return concat(contextBytes(ctx), u16(dealer), u16(holder), hU1);
}

const leafPrefix = Uint8Array.of(0);

/** SHA-256(0x00 ‖ ctx ‖ u16 i ‖ u16 j ‖ SHA-256(box) ‖ ephemeral public key ‖ share hash b ‖ share hash s). */
export function boxLeafHash(
  cipher: Cipher,
  ctx: RoundContext,
  dealer: number,
  holder: number,
  sealed: SealedBox,
): Uint8Array {
  requireBytes('ephemeralPublicKey', sealed.ephemeralPublicKey, 32);
  requireBytes('shareHashB', sealed.shareHashB, 32);
  requireBytes('shareHashS', sealed.shareHashS, 32);
  return cipher.sha256(
    leafPrefix,
    contextBytes(ctx),
    u16(dealer),
    u16(holder),
    cipher.sha256(sealed.box),
    sealed.ephemeralPublicKey,
    sealed.shareHashB,
    sealed.shareHashS,
  );
}

/** The root that a dealer signs in R1: leaves in the order of U1, its own box among them. */
export function boxRoot(
  cipher: Cipher,
  ctx: RoundContext,
  dealer: number,
  boxes: readonly { readonly holder: number; readonly sealed: SealedBox }[],
): Uint8Array {
  return merkleRoot(
    cipher,
    boxes.map(({ holder, sealed }) => boxLeafHash(cipher, ctx, dealer, holder, sealed)),
  );
}
