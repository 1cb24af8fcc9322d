// Whole studies whose clip and noise adapt, on made-up hospitals, through the real engine, sealing, ledger and guard.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fromUtf8 } from '../../../app/encoding/bytes.ts';
import { nextClip } from '../../../app/training/adaptive-clip.ts';
import { simulateStudy } from '../../../app/simulation/federation.ts';
import type { SimulationResult } from '../../../app/simulation/federation.ts';
import { seededRandom } from '../../../app/simulation/seeded-machine.ts';
import type { RoundStage } from '../../../app/round/participant-state.ts';
import { parameterCount } from '../../../app/training/model.ts';
import { encodeTable, requireAccepted } from '../../../app/training/records.ts';
import { chooseBackend } from '../../../main/trainer/candidates.ts';
import { roundVector } from '../../../main/trainer/step.ts';
import { demoDraft, syntheticSites } from '../../../main/cli/demo-study.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { simulateFiles } from '../../../main/host/model/simulated-study.ts';
import { adaptiveClipping, adaptiveNoise, adaptiveStudy } from '../../app/round/adaptive-study.ts';
import type { AdaptiveOptions } from '../../app/round/adaptive-study.ts';
import { recordsText } from './participant/homes.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'consilience-adaptive-'));
after(() => rmSync(folder, { recursive: true, force: true }));

type Entry = { readonly kind: string; readonly body: Record<string, unknown> };
const entriesOf = (result: SimulationResult, index: number): Entry[] =>
  fromUtf8(result.ledgers[index]!.file)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Entry);

const chargedVariances = (result: SimulationResult, index: number): number[] =>
  entriesOf(result, index)
    .filter(({ kind }) => kind === 'budget-reserved')
    .map(({ body }) => (body['event'] as { noiseVariance: number }).noiseVariance);

async function run(
  options: AdaptiveOptions,
  silentFrom: (round: number, index: number) => RoundStage | 'before-ready' | null = () => null,
) {
  await chooseBackend();
  const { contract, identities, coordinator } = adaptiveStudy(options);
  const records = identities.map((_, index) => {
    const [, ...lines] = recordsText(100, index + 1)
      .trim()
      .split('\n');
    const header = { line: 1, cells: ['x0', 'x1', 'x2', 'x3', 'y'] };
    const body = lines.map((row, i) => ({ line: i + 2, cells: row.split(',') }));
    return requireAccepted(encodeTable(contract.task.table, [header, ...body]));
  });
  const random = seededRandom(nodeCipher, 'adaptive', 'training');
  const clips: number[] = [];
  const result = await simulateStudy({
    cipher: nodeCipher,
    contract,
    identities,
    coordinator,
    randomFor: (label) => seededRandom(nodeCipher, 'adaptive', label),
    train: async (index, round, parameters, terms, subset) => {
      clips[round - 1] = terms.training.clippingNorm;
      const { words, failure } = await roundVector({
        contract: terms,
        index,
        parameters,
        subset,
        records: records[index]!,
        random,
      });
      return { words, trained: failure === null, reason: failure };
    },
    silentFrom,
  });
  return { contract, result, clips };
}

for (const mode of ['union', 'local', 'institution'] as const)
  test(`${mode}: everybody derives one clip from the sums, also after an absence, and the clip moves`, async () => {
    const away = (round: number, index: number): 'before-ready' | null =>
      index === 3 && round === 2 ? 'before-ready' : null;
    const { contract, result, clips } = await run({ clipping: adaptiveClipping, mode, rounds: 4 }, away);
    assert.equal(result.study.outcome, 'complete');
    assert.equal(new Set(result.models.map(({ hash }) => hash)).size, 1);
    const { adaptation, terms } = result.models[0]!;
    assert.deepEqual(result.study.adaptation, adaptation);
    assert.equal(clips[0], contract.training.clippingNorm);
    assert.equal(new Set([...clips, terms.training.clippingNorm]).size, 5, 'another clip after each sum');
    for (const [round, clip] of clips.entries()) {
      const next = clips[round + 1] ?? terms.training.clippingNorm;
      const [lowest, highest] = [1, 0].map((within) => nextClip(clip, within, adaptiveClipping));
      assert.ok(next >= lowest! && next <= highest!);
    }
    assert.equal(new Set(chargedVariances(result, 0)).size, 1, 'z is constant');
    assert.ok(result.ledgers.every(({ verified }) => verified));
  });

test('noise falls on quiet sums, each round is charged at its own, and the contract’s ε ends the study', async () => {
  const noise = { ...adaptiveNoise, quietBelow: 1e6, patience: 1 };
  const { contract, result } = await run({ noise, rounds: 6 });
  assert.equal(result.study.outcome, 'attempts-spent', 'fewer rounds than at constant noise');
  assert.ok(result.study.closed.length < contract.schedule.rounds && result.study.closed.length >= 3);
  for (let index = 0; index < 4; index++) {
    const variances = chargedVariances(result, index);
    assert.deepEqual(
      variances,
      variances.toSorted((a, b) => b - a),
    );
    assert.equal(new Set(variances).size, Math.min(variances.length, 4));
    for (const { ceiling, used } of result.readings[index]!) assert.ok(used <= ceiling.epsilon! * (1 + 1e-9));
  }
  assert.equal(new Set(result.models.map(({ hash }) => hash)).size, 1);
});

test('`simulate` runs a study that adapts both, on files, and says the ε that was charged', async () => {
  const sites = await syntheticSites(path.join(folder, 'data'), 4);
  // What the demonstration tests on in its sums wants a clip and noise that stay.
  const { evaluation: _, ...base } = demoDraft({
    synthetic: true,
    rounds: 2,
    address: 'http://127.0.0.1:1',
    coordinatorKey: '00'.repeat(32),
    sites,
    now: Date.parse('2026-01-01T00:00:00.000Z'),
  });
  const { deriveDraft } = await import('../../../app/review/derive.ts');
  const modelDimension = parameterCount(base.task);
  const draft = deriveDraft(
    {
      ...base,
      training: { ...base.training, adaptiveClipping },
      privacy: { ...base.privacy, adaptiveNoise: { ...adaptiveNoise, patience: 5 } },
    },
    { modelDimension, targetEpsilon: 4, colluders: null },
  );
  assert.equal(draft.sealing.dimension, modelDimension + 1);
  const silos = new Map(sites.map(({ name, silo }) => [name, silo]));
  const study = await simulateFiles({ draft, silos, tests: new Map(), seed: '5', ownSite: false });
  assert.equal(study.rounds, 2);
  assert.equal(study.released.length, modelDimension);
  assert.ok(study.privacy.epsilon.coordinator! > 0 && study.privacy.epsilon.coordinator! <= 4);
  assert.ok(study.ledger.verified);
});
