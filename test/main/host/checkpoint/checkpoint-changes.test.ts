// A checkpoint that changes on disk while a study runs: no round begins and none is charged until it is put back, and what
// changed is told by its name. The real loop, homes, ledgers and coordinator; only training is stood in for.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Contract } from '../../../../app/study/contract.ts';
import type { Task } from '../../../../app/study/task.ts';
import { checkpointWatch } from '../../../../main/host/checkpoint/checkpoint-watch.ts';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import type { RunOptions } from '../../../../main/host/participant/run.ts';
import { readStatus } from '../../../../main/host/participant/status.ts';
import { languageDraft } from '../../../bench/language-study.ts';
import { tinyNotes, tinyTask, writeTinyCheckpoint } from '../../checkpoint/tiny-checkpoint.ts';
import { ledgerEntries, makeCentral, makeHomes, quickTrainer, runOptions } from '../participant/homes.ts';

const schedule = {
  rounds: 3,
  attempts: 9,
  stageSeconds: { ready: 5, shares: 5, masked: 5, consistency: 5, unmask: 5 },
  intervalSeconds: 0,
};

/** Terms of a language study with noise, for whoever is in the roster. */
const languageTerms =
  (task: Task) =>
  (base: Contract): Contract => {
    const roster = base.roster.map(({ name, nominalUnits }) => ({ name, nominalUnits }));
    const draft = languageDraft({ name: 'sample', task, roster, rounds: schedule.attempts, epsilon: 50, training: {} });
    const { training, privacy, sealing } = draft;
    return { ...base, task, training, privacy, sealing, schedule };
  };

async function changed(file: string): Promise<Buffer> {
  const right = await readFile(file);
  const wrong = Buffer.from(right);
  wrong[wrong.length - 1]! ^= 1;
  await writeFile(file, wrong);
  return right;
}

test('a watch tells what changed, and that it is right again', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'checkpoint-watch-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const hash = await writeTinyCheckpoint(folder);
  const look = checkpointWatch(tinyTask(hash, 'causal-lm'), folder);
  assert.equal(await look(), null);
  const weights = join(folder, 'model.safetensors');
  const right = await changed(weights);
  for (let again = 0; again < 2; again++) {
    const why = await look();
    assert.equal(why?.code, 'checkpoint-changed');
    assert.match(why.sentence, /names?: model\.safetensors changed\. Put the files back as they were/);
  }
  await writeFile(weights, right);
  assert.equal(await look(), null);
  await unlink(join(folder, 'tokenizer.json'));
  assert.match((await look())!.sentence, /tokenizer\.json.* Put the files back as they were/);
  assert.equal(await checkpointWatch(tinyTask(hash, 'causal-lm'), null)(), null);
});

test(
  'a checkpoint that changes during a study holds the institution and costs nothing',
  { timeout: 120_000 },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'checkpoint-changes-'));
    const hash = await writeTinyCheckpoint(join(folder, 'checkpoint'));
    const homes = await makeHomes(3, languageTerms(tinyTask(hash, 'text-classification')));
    t.after(async () => {
      await homes.remove();
      await rm(folder, { recursive: true, force: true });
    });
    const checkpoint = join(folder, 'checkpoint');
    const own = join(folder, 'own');
    await writeTinyCheckpoint(own);
    const central = makeCentral(homes.signed.contract);
    const [first, ...others] = homes.institutions;
    for (const [site, institution] of homes.institutions.entries()) {
      await writeFile(institution.data, tinyNotes(site));
      await homes.consent(institution, { checkpoint: institution === first ? own : checkpoint });
    }
    const stop = new AbortController();
    t.signal.addEventListener('abort', () => stop.abort());
    const failed = (error: unknown): never => {
      stop.abort();
      throw error;
    };
    const weights = join(own, 'model.safetensors');
    let right: Buffer | null = null;
    const reserved = async (): Promise<unknown[]> =>
      (await ledgerEntries(first!.home))
        .filter(({ kind }) => kind === 'budget-reserved')
        .map(({ body }) => body['round']);
    /** What stood in the log each time that the change was told. */
    const told: { readonly text: string; readonly reserved: readonly unknown[]; readonly doing: string | undefined }[] =
      [];
    let mending: Promise<void> = Promise.resolve();
    const quick = quickTrainer();
    // It changes while round 1 trains, and again once round 2 is charged.
    const trainer: RunOptions['trainer'] = {
      ...quick,
      async run(work) {
        if (told.length === 0) right ??= await changed(weights);
        return quick.run(work);
      },
    };
    const onEvent: RunOptions['onEvent'] = ({ kind, round, text }) => {
      if (kind === 'stage' && /sealed and stored/.test(text) && told.length === 1 && right === null)
        mending = mending.then(async () => void (right = await changed(weights)));
      if (kind !== 'checkpoint') return;
      assert.equal(round, null);
      mending = mending.then(async () => {
        const before = await reserved();
        // Long enough for rounds to be missed, were they begun.
        await new Promise((resolve) => setTimeout(resolve, 1500));
        assert.deepEqual(await reserved(), before);
        told.push({ text, reserved: before, doing: (await readStatus(first!.home))?.doing });
        await writeFile(weights, right!);
        right = null;
      });
      mending.catch(() => stop.abort());
    };
    const runs = [
      runParticipant({ ...runOptions(homes, central, first!, stop.signal), trainer, onEvent }).catch(failed),
      ...others.map((institution) =>
        runParticipant(runOptions(homes, central, institution, stop.signal)).catch(failed),
      ),
    ];
    const results = await Promise.all(runs);
    await mending;
    for (const { outcome, roundsClosed } of results) assert.deepEqual([outcome, roundsClosed], ['complete', 3]);
    assert.equal(told.length, 2);
    for (const { text, doing } of told) {
      assert.ok(text.includes(`in ${own} `) && text.includes('model.safetensors changed'), text);
      assert.equal(doing, 'waiting');
    }
    // The round in which it changed was left before its charge; the next one was charged once it was right again.
    assert.deepEqual(told[0]!.reserved, []);
    assert.equal(told[1]!.reserved.length, 1);
    const kinds = await ledgerEntries(first!.home);
    assert.equal(kinds.filter(({ kind }) => kind === 'budget-reserved').length, 3);
    assert.ok(kinds.some(({ kind, body }) => kind === 'round-aborted' && body['reason'] === 'checkpoint-changed'));
  },
);
