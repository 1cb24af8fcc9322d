// Another key for a running coordinator, by the commands of docs/OPERATIONS.md: the lead, the old and the new home sign in
// turn, the coordinator comes back from the new home, and an institution that was not there meanwhile hears of it when it
// starts. Afterwards the study is archived and restored, and goes on being served under the new key.

import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex } from '../../../app/encoding/bytes.ts';
import { openSignedContract } from '../../../app/study/signed-contract.ts';
import { openKeystore } from '../../../main/host/keys/keystore.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { freePort } from '../free-port.ts';
import { ledgerEntries, recordsText } from '../host/participant/homes.ts';
import { consentEverybody, processFederation } from './process-federation.ts';
import type { ProcessFederation, Started } from './process-federation.ts';

async function killed({ child, ended }: Started): Promise<void> {
  child.kill('SIGKILL');
  await ended;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !holds(); waited += 50) {
    assert.ok(waited < 240_000, what);
    await sleep(50);
  }
}

const closings = (fed: ProcessFederation): number =>
  fed.said().match(/"event":"round-ended","round":\d+,"cohort":\d+,"reason":null/g)?.length ?? 0;

test('the lead gives a running study another key; late, archived and restored it is the same study', async (t) => {
  const leadFolder = await mkdtemp(path.join(tmpdir(), 'consilience-lead-'));
  t.after(() => rm(leadFolder, { recursive: true, force: true }));
  const leadCredential = path.join(leadFolder, 'credential');
  await writeFile(leadCredential, 'a credential of the lead’s own\n', { mode: 0o600 });
  const leadHome = path.join(leadFolder, 'lead');
  const lead = await openKeystore({ folder: leadHome, credentialFile: leadCredential, keyring: false });
  const port = await freePort();
  const fed = await processFederation({
    records: [1, 2, 3, 4].map((seed) => recordsText(60, seed)),
    port,
    lead: lead.identity,
    schedule: {
      rounds: 3,
      attempts: 12,
      stageSeconds: { ready: 10, shares: 60, masked: 60, consistency: 60, unmask: 60 },
      intervalSeconds: 1,
    },
  });
  t.after(() => fed.close());
  lead.close();
  const keysOf = (home: string): string[] => ['--home', fed.at(home), '--credential-file', fed.at('credential')];
  const study = ['--study', fed.at('signed.json')];
  const rotate = (...args: readonly string[]) => fed.start('coordinator', 'rotate-key', ...study, ...args).ended;
  const codeOf = async (...args: readonly string[]): Promise<string> => {
    const { code, out } = await rotate(...args);
    assert.equal(code, 1, out);
    return (JSON.parse(out) as { error: { code: string } }).error.code;
  };

  // One round under the old key, without site-3.
  const first = await fed.startCoordinator();
  await consentEverybody(fed);
  const runs = [0, 1, 2].map((index) => fed.takePart(`site-${index}`));
  await until(() => closings(fed) >= 1, 'no round closes');
  await killed(first);
  const opened = fed.said().match(/"event":"stage","round":\d+/g)!;
  const last = Math.max(...opened.map((line) => Number(line.split(':').at(-1))));

  // Three sign in turn; whoever has no business in it cannot.
  const { key } = (await fed.ok('coordinator', 'key', ...keysOf('next'))) as { key: string };
  const asLead = ['--home', leadHome, '--credential-file', leadCredential];
  const from = (round: number): string[] => ['--next-key', key, '--from-round', String(round)];
  const one = (name: string): string[] => ['--out', fed.at(name)];
  assert.equal(await codeOf(...keysOf('central'), ...from(last + 2), ...one('x')), 'lead-key-differs');
  assert.equal(await codeOf(...asLead, '--next-key', key, ...one('x')), 'from-round-missing');
  assert.equal((await rotate(...asLead, ...from(last + 2), ...one('one.json'))).code, 0);
  const statement = (name: string): string[] => ['--statement', fed.at(name)];
  assert.equal(await codeOf(...asLead, ...statement('one.json'), ...one('x')), 'coordinator-key-differs');
  assert.equal((await rotate(...keysOf('central'), ...statement('one.json'), ...one('two.json'))).code, 0);
  const forged = (await readFile(fed.at('two.json'), 'utf8')).replace(/"lead":"\w{8}/, '"lead":"00000000');
  await writeFile(fed.at('forged.json'), forged);
  assert.equal(
    await codeOf(...keysOf('next'), ...statement('forged.json'), ...one('x')),
    'coordinator-key-not-by-lead',
  );

  // A statement from a round that the old key opened is refused when the coordinator starts, with the number that serves.
  const { hash } = openSignedContract(nodeCipher, await readFile(fed.at('signed.json'), 'utf8'));
  const folderOf = (home: string): string => path.join(fed.at(home), 'studies', toHex(hash));
  await cp(fed.at('next'), fed.at('early'), { recursive: true });
  assert.equal((await rotate(...asLead, ...from(1), ...one('early.json'))).code, 0);
  assert.equal((await rotate(...keysOf('early'), ...statement('early.json'), ...one('early-done.json'))).code, 0);
  await cp(folderOf('central'), folderOf('early'), { recursive: true });
  const early = await fed.start('coordinator', ...study, ...keysOf('early'), '--port', '0').ended;
  assert.equal(early.code, 1);
  const { error } = JSON.parse(early.out) as { error: { code: string; message: string } };
  assert.equal(error.code, 'coordinator-key-round-used');
  assert.match(error.message, new RegExp(`--from-round ${last + 1} or more`));

  const done = await rotate(...keysOf('next'), ...statement('two.json'), ...one('done.json'));
  assert.deepEqual(JSON.parse(done.out), { out: fed.at('done.json'), fromRound: last + 2, next: key, serves: true });
  await cp(folderOf('central'), folderOf('next'), { recursive: true });

  // The old home serves no more once it knows; the new one does, and site-3 comes for the first time.
  const second = await fed.startCoordinator('next');
  runs.push(fed.takePart('site-3'));
  const models = new Set<unknown>();
  for (const run of runs) {
    const { code, out } = await run.ended;
    assert.equal(code, 0, out + fed.said());
    models.add((JSON.parse(out.trimEnd().split('\n').at(-1)!) as { model: string }).model);
  }
  assert.equal(models.size, 1);
  for (const name of fed.names) {
    const entries = await ledgerEntries(fed.at(name));
    const changes = entries.filter(({ kind }) => kind === 'coordinator-key-changed');
    assert.deepEqual(
      changes.map(({ body }) => [body['fromRound'], body['next'], body['oldKeySigned']]),
      [[last + 2, key, true]],
      name,
    );
    assert.equal(entries.filter(({ kind }) => kind === 'round-closed').length, 3, name);
  }

  // The archive holds the change: with the new keys alone, the study is served again.
  await killed(second);
  await fed.ok('coordinator', 'archive', ...study, ...keysOf('next'), '--out', fed.at('archive'));
  await cp(fed.at('next'), fed.at('restored'), { recursive: true });
  await rm(path.join(fed.at('restored'), 'studies'), { recursive: true });
  const where = ['--home', fed.at('restored'), '--from', fed.at('archive')];
  const { newestClosed } = await fed.ok('coordinator', 'restore', ...study, ...where);
  const shownRounds = (await ledgerEntries(fed.at('site-0'))).filter(({ kind }) => kind === 'round-closed');
  assert.equal(newestClosed, shownRounds.at(-1)!.body['round']);
  const third = await fed.startCoordinator('restored');
  const shown = await fetch(`http://127.0.0.1:${port}/v1/coordinator-keys`);
  assert.deepEqual(await shown.json(), [JSON.parse(await readFile(fed.at('done.json'), 'utf8'))]);
  await killed(third);
});
