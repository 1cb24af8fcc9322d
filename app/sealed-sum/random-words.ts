// Uniform 32-bit words from the Random port, drawn 64 KiB at a time, and the exact comparison of a uniform real with a
// threshold: further words are drawn only on a tie. Nothing here assumes anything of floating-point functions.

import { requireInteger } from '../errors.ts';
import type { Random } from '../ports.ts';

const bufferedWords = 2 ** 14;

/** One consumer's words. Call `wipe` when done: unread words would foretell nothing, read ones are the noise itself. */
export class RandomWords {
  readonly #random: Random;
  readonly #words = new Uint32Array(bufferedWords);
  #at = bufferedWords;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Uniform on 0 … 2^32 − 1. */
  next(): number {
    if (this.#at === bufferedWords) this.#refill();
    return this.#words[this.#at++]!;
  }

  /**
   * True with probability exactly `probability`, a double in [0, 1]: its binary digits are compared with random ones,
   * 32 at a time; scaling by 2^32 and taking the integer part off are exact.
   */
  bernoulli(probability: number): boolean {
    if (!(probability >= 0 && probability <= 1)) throw new RangeError('probability must be from 0 to 1');
    let rest = probability;
    while (rest > 0) {
      const scaled = rest * 2 ** 32;
      const digits = Math.floor(scaled);
      const word = this.next();
      if (word !== digits) return word < digits;
      rest = scaled - digits;
    }
    return false;
  }

  wipe(): void {
    this.#words.fill(0);
    this.#at = bufferedWords;
  }

  #refill(): void {
    const bytes = this.#random.bytes(4 * bufferedWords);
    requireInteger('random.bytes().length', bytes.length, 4 * bufferedWords, 4 * bufferedWords);
    new Uint8Array(this.#words.buffer).set(bytes);
    bytes.fill(0);
    this.#at = 0;
  }
}
