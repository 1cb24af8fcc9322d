// What a simulation decides by chance, from a seeded stream: the same seed, the same decisions in the same order.

import type { Random } from '../ports.ts';

export type Draws = {
  /** True with this probability. */
  chance(probability: number): boolean;
  /** Whole number from `least` to `most`, both possible. */
  whole(least: number, most: number): number;
  /** Number in [least, most). */
  between(least: number, most: number): number;
  pick<Item>(items: readonly Item[]): Item;
  /** Some of the items, each with this probability, in their order. */
  some<Item>(items: readonly Item[], probability: number): Item[];
};

export function drawsFrom(random: Random): Draws {
  const unit = (): number => {
    const bytes = random.bytes(4);
    return (bytes[0]! * 2 ** 24 + bytes[1]! * 2 ** 16 + bytes[2]! * 2 ** 8 + bytes[3]!) / 2 ** 32;
  };
  const draws: Draws = {
    chance: (probability) => unit() < probability,
    whole: (least, most) => least + Math.floor(unit() * (most - least + 1)),
    between: (least, most) => least + unit() * (most - least),
    pick(items) {
      const item = items[draws.whole(0, items.length - 1)];
      if (item === undefined) throw new RangeError('items must not be empty');
      return item;
    },
    some: (items, probability) => items.filter(() => draws.chance(probability)),
  };
  return draws;
}
