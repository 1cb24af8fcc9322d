// One helper thread (helpers.ts): a backend of its own, which the trainer has tested, and the same gradient code.

import { parentPort, workerData } from 'node:worker_threads';
import { InvariantError } from '../../app/errors.ts';
import { clippedGradientSum } from '../../app/training/clipped-sum.ts';
import { architectureOf } from '../../app/training/model.ts';
import { backendNames, candidates } from './candidates.ts';
import type { FromHelper, HelperSetup, ToHelper } from './helpers.ts';

const port = parentPort;
const name = backendNames.find((known) => known === workerData);
if (port === null || name === undefined)
  throw new InvariantError('helper-alone', 'A helper thread is started by its trainer, never by hand.');
const ready = candidates[name].start();

let setup: HelperSetup | null = null;

async function sumOf(slots: Int32Array, parameters: Float32Array): Promise<Float64Array> {
  if (setup === null) throw new InvariantError('helper-unprepared', 'A helper got work before its setup.');
  await ready;
  const { task, records, units, person, clip, counted } = setup;
  return clippedGradientSum({
    architecture: architectureOf(task),
    parameters,
    records,
    units,
    slots,
    person,
    clip,
    counted,
  });
}

let queue: Promise<void> = Promise.resolve();
port.on('message', (message: ToHelper) => {
  queue = queue.then(async () => {
    if (message.type === 'setup') {
      ({ setup } = message);
      return;
    }
    const { id, slots, parameters } = message;
    const sum = await sumOf(slots, parameters).catch(() => null);
    port.postMessage({ id, sum } satisfies FromHelper, sum === null ? [] : [sum.buffer as ArrayBuffer]);
  });
});
