// The randomness and clock of a simulation. The generator is AES-256-CTR under a key from the seed: it repeats, so
// nothing drawn from it is private, and only this folder can construct it. Design 4, "A seeded run is not private".

import { toHex, utf8 } from '../encoding/bytes.ts';
import type { Cipher, Clock, Random } from '../ports.ts';

/** What every figure from a seeded run must carry beside it. */
export const seededNotPrivate = 'seeded, not private';

/** An endless stream of its own for each label. NOT PRIVATE: whoever knows the seed knows every draw. */
export function seededRandom(cipher: Cipher, seed: string, label: string): Random {
  const key = cipher.sha256(utf8('consilience/simulation\0'), utf8(seed), utf8('\0'), utf8(label));
  let block = 0;
  let pool = new Uint8Array(0);
  let at = 0;
  const refill = (): void => {
    const blockKey = cipher.sha256(key, utf8(String(block++)));
    pool = new Uint8Array(1 << 14);
    cipher.aes256Ctr(blockKey, pool);
    at = 0;
  };
  return {
    bytes(length) {
      const out = new Uint8Array(length);
      for (let filled = 0; filled < length;) {
        if (at === pool.length) refill();
        const take = Math.min(length - filled, pool.length - at);
        out.set(pool.subarray(at, at + take), filled);
        filled += take;
        at += take;
      }
      return out;
    },
  };
}

export type SimulatedClock = Clock & { advanceTo(milliseconds: number): void };

/** A clock that moves only when the simulation says so. */
export function simulatedClock(start: number): SimulatedClock {
  let now = start;
  return {
    now: () => now,
    advanceTo(milliseconds) {
      now = Math.max(now, milliseconds);
    },
  };
}

/** The same primitives, each signature checked and each public key worked out once: all parties run in one process. */
export function rememberingCipher(cipher: Cipher): Cipher {
  const remembered = <Value>(key: string, known: Map<string, Value>, work: () => Value): Value => {
    const there = known.get(key);
    if (there !== undefined) return there;
    const value = work();
    known.set(key, value);
    return value;
  };
  const verified = new Map<string, boolean>();
  const keys = new Map<string, Uint8Array>();
  return {
    ...cipher,
    ed25519Verify: (publicKey, message, signature) =>
      remembered(toHex(cipher.sha256(publicKey, signature, message)), verified, () =>
        cipher.ed25519Verify(publicKey, message, signature),
      ),
    ed25519PublicKey: (seed) => remembered(`e${toHex(seed)}`, keys, () => cipher.ed25519PublicKey(seed)).slice(),
    x25519PublicKey: (secret) => remembered(`x${toHex(secret)}`, keys, () => cipher.x25519PublicKey(secret)).slice(),
  };
}
