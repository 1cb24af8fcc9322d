// A study out of its store and into another one: everything that was closed is there, what was open is given up, no number
// is used twice, and the study goes on. A damaged archive is refused by the name of its file.

import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { restoreArchive, writeArchive } from '../../../main/coordinator/archive.ts';
import { openEngine } from '../../../main/coordinator/engine.ts';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import {
  consentAll,
  everyone,
  expire,
  hashApplier,
  liveFederation,
  ready,
  share,
  verify,
  wholeRound,
} from './federation.ts';
import { freshDatabase } from './stores.ts';

test('archived in the middle of a round, restored elsewhere, gone on with', async (t) => {
  const fed = await liveFederation({ institutions: 3 });
  t.after(() => fed.close());
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-archive-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const at = (name: string): string => path.join(folder, name);
  await consentAll(fed);
  await wholeRound(fed);
  await everyone(fed, ready);
  await everyone(fed, share, [2]);
  const study = toHex(fed.study.parameters.study);
  const { store } = fed.engine.options;
  const before = fed.engine.study();
  const kept = {
    contract: Uint8Array.of(1),
    keyChanges: null,
    study,
    closed: [1],
    kept: before.ended.map(({ round, sharers }) => ({ round, senders: sharers })),
    chunks: 1,
  };
  const manifest = await writeArchive(store, kept, at('archive'), new Date(0));
  assert.equal(Object.keys(manifest.files).filter((name) => name.startsWith('masked/1/')).length, 3);
  assert.ok(manifest.files['sums/1/0'] !== undefined && manifest.events > 10);
  await assert.rejects(writeArchive(store, kept, at('archive'), new Date(0)), { code: 'archive-exists' });

  // Damage anywhere is found before anything is written.
  for (const [name, code] of [
    ['events.jsonl', 'archive-damaged'],
    ['sums/1/0', 'archive-damaged'],
    ['manifest.json', 'archive-malformed'],
  ] as const) {
    await cp(at('archive'), at(`damaged-${code}-${path.basename(name)}`), { recursive: true });
    await writeFile(path.join(at(`damaged-${code}-${path.basename(name)}`), name), '{}');
    const target = await openCoordinatorStore({ folder: at(`store-${path.basename(name)}`), study });
    const again = restoreArchive(target, at(`damaged-${code}-${path.basename(name)}`), { skipRounds: 0, now: 0 });
    await assert.rejects(again, { code });
    for await (const { seq } of target.events(0)) assert.fail(`event ${seq} was written`);
    await target.close();
  }
  await assert.rejects(restoreArchive(store, at('archive'), { skipRounds: 3, now: 0 }), { code: 'store-not-empty' });

  // Into a file, and into a database where there is one.
  const database = await freshDatabase();
  for (const [name, place] of [
    ['file', {}],
    ...(database === null ? [] : [['database', { database }] as const]),
  ] as const) {
    const target = await openCoordinatorStore({ folder: at(name), study, ...place });
    await restoreArchive(target, at('archive'), { skipRounds: 3, now: fed.clock.now });
    const engine = await openEngine({ ...fed.engine.options, store: target, applier: hashApplier() });
    const after = engine.study();
    assert.deepEqual([after.closed, after.model], [before.closed, before.model], name);
    assert.equal(after.round, null);
    assert.deepEqual([after.ended.at(-1)!.round, after.ended.at(-1)!.aborted?.body.reason], [2, 'restored']);
    assert.equal(after.nextRound, before.nextRound + 3);
    assert.deepEqual([...engine.consents().keys()], [0, 1, 2]);
    await engine.close();
  }

  // The federation itself goes on from the restored file.
  await fed.reopen(async () => {
    if (fed.database !== null) return;
    await rm(fed.folder, { recursive: true });
    await cp(at('file'), fed.folder, { recursive: true });
  });
  if (fed.database !== null) return;
  await expire(fed);
  assert.equal(fed.engine.study().round?.round, before.nextRound + 3);
  await wholeRound(fed);
  assert.equal(fed.engine.study().closed.length, 2);
  await everyone(fed, async (_, party) => void (await verify(fed, party)));
});
