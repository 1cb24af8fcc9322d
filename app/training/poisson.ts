// Poisson sampling at the exact rate, and the place of each sampled unit. Places are a uniformly random injection into
// the public number of slots: without one unit the others' places keep their distribution, so neighbouring data sets can
// be coupled such that a single pass of clipped-sum.ts differs. Randomness from the CSPRNG port. Design 4, "Modes".

import { InvariantError, requireInteger } from '../errors.ts';
import type { Random } from '../ports.ts';

/** A slot without a unit. */
export const emptySlot = -1;

/**
 * Every unit enters with probability `rate` (a double, compared exactly with 53 random bits and, on a tie, 53 more).
 * Returns `capacity` slots, each a unit's number or `emptySlot`. Units beyond the capacity are left out; the contract
 * check charges that event's probability to δ.
 */
export function sampledSlots(random: Random, units: number, rate: number, capacity: number): Int32Array {
  requireInteger('units', units, 0);
  requireInteger('capacity', capacity, 1, 2 ** 30);
  if (!(rate > 0 && rate <= 1)) throw new RangeError('rate must be a number in (0, 1]');
  const source = new Uniform(random);
  const sampled: number[] = [];
  for (let unit = 0; unit < units; unit++) if (source.isBelow(rate)) sampled.push(unit);
  const places = Int32Array.from({ length: capacity }, (_, slot) => slot);
  const slots = new Int32Array(capacity).fill(emptySlot);
  const taken = Math.min(capacity, sampled.length);
  for (let i = 0; i < taken; i++) {
    const other = i + source.below(capacity - i);
    const place = places[other]!;
    places[other] = places[i]!;
    places[i] = place;
    slots[place] = sampled[i]!;
  }
  return slots;
}

class Uniform {
  readonly #random: Random;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** True with probability exactly `rate`. */
  isBelow(rate: number): boolean {
    for (let rest = rate; rest > 0;) {
      const scaled = rest * 2 ** 53;
      const digits = Math.floor(scaled);
      const drawn = this.#bits53();
      if (drawn !== digits) return drawn < digits;
      rest = scaled - digits;
    }
    return false;
  }

  /** Uniform on 0 … limit − 1, by rejection. */
  below(limit: number): number {
    const whole = 2 ** 53 - (2 ** 53 % limit);
    for (;;) {
      const drawn = this.#bits53();
      if (drawn < whole) return drawn % limit;
    }
  }

  #bits53(): number {
    if (this.#at === this.#bytes.length) {
      this.#bytes = this.#random.bytes(7 * 1024);
      if (this.#bytes.length !== 7 * 1024)
        throw new InvariantError('random-short', 'The random source gave too few bytes. Please report this.');
      this.#at = 0;
    }
    let value = this.#bytes[this.#at]! & 31;
    for (let i = 1; i < 7; i++) value = value * 256 + this.#bytes[this.#at + i]!;
    this.#at += 7;
    return value;
  }
}
