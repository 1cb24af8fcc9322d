// A thread of the coordinator that adds and unmasks its part of each chunk (adding-pool.ts). It reads the vectors itself,
// so that only sums cross between threads.

import { parentPort, workerData } from 'node:worker_threads';
import { ConsilienceError } from '../../../app/errors.ts';
import type { StudyParameters } from '../../../app/round/parameters.ts';
import { createMasks } from '../../../app/sealed-sum/masks.ts';
import type { SignedKey } from '../../../app/sealed-sum/masks.ts';
import { nodeCipher } from '../../host/machine.ts';
import type { AddingAnswer, AddingQuestion } from './adding-pool.ts';
import { openBlobs } from './blobs.ts';
import type { BlobPlace } from './blobs.ts';
import { chunkFiles } from './chunk-files.ts';
import { DamagedChunkError, keysOf, partialSum } from './partial-sum.ts';
import type { OpeningPart } from './partial-sum.ts';

const { parameters, blobs } = workerData as { readonly parameters: StudyParameters; readonly blobs: BlobPlace };
const files = openBlobs(blobs).then(chunkFiles);
const masks = createMasks(nodeCipher);
let present: { readonly part: OpeningPart; readonly keys: readonly SignedKey[] } | null = null;

parentPort!.on('message', (question: AddingQuestion) => {
  void answer(question).then((said) => {
    if ('words' in said) parentPort!.postMessage(said, [said.words.buffer as ArrayBuffer]);
    else parentPort!.postMessage(said, []);
  });
});

async function answer({ part, chunk, length }: AddingQuestion): Promise<AddingAnswer> {
  try {
    if (part !== null) present = { part, keys: keysOf(nodeCipher, parameters, part) };
    const around = { cipher: nodeCipher, parameters, files: await files, masks };
    return { words: await partialSum(around, present!.part, present!.keys, { chunk, length }) };
  } catch (error) {
    const known = error instanceof ConsilienceError;
    return {
      code: known ? error.code : 'unexpected',
      sentence: known ? error.message : 'A defect.',
      damaged: error instanceof DamagedChunkError,
    };
  }
}
