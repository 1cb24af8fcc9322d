// Noise shares drawn by threads: that threads draw the large ones and nothing else does, that what they draw is the
// discrete Gaussian, each part fresh, and that a thread which fails costs time only. The threads' randomness is the
// system's and cannot be seeded: each bound below is passed by a right sampler but for one time in 10^12.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Random } from '../../../app/ports.ts';
import { noiseShare } from '../../../app/sealed-sum/noise.ts';
import { noiseVariance } from '../../../app/units.ts';
import { threadedNoise } from '../../../main/trainer/noise-threads.ts';
import { sealedVector } from '../../../main/trainer/sealed-vector.ts';
import { chiSquareExcess } from '../../app/sealed-sum/gaussian-fit.ts';
import { seededRandom } from '../../app/seeded-random.ts';
import { studyContract } from './synthetic.ts';

/** Fails where anything is drawn in this thread. */
const untouched: Random = {
  bytes() {
    throw new Error('drawn here');
  },
};

for (const threads of [2, 3])
  test(`${threads} threads draw all of a large share, and it is the discrete Gaussian`, async () => {
    const draw = threadedNoise(untouched, { threads, worthwhile: 1000 });
    for (const variance of [16, 10_000, 25 * 10 ** 10]) {
      const count = 300_001;
      const share = await draw(noiseVariance(variance), count);
      assert.equal(share.length, count);
      // Fifty degrees of freedom: ten deviations.
      assert.ok(chiSquareExcess(share, variance) < 10, `chi-square at v = ${variance}`);
      const part = Math.floor(count / threads);
      for (let at = 0; at < threads; at++) {
        const own = share.subarray(at * part, (at + 1) * part);
        const mean = own.reduce((sum, x) => sum + x, 0) / part;
        const second = own.reduce((sum, x) => sum + x * x, 0) / part;
        assert.ok(Math.abs(mean) < 7.2 * Math.sqrt(variance / part), `mean of part ${at} at v = ${variance}`);
        assert.ok(
          Math.abs(second / variance - 1) < 7.2 * Math.sqrt(2 / part),
          `power of part ${at} at v = ${variance}`,
        );
        for (let other = at + 1; other < threads; other++) {
          const products = own.reduce((sum, x, i) => sum + x * share[other * part + i]!, 0);
          assert.ok(Math.abs(products / part) < 7.2 * (variance / Math.sqrt(part)), `parts ${at} and ${other}`);
        }
      }
    }
    const [one, two] = [await draw(noiseVariance(100), 2000), await draw(noiseVariance(100), 2000)];
    assert.notDeepEqual(one, two);
  });

test('a small share is drawn here, from the random that was given', async () => {
  const variance = noiseVariance(300);
  const draw = (dimension: number) =>
    threadedNoise(seededRandom('small'), { threads: 2, worthwhile: 1000 })(variance, dimension);
  assert.deepEqual(await draw(999), noiseShare(seededRandom('small'), variance, 999));
  assert.notDeepEqual(await draw(1000), noiseShare(seededRandom('small'), variance, 1000));
  const alone = threadedNoise(seededRandom('small'), { threads: 1, worthwhile: 1000 });
  assert.deepEqual(await alone(variance, 5000), noiseShare(seededRandom('small'), variance, 5000));
});

test('of a thread that fails, ends early or drew less nothing is used: the whole share is drawn here', async () => {
  const variance = noiseVariance(300);
  const port = `import { parentPort, workerData } from 'node:worker_threads';`;
  for (const program of [
    `throw new Error('no')`,
    `process.exit(0)`,
    `${port} parentPort.postMessage(0)`,
    `${port} const { share, from, to } = workerData; new Int32Array(share).fill(7, from, to); if (from > 0) throw new Error('no'); parentPort.postMessage(to - from)`,
  ]) {
    const entry = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
    const draw = threadedNoise(seededRandom('again'), { threads: 2, worthwhile: 1000, entry });
    assert.deepEqual(await draw(variance, 4000), noiseShare(seededRandom('again'), variance, 4000), program);
  }
});

test('vectors of every mode get their noise from it, as much as the contract says, anew for each step', async () => {
  const [union, local] = [await studyContract('heart-private'), await studyContract('heart-local')];
  const institution = {
    ...union,
    training: { ...union.training, mode: 'institution', localSteps: 2, localLearningRate: 0.1 } as const,
  };
  for (const contract of [union, local, institution]) {
    const { mode, localSteps } = contract.training;
    const asked: (readonly [number, number])[] = [];
    await sealedVector({
      contract,
      index: 0,
      parameters: new Float32Array(contract.sealing.dimension),
      random: seededRandom('modes'),
      gradientSum: () => Promise.resolve(new Float64Array(contract.sealing.dimension)),
      pause: () => {},
      drawNoise: (variance, dimension) => {
        asked.push([variance, dimension]);
        return Promise.resolve(noiseShare(seededRandom('share'), variance, dimension));
      },
    });
    const { noiseVariance: variance, dimension } = contract.sealing;
    assert.deepEqual(
      asked,
      Array.from({ length: mode === 'local' ? localSteps : 1 }, () => [variance, dimension]),
    );
  }
});
