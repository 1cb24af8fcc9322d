// How many discrete Gaussian samples a second two worker threads draw from the system's CSPRNG, at several σ, beside the
// textbook sampler on one. Best of three. Design 3, "Noise shares".

import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { NoiseSampler } from '../../app/sealed-sum/noise.ts';
import { noiseVariance } from '../../app/units.ts';
import { systemRandom } from '../../main/host/machine.ts';
import { textbookDiscreteGaussian } from '../oracle/discrete-gaussian.ts';

const threads = 2;
const count = 4_000_000;
const standardDeviations = [4, 30, 100, 1000, 10_000, 100_000, 500_000] as const;

/** Samples a second of one thread. */
function drawn(standardDeviation: number): number {
  const sampler = new NoiseSampler(systemRandom, noiseVariance(standardDeviation ** 2));
  const out = new Int32Array(count);
  sampler.draw(out.subarray(0, 100_000));
  const start = performance.now();
  sampler.draw(out);
  return count / ((performance.now() - start) / 1000);
}

const answer = (worker: Worker): Promise<number> =>
  new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });

export async function noiseBench(): Promise<object> {
  const perSecond: Record<string, number> = {};
  for (const standardDeviation of standardDeviations) {
    let best = 0;
    for (let turn = 0; turn < 3; turn++) {
      const workers = Array.from(
        { length: threads },
        () => new Worker(new URL(import.meta.url), { workerData: standardDeviation }),
      );
      const rates = await Promise.all(workers.map(answer));
      best = Math.max(
        best,
        rates.reduce((sum, rate) => sum + rate, 0),
      );
    }
    perSecond[String(standardDeviation)] = Math.round(best);
  }
  const start = performance.now();
  for (let i = 0; i < 5000; i++) textbookDiscreteGaussian(systemRandom, 1_000_000);
  const textbookPerSecond = Math.round(5000 / ((performance.now() - start) / 1000));
  return { threads, samplesPerSecond: perSecond, least: Math.min(...Object.values(perSecond)), textbookPerSecond };
}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, no window
if (!isMainThread) parentPort!.postMessage(drawn(workerData as number));
