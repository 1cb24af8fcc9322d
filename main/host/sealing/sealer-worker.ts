// A thread of the sealer (sealer.ts): adds the masks' streams to one piece of a chunk at a time, in shared memory.

import { parentPort } from 'node:worker_threads';
import { wipeStreamKeys } from '../../../app/sealed-sum/masks.ts';
import type { SealingAnswer, SealingQuestion } from './sealer.ts';
import { addStreams } from './stream-adder.ts';

parentPort!.on('message', ({ words, from, length, keys }: SealingQuestion) => {
  try {
    addStreams(words.subarray(from, from + length), keys.add, keys.subtract, from);
  } finally {
    wipeStreamKeys(keys);
  }
  parentPort!.postMessage({ done: true } satisfies SealingAnswer, []);
});
