// The run folder: what is written is read back, and nothing that was altered, cut off or contradicts its contract is.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { canonicalJson } from '../../../../app/encoding/canonical-json.ts';
import { toHex } from '../../../../app/encoding/bytes.ts';
import { contractHash } from '../../../../app/study/signed-contract.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { readModelRun, writeModelRun } from '../../../../main/host/model/run.ts';
import type { ModelRun } from '../../../../main/host/model/run.ts';
import { changed, sampleContract } from '../../../app/study/sample-study.ts';

const contract = sampleContract();
const run: ModelRun = {
  contract,
  contractHash: toHex(contractHash(nodeCipher, contract)),
  released: Float32Array.from([0.5, -1.25, 2, 1e-8, -0, 3.5]),
  model: 'ab'.repeat(32),
  rounds: 30,
  metrics: {
    federated: { perInstitution: { 'hospital-1': 0.8 }, mean: 0.8 },
    ownSite: { perInstitution: { 'hospital-1': { accuracy: 0.75, auc: null } }, mean: { accuracy: 0.75, auc: null } },
  },
  privacy: {
    unit: 'record',
    adjacency: 'add-or-remove',
    delta: 1e-6,
    epsilon: { coordinator: 5.25, outsiders: 4.5 },
    accountant: 'rdp',
    noiseMultiplier: 1,
    noise: 'discrete-gaussian',
  },
  seeded: false,
};

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-run-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'run');
}

test('a run is read back as it was written, bit for bit', async (t) => {
  const folder = await folderOf(t);
  await writeModelRun(folder, run);
  const back = await readModelRun(folder);
  assert.deepEqual(back, run);
  assert.ok(back.released.every((value, index) => Object.is(value, run.released[index])));
});

test('members that are not part of a run are left out when it is written', async (t) => {
  const folder = await folderOf(t);
  const wider = { ...run.privacy, hypothetical: false };
  await writeModelRun(folder, { ...run, privacy: wider });
  assert.deepEqual((await readModelRun(folder)).privacy, run.privacy);
});

test('altered parameters, an altered file and a missing one are refused by name', async (t) => {
  const folder = await folderOf(t);
  await assert.rejects(readModelRun(folder), { code: 'run-missing', message: /run\.json/ });
  await writeModelRun(folder, run);
  const path = join(folder, 'parameters.f32');
  const bytes = await readFile(path);
  bytes[3]! ^= 1;
  await writeFile(path, bytes);
  await assert.rejects(readModelRun(folder), { code: 'run-parameters-differ' });
  await rm(path);
  await assert.rejects(readModelRun(folder), { code: 'run-missing', message: /parameters\.f32/ });
  const document = JSON.parse(await readFile(join(folder, 'run.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(folder, 'run.json'), `${JSON.stringify(document, null, 1)}\n`);
  await assert.rejects(readModelRun(folder), { code: 'not-canonical' });
  await writeFile(join(folder, 'run.json'), `${canonicalJson({ ...document, extra: 1 })}\n`);
  await assert.rejects(readModelRun(folder), { code: 'run-invalid', message: /unknown member "extra"/ });
});

const contradictions: readonly (readonly [what: string, change: Partial<ModelRun>, said: RegExp])[] = [
  ['another hash', { contractHash: 'cd'.repeat(32) }, /another hash/],
  ['a changed contract', { contract: changed(contract, { title: 'Another' }) }, /another hash/],
  ['too few parameters', { released: new Float32Array(5) }, /5 parameters where 6/],
  ['a parameter that is no number', { released: new Float32Array(6).fill(Number.NaN) }, /not a finite number/],
  ['another unit', { privacy: { ...run.privacy, unit: 'person' } }, /unit/],
  ['another neighbouring relation', { privacy: { ...run.privacy, adjacency: 'zero-out' } }, /neighbouring/],
  ['another δ', { privacy: { ...run.privacy, delta: 1e-5 } }, /δ/],
  [
    'noise without ε',
    { privacy: { ...run.privacy, epsilon: { coordinator: null, outsiders: null } } },
    /no ε is given/,
  ],
];

for (const [what, change, said] of contradictions)
  test(`${what} contradicts the contract and is not written`, async (t) => {
    await assert.rejects(writeModelRun(await folderOf(t), { ...run, ...change }), {
      code: 'run-inconsistent',
      message: said,
    });
  });

test('without noise there is no ε, and none may be claimed', async (t) => {
  const noiseless = changed(contract, {
    privacy: { noise: 'none', noiseMultiplier: null, epsilon: null },
    sealing: { noiseVariance: 0, openableBatches: [[0, 1, 2, 3, 4, 5]] },
  });
  const hash = toHex(contractHash(nodeCipher, noiseless));
  const own = { ...run, contract: noiseless, contractHash: hash };
  const privacy = { ...run.privacy, noiseMultiplier: null, noise: 'none' };
  const folder = await folderOf(t);
  await assert.rejects(writeModelRun(folder, { ...own, privacy }), { message: /without noise there is no ε/ });
  const nothing = { coordinator: null, outsiders: null };
  await writeModelRun(folder, { ...own, privacy: { ...privacy, epsilon: nothing } });
  assert.deepEqual((await readModelRun(folder)).privacy.epsilon, nothing);
});
