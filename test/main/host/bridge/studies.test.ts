// The host on a real home: an invitation is answered, terms are reviewed, records are checked, consent is given and
// taken back, and the log names the person at the window. Journey 2 without a browser, with the relay out of reach.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bridgeOver, steward, valueOf, withHost } from './home.ts';
import { invitationText, makeHomes } from '../participant/homes.ts';

const entriesOf = async (home: string): Promise<{ kind: string; actor: { id: string; role: string } }[]> =>
  (await readFile(join(home, 'ledger', 'ledger.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; actor: { id: string; role: string } });

test('an invitation is read, then answered in the name of who sits at the window', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-host-'));
  try {
    const credentialFile = join(folder, 'credential');
    await writeFile(credentialFile, 'a credential of enough characters\n', { mode: 0o600 });
    const home = join(folder, 'home');
    await withHost(home, { keys: { credentialFile, keyring: false, scryptLogN: 14 } }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      const text = invitationText();
      const read = valueOf(await bridge.call('invitation.read', { text }));
      assert.deepEqual([read.study, read.answered], ['sample', false]);
      const altered = await bridge.call('invitation.read', { text: text.replace('A sample', 'Another') });
      assert.ok(!altered.ok && altered.error.code === 'invitation-signature');
      let told = 0;
      bridge.on('study.changed', () => told++);
      const answer = { text, name: 'mercy', organisation: 'Mercy Hospital', nominalUnits: 100 };
      const accepted = valueOf(await bridge.call('invitation.accept', answer));
      assert.equal(accepted.leadCode, read.leadCode);
      assert.ok(told > 0);
      assert.deepEqual(
        valueOf(await bridge.call('study.list', {})).map(({ name, state }) => [name, state]),
        [['sample', 'waiting-for-terms']],
      );
      assert.equal(valueOf(await bridge.call('session.get', {})).institution, 'Mercy Hospital');
      const page = await bridge.call('study.review', { study: 'sample' });
      assert.ok(!page.ok && page.error.code === 'no-terms');
      assert.deepEqual(valueOf(await bridge.call('audit.verify', {})).verified, true);
    });
    const [enrolled] = await entriesOf(home);
    assert.deepEqual([enrolled!.kind, enrolled!.actor.id, enrolled!.actor.role], ['enrolled', 'ada', 'steward']);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('a consented study runs, is paused, and is left by a named person; the log tells', async () => {
  const homes = await makeHomes(3);
  try {
    const [institution] = homes.institutions;
    await homes.consent(institution!);
    const { home, data } = institution!;
    await withHost(home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      const [study] = valueOf(await bridge.call('study.list', {}));
      assert.equal(study!.state, 'taking-part');
      const page = valueOf(await bridge.call('study.review', { study: 'sample' }));
      assert.equal(page.institutions.filter(({ known }) => known === 'own').length, 1);
      assert.equal(page.consent!.dataset, 'records');
      const fitting = valueOf(await bridge.call('data.check', { study: 'sample', path: data }));
      assert.deepEqual([fitting.fits, fitting.from, fitting.to, fitting.problemCount], [true, 100, 199, 0]);

      const broken = join(homes.folder, 'broken.csv');
      await writeFile(broken, 'x0,x1,x2,x3,y\n0.1,0.2,secret,0.4,1\n');
      const checked = await bridge.call('data.check', { study: 'sample', path: broken });
      assert.ok(checked.ok && !checked.value.fits && checked.value.problems[0]!.line === 2);
      assert.ok(!JSON.stringify(checked).includes('secret'), 'no value of a record is in the answer');

      const [dataset] = valueOf(await bridge.call('data.list', {}));
      assert.deepEqual([dataset!.name, dataset!.studies.length], ['records', 1]);
      const allowances = valueOf(await bridge.call('budget.get', {}));
      assert.ok(allowances.length >= 2 && allowances.every(({ curve }) => curve.length === 0));
      valueOf(await bridge.call('round.pause', { study: 'sample' }));
      assert.equal(valueOf(await bridge.call('study.list', {}))[0]!.state, 'paused');
      const done = valueOf(await bridge.call('consent.withdraw', { study: 'sample', reason: 'enough' }));
      assert.equal(done.by, 'here');
      assert.ok(done.untold !== null, 'the relay is out of reach');
      assert.equal(valueOf(await bridge.call('study.list', {}))[0]!.state, 'withdrawn');
      const again = await bridge.call('round.resume', { study: 'sample' });
      assert.ok(!again.ok && again.error.code === 'not-taking-part');
      const listed = valueOf(await bridge.call('audit.list', { from: 0, count: 5, kinds: ['consent-withdrawn'] }));
      assert.deepEqual([listed.total, listed.rows.length], [1, 1]);
      assert.match(listed.rows[0]!.actor, /ada.*steward/);
    });
  } finally {
    await homes.remove();
  }
});

test('a log that was altered is found by the window that asks', async () => {
  const homes = await makeHomes(3);
  try {
    const { home } = homes.institutions[0]!;
    await withHost(home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      assert.ok(valueOf(await bridge.call('audit.verify', {})).verified);
      const path = join(home, 'ledger', 'ledger.jsonl');
      const text = await readFile(path, 'utf8');
      await writeFile(path, text.replace('"nominalUnits":100', '"nominalUnits":999'));
      const verdict = valueOf(await bridge.call('audit.verify', {}));
      assert.ok(!verdict.verified && /entry 1/i.test(verdict.finding!));
    });
  } finally {
    await homes.remove();
  }
});
