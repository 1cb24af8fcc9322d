// A disk that takes no more bytes, made by the operating system's own limit on a process: sealed state and ledger say so,
// hold exactly what they acknowledged, and go on when there is room again.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openLedger } from '../../../../main/host/ledger/ledger-file.ts';
import { nodeCipher, systemClock } from '../../../../main/host/machine.ts';
import { openSealedStore } from '../../../../main/host/records/sealed-store.ts';
import { sampleSigner } from '../../../app/ledger/sample.ts';

const skip = process.platform === 'win32' ? 'Windows has no limit on the size of a process’s files' : false;
const child = fileURLToPath(new URL('./full-disk-child.ts', import.meta.url));

type Told = { readonly acknowledged: number; readonly code: string; readonly readable: number };

/** Files of the child may not grow beyond a megabyte or so (blocks of 512 or 1024 bytes, as the shell counts). */
async function filled(t: TestContext, what: 'store' | 'ledger'): Promise<{ folder: string; told: Told }> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-full-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const line = 'ulimit -f 1000; exec "$0" "$1" "$2" "$3"';
  const { stdout } = await promisify(execFile)('sh', ['-c', line, process.execPath, child, what, folder]);
  return { folder, told: JSON.parse(stdout) as Told };
}

test(
  'the sealed state: a write that finds no room is refused whole, and what was acknowledged is there',
  { skip },
  async (t) => {
    const { folder, told } = await filled(t, 'store');
    assert.match(told.code, /^disk-(?:full|failed)$/);
    assert.ok(told.acknowledged > 3);
    assert.equal(told.readable, told.acknowledged);
    const plain = { seal: (bytes: Uint8Array) => bytes, open: (bytes: Uint8Array) => bytes };
    const store = await openSealedStore({ folder, keystore: plain });
    t.after(() => store.close());
    for (const prefix of ['a/', 'b/']) {
      const keys = await store.keys(prefix);
      const expected = Array.from({ length: told.acknowledged }, (_, at) => `${prefix}${at + 1}`);
      assert.deepEqual([...keys].sort(), expected.sort());
      for (const key of keys) assert.equal((await store.read(key))!.length, 20_000);
    }
    await store.write([{ key: 'after', value: Uint8Array.of(1) }]);
    assert.deepEqual(await store.read('after'), Uint8Array.of(1));
  },
);

test(
  'the ledger: an entry that finds no room is not in it, and the next one follows the last acknowledged',
  { skip },
  async (t) => {
    const { folder, told } = await filled(t, 'ledger');
    assert.match(told.code, /^disk-(?:full|failed)$/);
    assert.ok(told.acknowledged > 3);
    assert.equal(told.readable, told.acknowledged);
    const ledger = await openLedger({ folder, signer: sampleSigner, clock: systemClock, cipher: nodeCipher });
    assert.equal(ledger.head().size, told.acknowledged);
    const { entry } = await ledger.append('start', {});
    assert.equal(entry.seq, told.acknowledged + 1);
    await ledger.close();
  },
);
