// Accuracy counted in the totals is noted when a round closes and shown with it; a study that tests nothing notes nothing.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { metricWords } from '../../../../app/review/round-event.ts';
import type { Contract } from '../../../../app/study/contract.ts';
import { logLossCap } from '../../../../app/training/evaluate.ts';
import { metricLayout, metricScale } from '../../../../app/training/evaluation-vector.ts';
import { studyPaths } from '../../../../main/host/participant/home.ts';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import { noteScore, readScores } from '../../../../main/host/participant/round-scores.ts';
import { sampleStudy } from '../../../app/round/sample-study.ts';
import { tinyTask } from '../../checkpoint/tiny-checkpoint.ts';
import { bridgeOver, steward, valueOf, withHost } from '../bridge/home.ts';
import { makeCentral, makeHomes, runOptions } from './homes.ts';

const schedule = {
  rounds: 2,
  attempts: 4,
  stageSeconds: { ready: 2, shares: 2, masked: 2, consistency: 2, unmask: 2 },
  intervalSeconds: 0,
};

function tested(contract: Contract): Contract {
  const evaluation = { share: 0.25, splitKey: '5a'.repeat(32), bins: 10, slices: [], leastCount: 5 };
  const terms = { ...contract, schedule, evaluation };
  // A longer vector wants a finer scale, and the noise with it.
  const { dimension, scale, noiseVariance } = contract.sealing;
  const sealing = {
    ...contract.sealing,
    dimension: dimension + metricWords(terms.task, evaluation),
    scale: 4 * scale,
    noiseVariance: 32 * noiseVariance,
  };
  return { ...terms, sealing };
}

test('a study that continues texts notes a perplexity and no accuracy', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'round-scores-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const { contract: base } = sampleStudy({ institutions: 3 });
  const task = tinyTask('0'.repeat(64), 'causal-lm');
  const evaluation = { share: 0.25, splitKey: '5a'.repeat(32), bins: 2, slices: [], leastCount: 5 };
  const contract: Contract = { ...base, task, evaluation };
  const study = 'ab'.repeat(32);
  await mkdir(studyPaths(folder, study).folder, { recursive: true });
  // Ten texts at a loss of 2 each, and too few of them.
  const scale = metricScale(contract.training.clippingNorm, metricLayout(task.table, evaluation, null));
  const noted = (round: number, count: number) =>
    noteScore(
      folder,
      { study, contract, round },
      Float64Array.of(count, 0, (count * 2) / logLossCap).map((x) => x * scale),
    );
  await noted(1, 10);
  await noted(2, 3);
  const scores = await readScores(folder, study);
  assert.deepEqual(
    scores.map(({ round, accuracy }) => [round, accuracy]),
    [
      [1, null],
      [2, null],
    ],
  );
  assert.ok(Math.abs(scores[0]!.perplexity! - Math.exp(2)) < 1e-9);
  assert.equal(scores[1]!.perplexity, null);
});

for (const [what, change, count] of [
  ['a study that tests notes a score a round', tested, 2],
  ['a study that tests nothing notes none', (contract: Contract) => ({ ...contract, schedule }), 0],
] as const)
  test(what, async (context) => {
    const homes = await makeHomes(4, change);
    context.after(() => homes.remove());
    const consents = [];
    for (const institution of homes.institutions) consents.push(await homes.consent(institution));
    const central = makeCentral(homes.signed.contract);
    const { signal } = new AbortController();
    await Promise.all(homes.institutions.map((one) => runParticipant(runOptions(homes, central, one, signal))));
    const { study } = consents[0]!;
    const { home } = homes.institutions[0]!;
    const scores = await readScores(home, study);
    assert.deepEqual(
      scores.map(({ round }) => round),
      Array.from({ length: count }, (_, at) => at + 1),
    );
    assert.deepEqual(await readScores(homes.institutions[1]!.home, study), scores, 'read off the same totals');
    for (const { noise, tested: units } of scores) assert.ok(noise > 0 && Number.isFinite(units));
    await withHost(home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      const { past } = valueOf(await bridge.call('round.list', {}));
      assert.equal(past.length, 2);
      assert.equal(past.filter(({ score }) => score !== null).length, count);
    });
    await writeFile(join(home, 'studies', study, 'scores.json'), '{"half');
    assert.deepEqual(await readScores(home, study), []);
  });
