// The port Store on disk: values encrypted and bound to their keys, one write all or nothing, also under SIGKILL.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fromUtf8, utf8 } from '../../../../app/encoding/bytes.ts';
import { openKeystore } from '../../../../main/host/keys/keystore.ts';
import type { Keystore } from '../../../../main/host/keys/keystore.ts';
import { openSealedStore } from '../../../../main/host/records/sealed-store.ts';

async function prepared(t: TestContext): Promise<{ folder: string; credentialFile: string; keystore: Keystore }> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-store-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const credentialFile = join(folder, 'credential');
  await writeFile(credentialFile, 'a credential of enough bytes\n', { mode: 0o600 });
  const keystore = await openKeystore({ folder, credentialFile, keyring: false, scryptLogN: 14 });
  return { folder, credentialFile, keystore };
}

const refused = (code: string) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, code, String(error));
  return true;
};

void test('records are written, replaced, removed and found again, and no plaintext is on disk', async (t) => {
  const { folder, keystore } = await prepared(t);
  const store = await openSealedStore({ folder, keystore });
  assert.equal(await store.read('a'), null);
  const secret = utf8('CANARY-1947-plaintext');
  await store.write([
    { key: 'a', value: secret },
    { key: 'b/1', value: new Uint8Array(0) },
    { key: 'b/2', value: new Uint8Array(3_000_000).fill(7) },
  ]);
  await store.write([
    { key: 'b/1', value: null },
    { key: 'c%', value: Uint8Array.of(1) },
  ]);
  assert.deepEqual(await store.keys('b/'), ['b/2']);
  assert.deepEqual(await store.keys('c%'), ['c%']);
  await assert.rejects(openSealedStore({ folder, keystore }), refused('in-use'));
  store.close();
  for (const name of await readdir(folder)) {
    assert.ok(!(await readFile(join(folder, name))).includes('CANARY'), name);
    if (name.startsWith('state')) assert.equal((await stat(join(folder, name))).mode & 0o077, 0, name);
  }
  const again = await openSealedStore({ folder, keystore });
  assert.equal(fromUtf8((await again.read('a'))!), 'CANARY-1947-plaintext');
  assert.equal((await again.read('b/2'))!.length, 3_000_000);
  again.close();
});

void test('a write that fails half-way leaves everything as it was', async (t) => {
  const { folder, keystore } = await prepared(t);
  const store = await openSealedStore({ folder, keystore });
  await store.write([{ key: 'a', value: Uint8Array.of(1) }]);
  const changes = [
    { key: 'a', value: Uint8Array.of(2) },
    { key: null as unknown as string, value: Uint8Array.of(2) },
  ];
  await assert.rejects(store.write(changes));
  assert.deepEqual([...(await store.read('a'))!], [1]);
  await store.write([{ key: 'a', value: Uint8Array.of(3) }]);
  assert.deepEqual([...(await store.read('a'))!], [3]);
  store.close();
});

void test('a value moved to another key, or altered, is refused', async (t) => {
  const { folder, keystore } = await prepared(t);
  const store = await openSealedStore({ folder, keystore });
  await store.write([
    { key: 'a', value: Uint8Array.of(1) },
    { key: 'b', value: Uint8Array.of(2) },
  ]);
  store.close();
  const database = new DatabaseSync(join(folder, 'state.sqlite'));
  database.exec(`UPDATE records SET value = (SELECT value FROM records WHERE key = 'a') WHERE key = 'b'`);
  database.close();
  const again = await openSealedStore({ folder, keystore });
  assert.deepEqual([...(await again.read('a'))!], [1]);
  await assert.rejects(again.read('b'), refused('state-altered'));
  again.close();
});

void test('killed with SIGKILL while writing: every write is there whole or not at all', async (t) => {
  const { folder, credentialFile, keystore } = await prepared(t);
  const program = `
    import { openKeystore } from ${JSON.stringify(new URL('../../../../main/host/keys/keystore.ts', import.meta.url).href)};
    import { openSealedStore } from ${JSON.stringify(new URL('../../../../main/host/records/sealed-store.ts', import.meta.url).href)};
    const folder = ${JSON.stringify(folder)};
    const keystore = await openKeystore({ folder, credentialFile: ${JSON.stringify(credentialFile)}, keyring: false });
    const store = await openSealedStore({ folder, keystore });
    let at = Number(process.argv[1]);
    for (;;) {
      at++;
      const value = new Uint8Array(20_000).fill(at);
      await store.write([...'abcde'].map((key) => ({ key, value })).concat({ key: 'number', value: Buffer.from(String(at)) }));
      process.stdout.write(at + '\\n');
    }`;
  let reached = 0;
  for (let kill = 0; kill < 3; kill++) {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program, String(reached)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.setEncoding('utf8');
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (text: string) => {
        said += text;
        if (said.split('\n').length > 8 + 5 * kill) resolve();
      });
    });
    child.kill('SIGKILL');
    await once(child, 'close');
    const acknowledged = Number(said.split('\n').slice(0, -1).at(-1));
    const store = await openSealedStore({ folder, keystore });
    reached = Number(fromUtf8((await store.read('number'))!));
    assert.ok(reached >= acknowledged, `${reached} ${acknowledged}`);
    for (const key of 'abcde') {
      const value = (await store.read(key))!;
      assert.ok(value.length === 20_000 && value.every((byte) => byte === (reached & 255)), key);
    }
    store.close();
  }
});
