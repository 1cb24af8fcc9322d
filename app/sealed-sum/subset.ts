// Seeded-subset sparsification: of a model's d parameters only k travel in a round, the same ones for everybody, drawn
// uniformly by a public seed. The seed is SHA-256("css1/subset" ‖ study ‖ H(model)): it is fixed once the last sum is, which
// every institution added up itself, so nobody chooses it after seeing a vector, and a round that comes to nothing changes
// nothing in it. Design 3, "Quantisation" (the compression that secure sums permit); Bentley and Floyd 1987 (CACM 30:9).

import { bytesToWords, concat, u32, utf8 } from '../encoding/bytes.ts';
import { hkdfExpand } from '../encoding/hkdf.ts';
import { requireInteger } from '../errors.ts';
import type { Cipher } from '../ports.ts';

/** @param study SHA-256 of the contract @param model H(model) with which the round begins @returns 32 bytes */
export function subsetSeed(cipher: Cipher, study: Uint8Array, model: Uint8Array): Uint8Array {
  if (study.length !== 32 || model.length !== 32) throw new RangeError('study and model must be 32 bytes');
  return cipher.sha256(utf8('css1/subset'), study, model);
}

/** k: the contract's share of d, to the nearest whole number, at least 1. */
export function subsetSize(parameters: number, share: number): number {
  if (!(share > 0 && share <= 1)) throw new RangeError('share must be above 0 and at most 1');
  return Math.max(1, Math.round(parameters * share));
}

/**
 * The k of d positions, ascending. Every k-subset is equally likely over the seeds (Floyd's algorithm; numbers without bias, by
 * rejection), so each position is in it with probability k/d. Memory: d bits and the positions.
 */
export function subsetPositions(cipher: Cipher, seed: Uint8Array, parameters: number, size: number): Uint32Array {
  requireInteger('parameters', parameters, 1, 0xffff_ffff);
  requireInteger('size', size, 1, parameters);
  const below = uniformBelow(cipher, seed);
  const chosen = new Uint32Array(Math.ceil(parameters / 32));
  for (let last = parameters - size; last < parameters; last++) {
    const drawn = below(last + 1);
    const taken = (chosen[drawn >>> 5]! >>> (drawn & 31)) & 1;
    const position = taken === 1 ? last : drawn;
    chosen[position >>> 5]! |= 1 << (position & 31);
  }
  const positions = new Uint32Array(size);
  let at = 0;
  for (const [word, bits] of chosen.entries())
    for (let left = bits; left !== 0; left &= left - 1) positions[at++] = 32 * word + (31 - Math.clz32(left & -left));
  return positions;
}

const blockWords = 2 ** 10;

/** Uniform numbers below a bound. Block n of the stream: AES-256-CTR under HKDF-Expand(seed, "css1/subset" ‖ u32 n). */
function uniformBelow(cipher: Cipher, seed: Uint8Array): (bound: number) => number {
  const label = utf8('css1/subset');
  let [block, at] = [0, blockWords];
  let words: Uint32Array = new Uint32Array(0);
  const next = (): number => {
    if (at === blockWords) {
      const bytes = new Uint8Array(4 * blockWords);
      cipher.aes256Ctr(hkdfExpand(cipher, seed, concat(label, u32(block)), 32), bytes);
      words = bytesToWords(bytes);
      [block, at] = [block + 1, 0];
    }
    return words[at++]!;
  };
  return (bound) => {
    for (;;) {
      const word = next();
      const rest = word % bound;
      // Only where all `bound` words that share this quotient exist.
      if (word - rest <= 2 ** 32 - bound) return rest;
    }
  };
}

/** The chosen parameters of a vector, then whatever stands behind its d parameters (counts, metrics), all of it. */
export function restricted(vector: Float64Array, positions: Uint32Array, parameters: number): Float64Array {
  if (vector.length < parameters) throw new RangeError(`vector must have at least ${parameters} numbers`);
  const out = new Float64Array(positions.length + vector.length - parameters);
  for (let i = 0; i < positions.length; i++) out[i] = vector[positions[i]!]!;
  out.set(vector.subarray(parameters), positions.length);
  return out;
}

/** An unbiased estimate of the whole average: each chosen value times d/k in its place, zero elsewhere. */
export function spread(values: Float64Array, positions: Uint32Array, parameters: number): Float64Array {
  if (values.length !== positions.length) throw new RangeError('values must be as many as positions');
  const factor = parameters / positions.length;
  const out = new Float64Array(parameters);
  for (let i = 0; i < positions.length; i++) out[positions[i]!] = values[i]! * factor;
  return out;
}
