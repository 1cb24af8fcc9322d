// How many discrete Gaussian samples a second the trainer's noise threads draw from the system's CSPRNG, two of them and
// their start included, at several σ, beside the textbook sampler on one. Best of three. Design 3, "Noise shares".

import { noiseVariance } from '../../app/units.ts';
import { systemRandom } from '../../main/host/machine.ts';
import { threadedNoise } from '../../main/trainer/noise-threads.ts';
import { textbookDiscreteGaussian } from '../oracle/discrete-gaussian.ts';

const threads = 2;
const count = 8_000_000;
const standardDeviations = [4, 30, 100, 1000, 10_000, 100_000, 500_000] as const;

export async function noiseBench(): Promise<object> {
  const draw = threadedNoise(systemRandom, { threads });
  const perSecond: Record<string, number> = {};
  for (const standardDeviation of standardDeviations) {
    let best = 0;
    for (let turn = 0; turn < 3; turn++) {
      const start = performance.now();
      await draw(noiseVariance(standardDeviation ** 2), count);
      best = Math.max(best, count / ((performance.now() - start) / 1000));
    }
    perSecond[String(standardDeviation)] = Math.round(best);
  }
  const start = performance.now();
  for (let i = 0; i < 5000; i++) textbookDiscreteGaussian(systemRandom, 1_000_000);
  const textbookPerSecond = Math.round(5000 / ((performance.now() - start) / 1000));
  return { threads, samplesPerSecond: perSecond, least: Math.min(...Object.values(perSecond)), textbookPerSecond };
}
