// A model out of an institution's home: what is pinned in the sealed state, with an ε for the whole roster; the export is
// in the ledger, and nothing comes out of a home whose round never closed.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { toHex } from '../../../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../../../app/encoding/canonical-json.ts';
import { privacyFigures } from '../../../../app/review/privacy-figures.ts';
import { createModelChain } from '../../../../app/round/model-chain.ts';
import { firstMemory } from '../../../../app/round/participant-state.ts';
import type { StudyMemory } from '../../../../app/round/participant-state.ts';
import { contractHash, signContract, signedContractText } from '../../../../app/study/signed-contract.ts';
import { withHomeRun } from '../../../../main/host/model/home-model.ts';
import type { KeySourceOptions } from '../../../../main/host/keys/key-source.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { exportModel } from '../../../../main/host/model/folder.ts';
import type { ModelRun } from '../../../../main/host/model/run.ts';
import { openHome, studyPaths } from '../../../../main/host/participant/home.ts';
import { openSealedStore } from '../../../../main/host/records/sealed-store.ts';
import { sampleStudy } from '../../../app/round/sample-study.ts';

const { contract, lead } = sampleStudy({ institutions: 4 });
const study = toHex(contractHash(nodeCipher, contract));
const keys: KeySourceOptions = { keyring: false, prompt: async () => 'correct horse battery', scryptLogN: 14 };

/** A chain that moved: one sum of four institutions, all ones. */
const chain = createModelChain(nodeCipher, contract).apply(
  [0, 1, 2, 3],
  new Uint32Array(contract.sealing.dimension).fill(1000),
).chain;

/** A home after `closed` rounds, the last of which had number `last`; `signed` is the newest number it signed for. */
async function homeAfter(t: TestContext, closed: number, memory: Partial<StudyMemory>): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'consilience-home-model-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  const opened = await openHome(home, keys, true);
  for (let round = 1; round <= closed; round++)
    await opened.ledger.append('round-closed', { study, round, spoiled: false });
  const paths = studyPaths(home, study);
  await mkdir(paths.folder, { recursive: true });
  await writeFile(paths.contract, signedContractText(signContract(nodeCipher, lead, contract)));
  if (closed > 0) {
    const store = await openSealedStore({ folder: home, keystore: opened.keystore });
    const noted = { ...firstMemory(chain.hash), ...memory };
    await store.write([
      { key: `study/${study}/model`, value: chain.encode() },
      { key: `study/${study}/memory`, value: canonicalBytes(noted) },
    ]);
    store.close();
  }
  await opened.close();
  return home;
}

const runIn = (home: string): Promise<ModelRun> => withHomeRun(home, null, keys, async (run) => run);

const epsilonAfter = (attempts: number) =>
  privacyFigures({ ...contract, schedule: { ...contract.schedule, attempts } }).epsilon.coordinator;

test('the pinned model comes out with the contract’s ε over every round number spent, and its export is logged', async (t) => {
  const home = await homeAfter(t, 5, { signedRound: 8, last: { round: 7, sum: '00'.repeat(32), verified: true } });
  const out = join(home, 'exported');
  const card = await withHomeRun(home, study.slice(0, 12), keys, (run) =>
    exportModel(run, out, { notReleased: false }),
  );
  assert.deepEqual([card.model.hash, card.model.rounds, card.released], [chain.hash, 5, true]);
  // Finished: numbers up to the last closed one; the closing Ready spends nothing.
  assert.equal(card.privacy.epsilon.coordinator, epsilonAfter(7));
  assert.ok(card.privacy.epsilon.outsiders! < card.privacy.epsilon.coordinator!);
  const ledger = await readFile(join(home, 'ledger', 'ledger.jsonl'), 'utf8');
  const last = JSON.parse(ledger.trimEnd().split('\n').at(-1)!) as { kind: string; body: { [name: string]: unknown } };
  assert.deepEqual([last.kind, last.body], ['export-made', { what: 'model', study, model: chain.hash, rounds: 5 }]);
});

test('an unfinished study is charged up to the newest number signed for', async (t) => {
  const home = await homeAfter(t, 2, { signedRound: 4, last: { round: 2, sum: '00'.repeat(32), verified: true } });
  const run = await runIn(home);
  assert.equal(run.privacy.epsilon.coordinator, epsilonAfter(4));
  assert.deepEqual(run.released, chain.released);
  assert.ok(run.released.every((value) => value !== 0));
});

test('no closed round, an unknown study, a state that is not the pinned one', async (t) => {
  await assert.rejects(runIn(await homeAfter(t, 0, {})), { code: 'no-model-yet' });
  const home = await homeAfter(t, 1, { model: 'ab'.repeat(32) });
  await assert.rejects(runIn(home), { code: 'model-not-pinned' });
  await assert.rejects(
    withHomeRun(home, 'ffff', keys, async () => {}),
    { code: 'study-unknown' },
  );
  const ledger = await readFile(join(home, 'ledger', 'ledger.jsonl'), 'utf8');
  assert.ok(!ledger.includes('export-made'), 'a failed export is not logged as one');
});
