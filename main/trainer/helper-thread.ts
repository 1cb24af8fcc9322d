// One helper thread (helpers.ts): a backend of its own, which the trainer has tested, and the same gradient code. A language
// task's checkpoint is opened once, and held to the contract's hash as the trainer's own is.

import { parentPort, workerData } from 'node:worker_threads';
import { InvariantError } from '../../app/errors.ts';
import type { BlockSum } from '../../app/training/blocks.ts';
import type { AdaptedLanguage } from '../../app/training/language/evaluate.ts';
import { isLanguageTask } from '../../app/training/types.ts';
import { blockGradient } from './block-gradient.ts';
import { backendNames, candidates } from './candidates.ts';
import type { FromHelper, HelperSetup, ToHelper } from './helpers.ts';
import { openLanguage } from './language.ts';

const port = parentPort;
const name = backendNames.find((known) => known === workerData);
if (port === null || name === undefined)
  throw new InvariantError('helper-alone', 'A helper thread is started by its trainer, never by hand.');
const ready = candidates[name].start();

let gradient: Promise<BlockSum> | null = null;
let opened: { readonly key: string; readonly language: Promise<AdaptedLanguage> } | null = null;

/** A folder that cannot be used is not read again for each round. */
async function languageOf({ task, checkpointFolder = null }: HelperSetup): Promise<AdaptedLanguage | null> {
  if (!isLanguageTask(task)) return null;
  const key = JSON.stringify([checkpointFolder, task]);
  if (opened?.key !== key) {
    const earlier = await opened?.language.catch(() => null);
    earlier?.model.dispose();
    opened = { key, language: openLanguage(task, checkpointFolder) };
  }
  return opened.language;
}

async function prepared(setup: HelperSetup): Promise<BlockSum> {
  await ready;
  return blockGradient(setup, await languageOf(setup));
}

async function sumOf(slots: Int32Array, parameters: Float32Array): Promise<Float64Array> {
  if (gradient === null) throw new InvariantError('helper-unprepared', 'A helper got work before its setup.');
  return (await gradient)(slots, parameters);
}

let queue: Promise<void> = Promise.resolve();
port.on('message', (message: ToHelper) => {
  queue = queue.then(async () => {
    if (message.type === 'setup') {
      gradient = prepared(message.setup);
      await gradient.catch(() => null);
      return;
    }
    const { id, slots, parameters } = message;
    const sum = await sumOf(slots, parameters).catch(() => null);
    port.postMessage({ id, sum } satisfies FromHelper, sum === null ? [] : [sum.buffer as ArrayBuffer]);
  });
});
