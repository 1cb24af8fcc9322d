// A language study in the window's calls: which checkpoint is wanted, records read by its tokenizer, a consent that names it.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { languageDraft } from '../../../bench/language-study.ts';
import { tinyNotes, tinyTask, writeTinyCheckpoint } from '../../checkpoint/tiny-checkpoint.ts';
import { bridgeOver, steward, valueOf, withHost } from './home.ts';
import { makeHomes } from '../participant/homes.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'host-language-'));
});
after(() => rm(folder, { recursive: true, force: true }));

test(
  'the page names the checkpoint, records are read by it, and no consent is signed without it',
  { timeout: 300_000 },
  async () => {
    const checkpoint = join(folder, 'checkpoint');
    const other = join(folder, 'other');
    const hash = await writeTinyCheckpoint(checkpoint);
    await writeTinyCheckpoint(other, 4);
    const notes = join(folder, 'notes.csv');
    await writeFile(notes, tinyNotes(1));
    const task = tinyTask(hash, 'text-classification');
    const homes = await makeHomes(3, (base) => {
      const roster = base.roster.map(({ name, nominalUnits }) => ({ name, nominalUnits }));
      const { training, privacy, sealing, schedule } = languageDraft({
        name: 'sample',
        task,
        roster,
        rounds: 2,
        epsilon: null,
        training: { samplingRate: 1 },
      });
      return { ...base, task, training, privacy, sealing, schedule };
    });
    try {
      const [institution] = homes.institutions;
      // The terms come into the home with a first consent; the window then agrees anew.
      const data = { name: 'notes', path: notes };
      await assert.rejects(
        homes.consent(institution!, { data, acceptNoNoise: true, checkpoint: other }),
        /is not the one that the study terms name/,
      );
      await homes.consent(institution!, { data, acceptNoNoise: true, checkpoint });
      await withHost(institution!.home, { keys: homes.keys }, async (host) => {
        const bridge = bridgeOver(host.connect(steward));
        const page = valueOf(await bridge.call('study.review', { study: 'sample' }));
        assert.equal(page.checkpoint?.hash, hash);
        assert.deepEqual([page.checkpoint?.family, page.checkpoint?.rank], ['llama', 2]);
        assert.equal(page.checkpoint?.source, 'tiny-words, revision 3, by the lead');
        assert.deepEqual(
          page.columns.map(({ column, kind }) => [column, kind]),
          [
            ['note', 'text'],
            ['kind', 'label'],
          ],
        );
        const asked = { study: 'sample', path: notes, mapping: null };
        const seen = valueOf(await bridge.call('data.preview', { ...asked, rows: 0, checkpoint }));
        assert.deepEqual([seen.fit?.accepted, seen.fit?.refused], [24, 0]);
        assert.ok(valueOf(await bridge.call('data.check', { ...asked, checkpoint })).fits);
        const consent = (named: string | null) =>
          bridge.call('consent.give', {
            ...asked,
            dataset: 'notes',
            epsilon: null,
            datasetEpsilon: null,
            expires: null,
            acceptNoNoise: true,
            checkpoint: named,
          });
        const without = await consent(null);
        assert.ok(!without.ok && without.error.code === 'checkpoint-missing' && without.error.message.includes(hash));
        assert.match(without.error.message, /The lead says where to get it: "tiny-words, revision 3, by the lead"/);
        const wrong = await consent(other);
        assert.ok(!wrong.ok && wrong.error.code === 'checkpoint-differs');
        const given = valueOf(await consent(checkpoint));
        assert.match(given.hash, /^[0-9a-f]{64}$/);
      });
    } finally {
      await homes.remove();
    }
  },
);
