// One thread that draws its part of a noise share (noise-threads.ts), from the system's CSPRNG.

import { parentPort, workerData } from 'node:worker_threads';
import { InvariantError } from '../../app/errors.ts';
import { NoiseSampler } from '../../app/sealed-sum/noise.ts';
import { noiseVariance } from '../../app/units.ts';
import { systemRandom } from '../host/machine.ts';
import type { NoisePart } from './noise-threads.ts';

if (parentPort === null)
  throw new InvariantError('noise-thread-alone', 'A noise thread is started by its trainer, never by hand.');
const { share, from, to, variance } = workerData as NoisePart;
const sampler = new NoiseSampler(systemRandom, noiseVariance(variance));
sampler.draw(new Int32Array(share, 4 * from, to - from));
sampler.wipe();
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, no window
parentPort.postMessage(to - from);
