// Public start values from a public seed: the same bits at every institution. Not privacy randomness.

import { requireInteger } from '../errors.ts';

/** SplitMix64 (Steele, Lea and Flood 2014): its upper 53 bits as a number in [0, 1). */
export function splitMix64(seed: number): () => number {
  requireInteger('seed', seed, 0);
  const mask = 0xffff_ffff_ffff_ffffn;
  let state = BigInt(seed);
  return () => {
    state = (state + 0x9e37_79b9_7f4a_7c15n) & mask;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn) & mask;
    return Number((z ^ (z >> 31n)) >> 11n) * 2 ** -53;
  };
}
