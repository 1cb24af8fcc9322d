// The calls about records on a real home: files are chosen, read in a thread of their own with a cancel, mapped, kept for
// the consent, listed with versions, forgotten; persons who object; what joining may bring. No value of a record in any
// answer but the first rows that the steward asks for.

import assert from 'node:assert/strict';
import { readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { plainMapping } from '../../../../app/training/mapping.ts';
import { auditor, bridgeOver, steward, valueOf, withHost } from './home.ts';
import { ledgerEntries, makeHomes, recordsText } from '../participant/homes.ts';
import type { Homes } from '../participant/homes.ts';

async function withHomes(use: (homes: Homes) => Promise<void>): Promise<void> {
  const homes = await makeHomes(3);
  try {
    await use(homes);
  } finally {
    await homes.remove();
  }
}

test('files are listed by name alone, and only what may be a table', () =>
  withHomes(async (homes) => {
    await writeFile(join(homes.folder, 'notes.pdf'), 'x');
    await withHost(homes.institutions[0]!.home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      const listed = valueOf(await bridge.call('file.list', { folder: homes.folder }));
      assert.deepEqual(
        listed.files.map(({ name }) => name),
        ['site-0.csv', 'site-1.csv', 'site-2.csv'],
      );
      assert.deepEqual(listed.folders, ['site-0', 'site-1', 'site-2']);
      assert.equal(listed.parent, join(homes.folder, '..'));
      const absent = await bridge.call('file.list', { folder: join(homes.folder, 'nowhere') });
      assert.ok(!absent.ok && absent.error.code !== 'defect');
      const refused = await bridgeOver(host.connect(auditor)).call('file.list', { folder: null });
      assert.ok(!refused.ok && refused.error.code === 'role-not-allowed');
    });
  }));

test('an export with other names, units and commas is previewed, mapped, checked, consented to, and its mapping logged', () =>
  withHomes(async (homes) => {
    const { home, data } = homes.institutions[0]!;
    const renamed = join(homes.folder, 'export.csv');
    const lines = (await readFile(data, 'utf8')).trimEnd().split('\n').slice(1);
    const cells = lines.map((one) => one.split(','));
    await writeFile(
      renamed,
      ['x0 wert;X1;x2;x3;outcome;ward']
        .concat(
          cells.map(([a, b, c, d, y]) =>
            [
              String(Number(a) * 10).replace('.', ','),
              b!.replace('.', ','),
              c!.replace('.', ','),
              d!.replace('.', ','),
              y === '1' ? 'yes' : 'no',
              'w',
            ].join(';'),
          ),
        )
        .join('\n'),
    );
    // The terms are here, nothing is agreed to: a consent to them by the other shape of the file would be another import.
    await homes.consent(homes.institutions[0]!);
    await withHost(home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      const seen = valueOf(
        await bridge.call('data.preview', { study: 'sample', path: renamed, mapping: null, rows: 2 }),
      );
      assert.equal(seen.rows, 100);
      assert.equal(seen.refusal?.code, 'column-missing');
      assert.equal(seen.firstRows.length, 2);
      assert.equal(seen.proposal!.columns.find(({ column }) => column === 'x1')!.source, 'X1');
      assert.ok(seen.proposal!.mapping.decimalComma);
      const without = valueOf(
        await bridge.call('data.preview', { study: 'sample', path: renamed, mapping: null, rows: 0 }),
      );
      assert.ok(!JSON.stringify(without).includes(cells[0]![1]!.replace('.', ',')));

      const mapping = {
        ...seen.proposal!.mapping,
        rename: { x0: 'x0 wert', x1: 'X1', y: 'outcome' },
        units: { x0: { factor: 0.1, offset: 0 } },
        codes: { y: { yes: '1', no: '0' } },
      };
      const fitting = valueOf(await bridge.call('data.preview', { study: 'sample', path: renamed, mapping, rows: 0 }));
      assert.deepEqual([fitting.fit?.accepted, fitting.fit?.refused, fitting.fit?.columnsDropped], [100, 0, ['ward']]);
      assert.ok(valueOf(await bridge.call('data.check', { study: 'sample', path: renamed, mapping })).fits);
      valueOf(await bridge.call('data.keep', { study: 'sample', path: renamed, dataset: 'records', mapping }));
      const page = valueOf(await bridge.call('study.review', { study: 'sample' }));
      assert.deepEqual([page.suggestion.path, page.suggestion.mapping], [renamed, mapping]);
      assert.deepEqual(
        page.columns.map(({ column, kind }) => [column, kind]),
        [
          ['x0', 'number'],
          ['x1', 'number'],
          ['x2', 'number'],
          ['x3', 'number'],
          ['y', 'label'],
        ],
      );
      valueOf(
        await bridge.call('consent.give', {
          study: 'sample',
          path: renamed,
          dataset: 'records',
          epsilon: page.suggestion.epsilon,
          datasetEpsilon: null,
          expires: null,
          acceptNoNoise: false,
          mapping,
        }),
      );
      const [dataset] = valueOf(await bridge.call('data.list', {}));
      assert.deepEqual(
        dataset!.versions.map(({ mapping: hash }) => hash === null),
        [false, true],
      );
      assert.notEqual(dataset!.versions[0]!.digest, dataset!.versions[1]!.digest);
      assert.deepEqual([dataset!.path, dataset!.encrypted], [renamed, true]);
    });
    const kinds = (await ledgerEntries(home)).map(({ kind }) => kind);
    assert.equal(kinds.filter((kind) => kind === 'mapping-chosen').length, 1);
  }));

test('rows that the study refuses are named by line and column, and a reading is cancelled in its middle', () =>
  withHomes(async (homes) => {
    const { home } = homes.institutions[0]!;
    await homes.consent(homes.institutions[0]!);
    const long = join(homes.folder, 'long.csv');
    await writeFile(long, `${recordsText(5, 1)}secret,0,0,0,1\n${recordsText(300_000, 2).slice(14)}`);
    await withHost(home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      let told = 0;
      bridge.on('work.changed', () => told++);
      const reading = bridge.call('data.preview', { study: 'sample', path: long, mapping: plainMapping, rows: 0 });
      const busy = await bridge.call('data.preview', { study: 'sample', path: long, mapping: null, rows: 0 });
      assert.ok(!busy.ok && busy.error.code === 'work-busy');
      for (;;) {
        const [work] = valueOf(await bridge.call('work.list', {}));
        assert.equal(work!.name, 'data.preview');
        if (work!.done > 0) break;
        await new Promise((done) => setTimeout(done, 20));
      }
      const other = await bridgeOver(host.connect(auditor)).call('work.cancel', { name: 'data.preview' });
      assert.ok(!other.ok && other.error.code === 'role-not-allowed');
      valueOf(await bridge.call('work.cancel', { name: 'data.preview' }));
      const ended = await reading;
      assert.ok(!ended.ok && ended.error.code === 'cancelled');
      assert.ok(told >= 2);
      assert.deepEqual(valueOf(await bridge.call('work.list', {})), []);

      const short = join(homes.folder, 'short.csv');
      await writeFile(short, `${recordsText(5, 1)}secret,0,0,0,1\n`);
      const seen = await bridge.call('data.preview', { study: 'sample', path: short, mapping: null, rows: 0 });
      assert.ok(seen.ok && seen.value.fit!.problems[0]!.line === 7 && seen.value.fit!.problems[0]!.column === 'x0');
      assert.ok(!JSON.stringify(seen).includes('secret'));
    });
  }));

test('a forgotten dataset keeps its log and its allowance; whoever forgot it is named', () =>
  withHomes(async (homes) => {
    const { home, data } = homes.institutions[0]!;
    await homes.consent(homes.institutions[0]!);
    await withHost(home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      valueOf(await bridge.call('round.pause', { study: 'sample' }));
      const deleted = valueOf(await bridge.call('data.delete', { dataset: 'records' }));
      assert.deepEqual(deleted, { files: [data], studies: 1 });
      const [dataset] = valueOf(await bridge.call('data.list', {}));
      assert.deepEqual([dataset!.forgotten, dataset!.path, dataset!.versions.length], [true, null, 1]);
      assert.ok(dataset!.epsilon !== null);
      const listed = valueOf(await bridge.call('audit.list', { from: 0, count: 1, kinds: ['settings-changed'] }));
      assert.match(listed.rows[0]!.sentence, /data-deleted/);
      assert.match(listed.rows[0]!.actor, /ada/);
    });
  }));

test('a list of persons who object is taken up in the name of who brought it', () =>
  withHomes(async (homes) => {
    const { home } = homes.institutions[0]!;
    await homes.consent(homes.institutions[0]!);
    const path = join(homes.folder, 'objections.txt');
    await writeFile(path, 'P-1\nP-2\n');
    await withHost(home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      valueOf(await bridge.call('round.pause', { study: 'sample' }));
      assert.deepEqual(valueOf(await bridge.call('exclusion.add', { path })), { from: 0, to: 9 });
      const [list] = valueOf(await bridge.call('exclusion.list', {}));
      assert.deepEqual([list!.from, list!.to], [0, 9]);
      assert.ok(valueOf(await bridge.call('study.review', { study: 'sample' })).asksExcludedRemoved);
      const { rows } = valueOf(
        await bridge.call('audit.list', { from: 0, count: 1, kinds: ['exclusion-list-loaded'] }),
      );
      assert.match(rows[0]!.actor, /ada/);
    });
  }));

test('what joining may bring: the own model on rows held out, kept for the study page', () =>
  withHomes(async (homes) => {
    const { home, data } = homes.institutions[0]!;
    await homes.consent(homes.institutions[0]!);
    await withHost(home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      valueOf(await bridge.call('round.pause', { study: 'sample' }));
      const asked = { study: 'sample', path: data, mapping: null };
      const first = valueOf(await bridge.call('study.baseline', { ...asked, testPath: null }));
      assert.ok(first.own.kind === 'classification' && first.own.rows === 20 && first.own.accuracy > 0.7);
      assert.deepEqual([first.joint, first.jointRounds, first.ownFile], [null, 0, false]);
      const page = valueOf(await bridge.call('study.review', { study: 'sample' }));
      assert.deepEqual(page.baseline, first);
      const test = homes.institutions[1]!.data;
      const apart = valueOf(await bridge.call('study.baseline', { ...asked, testPath: test }));
      assert.deepEqual([apart.own.rows, apart.ownFile], [100, true]);
    });
  }));

test('a baseline after consent reads the encrypted copy, so the file may be gone; other records are read from their file', () =>
  withHomes(async (homes) => {
    const { home, data } = homes.institutions[0]!;
    await homes.consent(homes.institutions[0]!, { keepCopy: true });
    await withHost(home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      valueOf(await bridge.call('round.pause', { study: 'sample' }));
      const asked = { study: 'sample', path: data, mapping: null, testPath: null };
      const beside = valueOf(await bridge.call('study.baseline', asked));
      await unlink(data);
      const alone = valueOf(await bridge.call('study.baseline', asked));
      assert.deepEqual(alone.own, beside.own);
      const elsewhere = await bridge.call('study.baseline', { ...asked, mapping: plainMapping });
      assert.ok(!elsewhere.ok, 'read in another way than was consented to: the file is meant');
      const other = valueOf(await bridge.call('study.baseline', { ...asked, path: homes.institutions[1]!.data }));
      assert.notDeepEqual(other.own, beside.own);
    });
  }));
