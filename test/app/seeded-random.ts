// A deterministic Random for tests: the AES-256-CTR stream under SHA-256 of a label, read on and on. Statistics over it
// are as good as over real randomness, and a failing seed replays. Not private.

import { createCipheriv, createHash } from 'node:crypto';
import type { Random } from '../../app/ports.ts';

/** The same seed gives the same bytes, however they are cut into calls. */
export function seededRandom(seed: number | string): Random {
  const key = createHash('sha256').update(`seeded-random ${seed}`).digest();
  const stream = createCipheriv('aes-256-ctr', key, new Uint8Array(16));
  return { bytes: (length) => new Uint8Array(stream.update(new Uint8Array(length))) };
}

/** Gives exactly these bytes, then throws: for paths that chance never takes. */
export function scriptedRandom(...pieces: readonly Uint8Array[]): Random {
  let rest = Buffer.concat(pieces);
  return {
    bytes(length) {
      if (rest.length < length) throw new RangeError('the scripted randomness is used up');
      const out = new Uint8Array(rest.subarray(0, length));
      rest = rest.subarray(length);
      return out;
    },
  };
}
