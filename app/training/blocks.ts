// A batch's gradient sum from blocks of its slots, on one or several workers. Blocks are public (the contract's
// microbatch), each is summed by one worker in its own order, and the blocks' sums are added in float64 in the order of
// the slots: the result has the same bits whatever the number of workers and whoever is fastest. Design 5.

import { requireInteger } from '../errors.ts';
import type { Pause } from './types.ts';

/** The clipped gradient sum of some slots at given parameters. Fails as a whole. */
export type BlockSum = (slots: Int32Array, parameters: Float32Array) => Promise<Float64Array>;

export type BlockedSum = {
  readonly parameters: Float32Array;
  /** Numbers in a sum; the parameters' own number by default. */
  readonly length?: number;
  readonly slots: Int32Array;
  /** Slots in a block. */
  readonly block: number;
  /** This thread's own; computes what a helper fails at. */
  readonly own: BlockSum;
  readonly helpers: readonly BlockSum[];
  /** Called before each block of `own`, with the slots that are finished. Must let other events run, or no helper is heard. */
  readonly pause?: Pause;
};

/** Blocks given out and not yet added, for each worker: bounds memory. */
const ahead = 3;

/** @throws whatever `own` or `pause` throws; a helper that fails is left out and its block computed by `own` */
export async function sumOfBlocks(request: BlockedSum): Promise<Float64Array> {
  const { parameters, slots, block, own, helpers, pause } = request;
  requireInteger('block', block, 1);
  const blocks = Math.ceil(slots.length / block);
  const total = new Float64Array(request.length ?? parameters.length);
  const waiting = new Map<number, Float64Array>();
  const orphans: number[] = [];
  /** Blocks given out, blocks added, and whether nobody may take another. */
  const state = { next: 0, added: 0, stopped: false };
  let moved = Promise.withResolvers<void>();
  const most = ahead * (helpers.length + 1);
  const signal = (): void => {
    const { resolve } = moved;
    moved = Promise.withResolvers();
    resolve();
  };
  const slotsOf = (at: number): Int32Array => slots.subarray(at * block, Math.min((at + 1) * block, slots.length));

  const finish = (at: number, sum: Float64Array): void => {
    if (sum.length !== total.length) throw new RangeError('a block must give as many numbers as the sum has');
    waiting.set(at, sum);
    for (let ready = waiting.get(state.added); ready !== undefined; ready = waiting.get(state.added)) {
      for (let i = 0; i < total.length; i++) total[i]! += ready[i]!;
      waiting.delete(state.added++);
    }
    signal();
  };

  const help = async (worker: BlockSum): Promise<void> => {
    while (!state.stopped && state.next < blocks) {
      if (state.next - state.added >= most) {
        await moved.promise;
        continue;
      }
      const at = state.next++;
      let sum: Float64Array;
      try {
        sum = await worker(slotsOf(at), parameters);
      } catch {
        orphans.push(at);
        signal();
        return;
      }
      if (!state.stopped) finish(at, sum);
    }
  };

  // Each helper has its next block before it is done with one, because this thread hears of it only between its own blocks.
  // The second is given when everybody has a first.
  const helping = [...helpers.map(help), ...helpers.map((worker) => Promise.resolve().then(() => help(worker)))];
  try {
    while (state.added < blocks) {
      const at = orphans.shift() ?? (state.next < blocks && state.next - state.added < most ? state.next++ : null);
      if (at === null) {
        await moved.promise;
        continue;
      }
      await pause?.(Math.min(state.added * block, slots.length), slots.length);
      finish(at, await own(slotsOf(at), parameters));
    }
  } finally {
    state.stopped = true;
    signal();
  }
  await Promise.all(helping);
  return total;
}
