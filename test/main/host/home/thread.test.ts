// The home's thread, and that the host's own thread has nothing long to do: what opens keys, takes part, waits for a disk or
// computes is not even loaded there, and what it reads of a long log it reads in small slices. Design 2, "Processes".

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'node:test';
import { InputError, RefusalError } from '../../../../app/errors.ts';
import { hostActor } from '../../../../app/ledger/entry.ts';
import { budgetReadings } from '../../../../app/privacy/budget.ts';
import type { EntryWithHash } from '../../../../app/round/study-ledger.ts';
import { budgetBook, takenAtOnce } from '../../../../main/host/bridge/budget-book.ts';
import { ledgerView, linesAtOnce } from '../../../../main/host/bridge/ledger-view.ts';
import { homeThread, plainKeys } from '../../../../main/host/home/thread.ts';
import { budgetOf } from '../../../../main/host/participant/ceilings.ts';
import { lengthenLog } from '../../../browser/long-log.ts';
import { makeHomes } from '../participant/homes.ts';

const root = resolve(import.meta.dirname, '../../../..');

/** Every module that a program loads, by its imports of values. */
async function loadedBy(program: string, known = new Set<string>()): Promise<Set<string>> {
  if (known.has(program)) return known;
  known.add(program);
  const text = await readFile(join(root, program), 'utf8');
  for (const [, from] of text.matchAll(/^(?:import|export) (?!type )(?:[^;'"]* from )?'(\.[^']+)';/gm))
    await loadedBy(relative(root, resolve(root, dirname(program), from!)), known);
  return known;
}

test('the host’s thread does not even load what takes long; the home’s thread does', async () => {
  const long = [
    'app/review/check.ts',
    'app/round/engine.ts',
    'main/host/participant/consent.ts',
    'main/host/participant/run.ts',
    'main/host/participant/verify.ts',
    'main/host/records/sealed-store.ts',
  ];
  const here = await loadedBy('main/host/bridge/host.ts');
  assert.ok(here.has('main/host/bridge/study-page.ts') && here.has('app/ledger/entry.ts'), 'imports are followed');
  assert.deepEqual(
    long.filter((module) => here.has(module)),
    [],
  );
  const there = await loadedBy('main/host/home/home-worker.ts');
  assert.deepEqual(
    long.filter((module) => !there.has(module)),
    [],
  );
});

test('jobs answer from their thread; refusals keep their class, code and sentence', async () => {
  const homes = await makeHomes(3);
  const [own] = homes.institutions;
  const thread = homeThread({ home: own!.home, keys: plainKeys(homes.keys), policyPath: null });
  try {
    const consent = {
      contract: homes.contractText,
      data: { name: 'records', path: own!.data },
      epsilon: null,
      datasetEpsilon: null,
      acceptNoNoise: false,
      expires: null,
    };
    const rows: number[] = [];
    const listening = { progress: (done: number) => void rows.push(done) };
    const { study, untold } = await thread.ask('consent', consent, listening);
    assert.match(study, /^[0-9a-f]{64}$/);
    assert.equal(typeof untold, 'string', 'no relay listens');
    assert.ok(rows.length > 0);
    await assert.rejects(
      thread.ask('consent', { ...consent, data: { name: 'records', path: join(homes.folder, 'nowhere.csv') } }),
      (error: Error) => error.name === 'InputError' || error.name === 'UnavailableError',
    );
    await assert.rejects(
      thread.ask('withdraw', { study: 'ab'.repeat(32), reason: null, actor: hostActor }),
      (error: Error) => error instanceof InputError && error.code === 'study-unknown',
    );
    const stop = new AbortController();
    stop.abort();
    await assert.rejects(
      thread.ask('consent', consent, { signal: stop.signal }),
      (error: Error) => 'code' in error && error.code === 'cancelled',
    );
    const running = thread.ask('run', { study });
    await thread.close();
    await assert.rejects(running, /the thread of the home stopped/);
    await assert.rejects(thread.ask('jointModel', { study }), TypeError);
  } finally {
    await thread.close();
    await homes.remove();
  }
});

test('a passphrase is asked for on the host’s own terminal, and only plain keys cross', async () => {
  const homes = await makeHomes(3);
  const [own] = homes.institutions;
  const home = join(homes.folder, 'another');
  const thread = homeThread({ home, keys: { keyring: false, scryptLogN: 14 }, policyPath: null });
  try {
    const invitation = await readFile(join(own!.home, 'invitations', 'sample', 'invitation.json'), 'utf8');
    const answer = { invitation, name: 'another', organisation: 'Another', nominalUnits: 10 };
    await assert.rejects(
      thread.ask('join', answer),
      (error: Error) => error instanceof RefusalError && error.code === 'no-key-source',
    );
    assert.throws(() => plainKeys({ prompt: async () => 'a passphrase' }), TypeError);
  } finally {
    await thread.close();
    await homes.remove();
  }
});

test('a long log is read, and a budget added up, a few entries between two turns', async () => {
  const homes = await makeHomes(3);
  try {
    const [own] = homes.institutions;
    const { study } = await homes.consent(own!);
    const { entries } = await lengthenLog(homes, study, 1500);
    let most = 0;
    let before = 0;
    const view = ledgerView(own!.home, async () => {
      most = Math.max(most, view.entries().length - before);
      before = view.entries().length;
      await nextTurn();
    });
    await view.refresh();
    assert.equal(view.entries().length, entries);
    assert.equal(view.ofKind('round-closed').length, 1500);
    assert.ok(most <= linesAtOnce && entries - before <= linesAtOnce, `${most} entries between two turns`);

    let turns = 0;
    const growing: EntryWithHash[] = [];
    const book = budgetBook(
      () => growing,
      async () => void turns++,
    );
    // In steps that leave some round charged and not settled.
    for (const upTo of [...Array.from({ length: 4 }, (_, step) => (step + 1) * 777), entries]) {
      growing.push(...view.entries().slice(growing.length, upTo));
      const standings = await book.standings();
      const readings = budgetReadings(budgetOf(growing));
      assert.deepEqual(
        standings.map(({ ceiling }) => ceiling),
        readings.map(({ ceiling }) => ceiling),
      );
      for (const [place, { used, share, steps }] of standings.entries()) {
        const reading = readings[place]!;
        assert.equal(steps.length, growing.filter(({ entry }) => entry.kind === 'budget-reserved').length);
        assert.ok(Math.abs(used - reading.used) <= 1e-9 * reading.used);
        assert.ok(Math.abs(share! - reading.share!) <= 1e-9 * reading.share!);
      }
    }
    assert.ok(turns >= Math.floor((entries - 4 * 777) / takenAtOnce), `${turns} turns`);
  } finally {
    await homes.remove();
  }
});
