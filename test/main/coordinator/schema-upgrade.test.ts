// A folder as version 1 of the store left it, in the middle of a round: opened by this version it says what it said, and
// the round goes on. The fixture was written by that version and is never made anew.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { signerFromSeed } from '../../../app/encoding/signature.ts';
import { studyParameters } from '../../../app/round/parameters.ts';
import { openSignedContract } from '../../../app/study/signed-contract.ts';
import { openEngine } from '../../../main/coordinator/engine.ts';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { hashApplier } from './federation.ts';

type Value = string | number | null | { readonly base64: string };
type Fixture = {
  readonly contract: unknown;
  readonly coordinatorSeed: string;
  readonly expected: {
    readonly study: string;
    readonly model: string;
    readonly closed: readonly { readonly round: number; readonly sum: string; readonly survivors: readonly number[] }[];
    readonly events: number;
    readonly shares: readonly number[];
  };
  readonly ddl: readonly string[];
  readonly files: { readonly [name: string]: string };
} & { readonly [table in 'meta' | 'events' | 'chunks']: readonly { readonly [column: string]: Value }[] };

const fixture = JSON.parse(readFileSync(path.join(import.meta.dirname, 'fixtures/store-1.json'), 'utf8')) as Fixture;

function folderOfVersion1(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-version-1-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, base64] of Object.entries(fixture.files)) {
    mkdirSync(path.join(folder, path.dirname(name)), { recursive: true });
    writeFileSync(path.join(folder, name), Buffer.from(base64, 'base64'));
  }
  const database = new DatabaseSync(path.join(folder, 'coordinator.sqlite'));
  for (const statement of fixture.ddl) database.exec(statement);
  for (const table of ['meta', 'events', 'chunks'] as const)
    for (const row of fixture[table]) {
      const columns = Object.keys(row);
      const values = Object.values(row).map((value) =>
        value !== null && typeof value === 'object' ? Buffer.from(value.base64, 'base64') : value,
      );
      database
        .prepare(`INSERT INTO ${table} (${columns.join()}) VALUES (${columns.map(() => '?').join()})`)
        .run(...values);
    }
  database.close();
  return folder;
}

async function engineOn(folder: string) {
  const { contract } = openSignedContract(nodeCipher, JSON.stringify(fixture.contract));
  const parameters = studyParameters(nodeCipher, contract);
  assert.equal(toHex(parameters.study), fixture.expected.study);
  const store = await openCoordinatorStore({ folder, study: fixture.expected.study });
  return openEngine({
    cipher: nodeCipher,
    clock: { now: () => Date.parse('2026-06-01T00:00:00.000Z') },
    parameters,
    signer: signerFromSeed(nodeCipher, fromHex(fixture.coordinatorSeed, 32)),
    store,
    applier: hashApplier(),
  });
}

test('a store of version 1 is brought up to date once, with every event, and its round goes on', async (t) => {
  const folder = folderOfVersion1(t);
  const { expected } = fixture;
  for (let opened = 0; opened < 2; opened++) {
    const engine = await engineOn(folder);
    const { model, closed, round } = engine.study();
    assert.deepEqual([model, closed], [expected.model, expected.closed]);
    assert.deepEqual([round?.round, round?.stage], [2, 'shares']);
    assert.deepEqual([...round!.shares.keys()], expected.shares);
    assert.deepEqual(await engine.options.store.openedChunks(2), []);
    await engine.close();
  }
  const database = new DatabaseSync(path.join(folder, 'coordinator.sqlite'));
  assert.equal(database.prepare(`SELECT value FROM meta WHERE name = 'schema'`).get()!['value'], '2');
  assert.ok(Number(database.prepare('SELECT count(*) AS n FROM events').get()!['n']) >= expected.events);
  database.close();
});

test('an upgrade that is cut off leaves version 1, which is then brought up to date', async (t) => {
  const folder = folderOfVersion1(t);
  const database = new DatabaseSync(path.join(folder, 'coordinator.sqlite'));
  // The step fails half way: a table that it makes is there already.
  database.exec('CREATE TABLE opened (other integer)');
  database.close();
  await assert.rejects(engineOn(folder));
  const again = new DatabaseSync(path.join(folder, 'coordinator.sqlite'));
  assert.equal(again.prepare(`SELECT value FROM meta WHERE name = 'schema'`).get()!['value'], '1');
  again.exec('DROP TABLE opened');
  again.close();
  await (await engineOn(folder)).close();
});
