// Shamir's secret sharing (1979) over p = 2^256 − 189: secrets, coefficients and shares are 32 bytes, big-endian; the
// share of roster index i is the polynomial at x = i + 1. Design 3, "Bytes". BigInt time depends on values: shares are
// made and joined at their owner's only, once a round.

import { compareBytes, fromHex, toHex } from '../encoding/bytes.ts';
import { InputError, requireBytes, requireInteger } from '../errors.ts';
import type { Random } from '../ports.ts';

export const sharingPrime = 2n ** 256n - 189n;
const primeBytes = bytesOf(sharingPrime);

export type Share = { readonly index: number; readonly share: Uint8Array };

/** 32 uniform bytes below p: redrawn otherwise (once in 2^248). */
export function drawSecret(random: Random): Uint8Array {
  for (;;) {
    const secret = random.bytes(32);
    if (compareBytes(secret, primeBytes) < 0) return secret;
  }
}

/**
 * Shares of a 32-byte secret below p for each index, any `threshold` of which give it back.
 * @throws RangeError if the secret is not below p, the threshold exceeds the indices, or an index comes twice.
 */
export function splitSecret(
  random: Random,
  secret: Uint8Array,
  threshold: number,
  indices: readonly number[],
): Map<number, Uint8Array> {
  requireInteger('threshold', threshold, 1, indices.length);
  const coefficients: Uint8Array[] = [];
  for (let degree = 1; degree < threshold; degree++) coefficients.push(drawSecret(random));
  const shares = splitWithCoefficients(secret, coefficients, indices);
  for (const coefficient of coefficients) coefficient.fill(0);
  return shares;
}

/** The polynomial secret + a₁x + a₂x² + … at x = index + 1. Never call it with coefficients that are not fresh. */
export function splitWithCoefficients(
  secret: Uint8Array,
  coefficients: readonly Uint8Array[],
  indices: readonly number[],
): Map<number, Uint8Array> {
  const polynomial = [secret, ...coefficients].map((bytes) => fieldElement('secret', bytes)).reverse();
  const shares = new Map<number, Uint8Array>();
  for (const x of abscissae(indices)) {
    let value = 0n;
    for (const coefficient of polynomial) value = (value * x + coefficient) % sharingPrime;
    shares.set(Number(x) - 1, bytesOf(value));
  }
  return shares;
}

/**
 * The secret on the polynomial through these shares: give exactly the threshold's number. Any wrong share gives another
 * secret, so the caller compares with what the dealer committed to.
 * @throws InputError `share-out-of-range`. @throws RangeError if there are none, or an index comes twice.
 */
export function reconstructSecret(shares: readonly Share[]): Uint8Array {
  return joinerFor(shares.map(({ index }) => index))(shares.map(({ share }) => share));
}

/** `reconstructSecret` for many secrets from one set of holders: Lagrange's weights at zero are computed once. */
export function joinerFor(indices: readonly number[]): (shares: readonly Uint8Array[]) => Uint8Array {
  if (indices.length === 0) throw new RangeError('indices must not be empty');
  const weights = weightsAtZero(abscissae(indices));
  return (shares) => {
    if (shares.length !== weights.length) throw new RangeError('shares must be one for each index');
    let secret = 0n;
    shares.forEach((share, at) => {
      secret = (secret + weights[at]! * fieldElement('share', share)) % sharingPrime;
    });
    return bytesOf(secret);
  };
}

function weightsAtZero(xs: readonly bigint[]): bigint[] {
  return xs.map((x) => {
    let numerator = 1n;
    let denominator = 1n;
    for (const other of xs) {
      if (other === x) continue;
      numerator = (numerator * other) % sharingPrime;
      denominator = (denominator * (other - x)) % sharingPrime;
    }
    return (numerator * inverse(denominator)) % sharingPrime;
  });
}

/** Extended Euclid; `value` may be negative, and is never a multiple of p here (indices are distinct and small). */
function inverse(value: bigint): bigint {
  let [low, high] = [((value % sharingPrime) + sharingPrime) % sharingPrime, sharingPrime];
  let [lowFactor, highFactor] = [1n, 0n];
  while (low > 1n) {
    const quotient = high / low;
    [low, high] = [high - quotient * low, low];
    [lowFactor, highFactor] = [highFactor - quotient * lowFactor, lowFactor];
  }
  return ((lowFactor % sharingPrime) + sharingPrime) % sharingPrime;
}

function abscissae(indices: readonly number[]): bigint[] {
  for (const index of indices) requireInteger('index', index, 0, 0xffff);
  if (new Set(indices).size !== indices.length) throw new RangeError('indices must not name a member twice');
  return indices.map((index) => BigInt(index + 1));
}

function fieldElement(name: 'secret' | 'share', bytes: Uint8Array): bigint {
  requireBytes(name, bytes, 32);
  const value = BigInt(`0x${toHex(bytes)}`);
  if (value < sharingPrime) return value;
  if (name === 'secret') throw new RangeError('secret must be below 2^256 − 189');
  throw new InputError('share-out-of-range', 'A share is not a number of the field that secrets are shared in.');
}

function bytesOf(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(64, '0'));
}
