// The real heart records through encoder, training and the study files of test/studies, without protocol: what the heart
// bench must reach. Skipped where the data are absent (they are not part of the project).

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Contract } from '../../../app/study/contract.ts';
import { evaluate } from '../../../app/training/evaluate.ts';
import { architectureOf, parameterCount } from '../../../app/training/model.ts';
import { requireAccepted } from '../../../app/training/records.ts';
import type { Records } from '../../../app/training/records.ts';
import { releasedParameters } from '../../../app/training/server-optimiser.ts';
import { readTable } from '../../../main/host/import/read-table.ts';
import { chooseBackend } from '../../../main/trainer/candidates.ts';
import { seededRandom } from '../../app/seeded-random.ts';
import { plainFederation } from './plain-federation.ts';
import { studyContract } from './synthetic.ts';

const folder = fileURLToPath(new URL('../../../../shared/data/heart/', import.meta.url));
const skip = existsSync(folder) ? false : 'the heart records are not beside this checkout';
const hospitals = ['cleveland', 'hungarian', 'switzerland', 'va'];

function recordsOf(contract: Contract, nameOf: (hospital: string) => string): Promise<Records[]> {
  const read = async (hospital: string): Promise<Records> =>
    requireAccepted(await readTable(folder + nameOf(hospital), contract.task.table));
  return Promise.all(hospitals.map(read));
}

for (const name of ['heart-no-noise', 'heart-private', 'heart-local', 'heart-mlp', 'heart-raw'])
  test(`${name}: its dimension is its model's`, async () => {
    const contract = await studyContract(name);
    assert.equal(contract.sealing.dimension, parameterCount(contract.task));
    assert.deepEqual(
      contract.roster.map((entry) => entry.name),
      hospitals,
    );
  });

describe('on the real records', { skip }, () => {
  before(() => chooseBackend());

  test('the prepared files are read whole, with the published row counts', async () => {
    const contract = await studyContract('heart-private');
    const train = await recordsOf(contract, (hospital) => `${hospital}-train.csv`);
    const held = await recordsOf(contract, (hospital) => `${hospital}-test.csv`);
    assert.deepEqual(
      train.map(({ rows }) => rows),
      [199, 172, 30, 85],
    );
    assert.deepEqual(
      held.map(({ rows }) => rows),
      [104, 89, 16, 45],
    );
    assert.ok(train.every(({ width, features }) => width === 15 && features.every((value) => Math.abs(value) <= 1)));
    // First row of Cleveland: 63, 1, cp 1, 145, 233, 1, restecg 2, 150, 0, 2.3.
    const expected = [16 / 70, 1, 1, 0, 0, 0, -1 / 14, -72 / 305, 1, 0, 0, 1, 0.2, -1, 0.06];
    for (const [i, value] of expected.entries())
      assert.ok(Math.abs(train[0]!.features[i]! - value) < 1e-6, `place ${i}`);
  });

  test('the published files without header and with "?" are read by the contract’s rules', async () => {
    const contract = await studyContract('heart-raw');
    const raw = await recordsOf(contract, (hospital) => `raw/processed.${hospital}.data`);
    assert.deepEqual(
      raw.map(({ rows }) => rows),
      [303, 294, 123, 200],
    );
    const positives = raw.map(({ labels }) => labels.reduce((total, label) => total + label, 0));
    assert.deepEqual(positives, [139, 106, 115, 149]);
  });

  for (const [name, least] of [
    ['heart-no-noise', 0.79],
    ['heart-private', 0.77],
  ] as const)
    test(`${name}: mean accuracy of the four hospitals' tests, mean of 5 seeds, is at least ${least}`, async () => {
      const contract = await studyContract(name);
      const train = await recordsOf(contract, (hospital) => `${hospital}-train.csv`);
      const held = await recordsOf(contract, (hospital) => `${hospital}-test.csv`);
      const architecture = architectureOf(contract.task);
      let total = 0;
      for (let seed = 1; seed <= 5; seed++) {
        const state = await plainFederation(contract, train, seededRandom(`heart ${seed}`));
        for (const records of held) {
          const metrics = evaluate(contract.task, architecture, releasedParameters(state), records);
          assert.ok(metrics.kind === 'classification');
          total += metrics.accuracy / (5 * hospitals.length);
        }
      }
      assert.ok(total >= least, `mean accuracy ${total}`);
    });
});
