// Large noise shares on several cores: each thread draws its own part of one shared vector, from the system's CSPRNG and
// nothing else, so that the share is what one thread would draw (samples are independent) and memory stays one vector. A
// thread that fails costs the whole share, which is then drawn here anew. Design 3, "Sampler: by chunk across workers".

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { InvariantError } from '../../app/errors.ts';
import type { Random } from '../../app/ports.ts';
import { noiseShare } from '../../app/sealed-sum/noise.ts';
import type { NoiseVariance } from '../../app/units.ts';

/** One share of `dimension` independent samples of N_Z(0, v). */
export type DrawNoise = (variance: NoiseVariance, dimension: number) => Promise<Int32Array>;

/** What a thread is asked: samples `from` to `to` of the share. It answers how many it drew. */
export type NoisePart = {
  readonly share: SharedArrayBuffer;
  readonly from: number;
  readonly to: number;
  readonly variance: number;
};

/** Samples below which a thread costs more than it brings: about a tenth of a second. */
export const worthThreads = 2 ** 20;

const mostThreads = 4;

export type NoiseThreads = {
  readonly threads?: number;
  readonly worthwhile?: number;
  /** The thread's program. */
  readonly entry?: URL;
};

const ownEntry = new URL(import.meta.url.endsWith('.ts') ? './noise-thread.ts' : './noise-thread.js', import.meta.url);

/** @param random for small shares, and where a thread failed: the system's, in a program that trains on records. */
export function threadedNoise(random: Random, options: NoiseThreads = {}): DrawNoise {
  const { worthwhile = worthThreads, entry = ownEntry } = options;
  const threads = options.threads ?? Math.min(mostThreads, availableParallelism());
  return async (variance, dimension) => {
    if (threads < 2 || dimension < worthwhile) return noiseShare(random, variance, dimension);
    const share = new SharedArrayBuffer(4 * dimension);
    const bounds = Array.from({ length: threads + 1 }, (_, at) => Math.floor((at * dimension) / threads));
    const workers = bounds.slice(1).map((to, at) => {
      const part: NoisePart = { share, from: bounds[at]!, to, variance };
      return { part, worker: new Worker(entry, { workerData: part }) };
    });
    try {
      await Promise.all(workers.map(({ part, worker }) => drawn(part, worker)));
      return new Int32Array(share);
    } catch {
      // None of them may go on writing, and nothing that they wrote is used.
      await Promise.all(workers.map(({ worker }) => worker.terminate()));
      return noiseShare(random, variance, dimension);
    }
  };
}

function drawn({ from, to }: NoisePart, worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    const lost = (): void =>
      reject(new InvariantError('noise-thread', 'A thread that draws noise ended early. Please report this.'));
    worker.once('message', (count: unknown) => (count === to - from ? resolve() : lost()));
    worker.once('error', lost);
    worker.once('exit', lost);
  });
}
