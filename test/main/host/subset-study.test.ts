// Studies in which a part of the parameters travels: whole federations with real tensors in every mode, with an absence, and
// real homes with their own ledgers; everybody derives one choice and one model, and the charge is that of k words.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { reviewContract } from '../../../app/review/check.ts';
import { deriveDraft } from '../../../app/review/derive.ts';
import { simulateStudy } from '../../../app/simulation/federation.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { encodeTable, requireAccepted } from '../../../app/training/records.ts';
import { seededRandom } from '../../../app/simulation/seeded-machine.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { runParticipant } from '../../../main/host/participant/run.ts';
import { chooseBackend } from '../../../main/trainer/candidates.ts';
import { roundVector } from '../../../main/trainer/step.ts';
import { adaptiveClipping, adaptiveStudy } from '../../app/round/adaptive-study.ts';
import { ledgerEntries, makeCentral, makeHomes, recordsText, runOptions } from './participant/homes.ts';

before(() => chooseBackend());

const subset = { kind: 'seeded', share: 0.5, parameters: 1 } as const;
const withSubset = (contract: Contract): Contract => ({
  ...contract,
  sealing: { ...contract.sealing, subset, packing: 'ring' },
});

for (const mode of ['union', 'local', 'institution'] as const)
  for (const counted of [false, true])
    test(`${mode}${counted ? ', with an adaptive clip' : ''}: one model everywhere, another choice after each sum`, async () => {
      const study = adaptiveStudy({
        mode,
        rounds: 4,
        change: withSubset,
        ...(counted ? { clipping: adaptiveClipping } : {}),
      });
      const { contract, identities, coordinator } = study;
      assert.deepEqual(contract.sealing.subset, { kind: 'seeded', share: 0.5, parameters: 5 });
      assert.equal(contract.sealing.dimension, counted ? 4 : 3);
      assert.ok(contract.sealing.ringBits < 32, 'packed on top');
      const records = identities.map((_, index) => {
        const [, ...lines] = recordsText(100, index + 1)
          .trim()
          .split('\n');
        const header = { line: 1, cells: ['x0', 'x1', 'x2', 'x3', 'y'] };
        const body = lines.map((row, at) => ({ line: at + 2, cells: row.split(',') }));
        return requireAccepted(encodeTable(contract.task.table, [header, ...body]));
      });
      const seeds = new Set<string>();
      const result = await simulateStudy({
        cipher: nodeCipher,
        contract,
        identities,
        coordinator,
        randomFor: (label) => seededRandom(nodeCipher, 'subset', label),
        train: async (index, _round, parameters, terms, seed) => {
          seeds.add(seed!);
          const request = { contract: terms, index, parameters, subset: seed, records: records[index]! };
          const { words, failure } = await roundVector({
            ...request,
            random: seededRandom(nodeCipher, seed!, String(index)),
          });
          return { words, trained: failure === null, reason: failure };
        },
        silentFrom: (round, index) => (index === 3 && round === 2 ? 'before-ready' : null),
      });
      assert.equal(result.study.outcome, 'complete');
      assert.equal(new Set(result.models.map(({ hash }) => hash)).size, 1);
      assert.equal(seeds.size, 4);
      assert.ok(result.models[0]!.parameters.some((value) => value !== 0));
      assert.ok(result.ledgers.every(({ verified }) => verified));
    });

test('real homes take part: charged as k words before they leave, one model at the end', async (t) => {
  const schedule = {
    rounds: 2,
    attempts: 4,
    stageSeconds: { ready: 2, shares: 2, masked: 2, consistency: 2, unmask: 2 },
    intervalSeconds: 0,
  };
  const wishes = { modelDimension: 5, targetEpsilon: null, colluders: null };
  const homes = await makeHomes(3, (contract) => ({
    ...(deriveDraft(withSubset({ ...contract, schedule }), wishes) as Contract),
  }));
  t.after(() => homes.remove());
  for (const institution of homes.institutions) await homes.consent(institution);
  const central = makeCentral(homes.signed.contract);
  const stop = new AbortController();
  const results = await Promise.all(
    homes.institutions.map((institution) => runParticipant(runOptions(homes, central, institution, stop.signal))),
  );
  assert.deepEqual(
    results.map(({ outcome, roundsClosed }) => [outcome, roundsClosed]),
    results.map(() => ['complete', 2]),
  );
  assert.equal(new Set(results.map(({ model }) => model)).size, 1);
  const reserved = (await ledgerEntries(homes.institutions[0]!.home)).filter(({ kind }) => kind === 'budget-reserved');
  assert.equal(reserved.length, 2);
  for (const { body } of reserved) assert.equal((body['event'] as { dimension: number }).dimension, 3);
});

test('the check says what a part costs, and refuses sizes that do not fit; ε is that of the whole', () => {
  const { contract } = adaptiveStudy({ change: withSubset });
  const { contract: whole } = adaptiveStudy({});
  const review = (checked: Contract) =>
    reviewContract({
      contract: checked,
      modelDimension: 5,
      floatTerm: 0,
      policy: null,
      now: Date.parse(contract.created),
    });
  const found = review(contract);
  assert.ok(found.findings.some(({ code, level }) => code === 'subset-moves-few' && level === 'warn'));
  const [epsilon, dense] = [found, review(whole)].map(({ figures }) => figures.epsilon.coordinator!);
  assert.ok(Math.abs(epsilon! / dense! - 1) < 0.01, `${epsilon}, not ${dense}`);
  for (const change of [
    { dimension: 4 },
    { subset: { ...subset, parameters: 6 } },
    { subset: { ...subset, share: 1 } },
  ]) {
    const codes = review({ ...contract, sealing: { ...contract.sealing, ...change } }).findings;
    assert.ok(
      codes.some(({ code, level }) => code === 'subset-differs' && level === 'refuse'),
      JSON.stringify(change),
    );
  }
});
