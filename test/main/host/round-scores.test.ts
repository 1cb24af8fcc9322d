// Accuracy counted in the totals is noted when a round closes and shown with it; a study that tests nothing notes nothing.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { metricWords } from '../../../app/review/round-event.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { runParticipant } from '../../../main/host/participant-run.ts';
import { readScores } from '../../../main/host/round-scores.ts';
import { bridgeOver, steward, valueOf, withHost } from './host-home.ts';
import { makeCentral, makeHomes, runOptions } from './participant-homes.ts';

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
