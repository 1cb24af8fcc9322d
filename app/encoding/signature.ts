// Ed25519 with domain separation and the strict reading of design 3: S < L, canonical keys and R, nothing of small
// order, checked before any verifier, because libraries differ exactly there (tweetnacl accepts S + L). Every use of an
// identity key has its own domain string, so that a signature for one purpose is worthless for another.

import { requireBytes } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import { compareBytes, concat, equalBytes, fromHex, utf8 } from './bytes.ts';

export type SignatureDomain =
  | 'css1'
  | 'contract'
  | 'consent'
  | 'withdrawal'
  | 'enrolment'
  | 'invitation'
  | 'checkpoint'
  | 'device-replacement'
  | 'coordinator-key'
  | 'transport-certificate'
  | 'request';

const inputOf = (domain: SignatureDomain, message: Uint8Array): Uint8Array =>
  concat(utf8(`consilience/${domain}\0`), message);

export function signWith(signer: Signer, domain: SignatureDomain, message: Uint8Array): Uint8Array {
  return signer.sign(inputOf(domain, message));
}

/** True only for a strictly valid signature; malformed input is false, never an exception. */
export function verifySignature(
  cipher: Cipher,
  publicKey: Uint8Array,
  domain: SignatureDomain,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (!isStrictEd25519Key(publicKey) || !isStrictSignature(signature)) return false;
  return cipher.ed25519Verify(publicKey, inputOf(domain, message), signature);
}

/** Signer from a 32-byte seed. The seed is captured; wipe the original if it is not needed. */
export function signerFromSeed(cipher: Cipher, seed: Uint8Array): Signer {
  requireBytes('seed', seed, 32);
  const own = seed.slice();
  return { publicKey: cipher.ed25519PublicKey(own), sign: (message) => cipher.ed25519Sign(own, message) };
}

// p = 2^255 − 19 and L = 2^252 + 27742317777372353535851937790883648493 (RFC 8032), big-endian.
const fieldPrime = fromHex('7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed');
const groupOrder = fromHex('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed');

// The encodings of the points of order 1, 2, 4 and 8 (sign bit cleared); non-canonical ones fall to the p check.
const smallOrderKeys: readonly Uint8Array[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map((hex) => fromHex(hex));

// u-coordinates of small order on Curve25519 and its twist (RFC 7748 section 7; Bernstein's list below 2^255).
const smallOrderX25519Keys: readonly Uint8Array[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map((hex) => fromHex(hex));

const reversed = (bytes: Uint8Array): Uint8Array => bytes.slice().reverse();

function withoutTopBit(key: Uint8Array): Uint8Array {
  const out = key.slice();
  out[31]! &= 0x7f;
  return out;
}

/** Canonical (y < p) and not of small order. */
export function isStrictEd25519Key(key: Uint8Array): boolean {
  if (key.length !== 32) return false;
  const y = withoutTopBit(key);
  if (compareBytes(reversed(y), fieldPrime) >= 0) return false;
  return !smallOrderKeys.some((small) => equalBytes(small, y));
}

/** S < L, and R canonical. */
export function isStrictSignature(signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  const s = reversed(signature.subarray(32));
  if (compareBytes(s, groupOrder) >= 0) return false;
  return compareBytes(reversed(withoutTopBit(signature.subarray(0, 32))), fieldPrime) < 0;
}

/** Top bit clear, u < p, not of small order. */
export function isStrictX25519Key(key: Uint8Array): boolean {
  if (key.length !== 32) return false;
  // A number below p has its top bit clear.
  if (compareBytes(reversed(key), fieldPrime) >= 0) return false;
  return !smallOrderX25519Keys.some((small) => equalBytes(small, key));
}
