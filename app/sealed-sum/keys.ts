// One-round keys and what they are committed by: X25519 pairs, the mask keys drawn from them, the key of each chunk's
// stream, the hashes that name a liar. Design 3, "Keys" and R1. Every public key is checked before it is used.

import { concat, equalBytes, u16, u32, u8, utf8 } from '../encoding/bytes.ts';
import { hkdf, hkdfExpand } from '../encoding/hkdf.ts';
import { isStrictX25519Key } from '../encoding/signature.ts';
import { InputError, requireBytes } from '../errors.ts';
import type { Cipher, Random } from '../ports.ts';
import { contextBytes } from './context.ts';
import type { RoundContext } from './context.ts';
import { drawSecret } from './shamir.ts';

export type KeyPair = { readonly privateKey: Uint8Array; readonly publicKey: Uint8Array };

/** A fresh X25519 pair; the private bytes are unclamped and below the sharing prime, so that they can be shared. */
export function newKeyPair(random: Random, cipher: Cipher): KeyPair {
  const privateKey = drawSecret(random);
  return { privateKey, publicKey: cipher.x25519PublicKey(privateKey) };
}

/** Whether an opened mask key is the one whose public half (`spk`) its owner announced. */
export function isPrivateKeyOf(cipher: Cipher, privateKey: Uint8Array, publicKey: Uint8Array): boolean {
  return equalBytes(cipher.x25519PublicKey(privateKey), publicKey);
}

/**
 * The key that members `left` and `right` share: HKDF(X25519, salt H(U1), "css1/mask" ‖ ctx ‖ u16 min ‖ u16 max).
 * `privateKey` is one's, `publicKey` the other's; the order of the two indices does not matter.
 * @throws InputError `mask-key-unusable` for a public key that is not strict or gives an all-zero secret.
 */
export function pairMaskKey(
  cipher: Cipher,
  ctx: RoundContext,
  hU1: Uint8Array,
  left: number,
  right: number,
  privateKey: Uint8Array,
  publicKey: Uint8Array,
): Uint8Array {
  requireBytes('hU1', hU1, 32);
  if (left === right) throw new RangeError('left and right must be two members');
  const shared = isStrictX25519Key(publicKey) ? cipher.x25519(privateKey, publicKey) : null;
  if (shared === null)
    throw new InputError(
      'mask-key-unusable',
      'A member announced a mask key that cannot be used. The round was refused.',
    );
  const info = concat(utf8('css1/mask'), contextBytes(ctx), u16(Math.min(left, right)), u16(Math.max(left, right)));
  const key = hkdf(cipher, shared, hU1, info, 32);
  shared.fill(0);
  return key;
}

/** HKDF(b_i, salt H(U1), "css1/self" ‖ ctx ‖ u16 i). */
export function selfMaskKey(
  cipher: Cipher,
  ctx: RoundContext,
  hU1: Uint8Array,
  index: number,
  selfSeed: Uint8Array,
): Uint8Array {
  requireBytes('hU1', hU1, 32);
  requireBytes('selfSeed', selfSeed, 32);
  return hkdf(cipher, selfSeed, hU1, concat(utf8('css1/self'), contextBytes(ctx), u16(index)), 32);
}

const chunkLabel = utf8('css1/chunk');

/** HKDF-Expand(mask key, "css1/chunk" ‖ u32 chunk): the AES-256 key of one chunk's stream. */
export function chunkKey(cipher: Cipher, maskKey: Uint8Array, chunk: number): Uint8Array {
  requireBytes('maskKey', maskKey, 32);
  return hkdfExpand(cipher, maskKey, concat(chunkLabel, u32(chunk)), 32);
}

/** SHA-256("css1/b" ‖ ctx ‖ u16 i ‖ b_i). */
export function selfSeedCommitment(cipher: Cipher, ctx: RoundContext, index: number, selfSeed: Uint8Array): Uint8Array {
  requireBytes('selfSeed', selfSeed, 32);
  return cipher.sha256(utf8('css1/b'), contextBytes(ctx), u16(index), selfSeed);
}

/** Of which secret a share is: the seed of the dealer's own mask (b) or its mask secret key (s). */
export type ShareKind = 'b' | 's';

/** SHA-256("css1/share" ‖ ctx ‖ u16 dealer ‖ u16 holder ‖ u8 kind ‖ share), kind 0 for b and 1 for s. */
export function shareHash(
  cipher: Cipher,
  ctx: RoundContext,
  dealer: number,
  holder: number,
  kind: ShareKind,
  share: Uint8Array,
): Uint8Array {
  requireBytes('share', share, 32);
  return cipher.sha256(
    utf8('css1/share'),
    contextBytes(ctx),
    u16(dealer),
    u16(holder),
    u8(kind === 'b' ? 0 : 1),
    share,
  );
}
