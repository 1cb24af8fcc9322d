// The ledger on disk: durable before it resolves, one process, torn lines recovered and said, a failing disk changes
// nothing. Crashes are made by real processes killed with SIGKILL and by files cut by hand.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { signerFromSeed } from '../../../../app/encoding/signature.ts';
import { UnavailableError } from '../../../../app/errors.ts';
import { verifyLedger } from '../../../../app/ledger/chain.ts';
import { openLedger } from '../../../../main/host/ledger/ledger-file.ts';
import type { AppendedEntry, Ledger, LedgerDisk } from '../../../../main/host/ledger/ledger-file.ts';
import { nodeCipher, systemClock } from '../../../../main/host/machine.ts';

const signer = signerFromSeed(nodeCipher, new Uint8Array(32).fill(3));

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-ledger-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const openIn = (folder: string, disk?: LedgerDisk): Promise<Ledger> =>
  openLedger({ folder, signer, clock: systemClock, cipher: nodeCipher, ...(disk === undefined ? {} : { disk }) });

async function collected(ledger: Ledger, from?: number): Promise<AppendedEntry[]> {
  const out = [];
  for await (const one of ledger.entries(from)) out.push(one);
  return out;
}

async function verifyFolder(folder: string) {
  const [text, checkpoint] = [
    await readFile(join(folder, 'ledger.jsonl')),
    await readFile(join(folder, 'checkpoint'), 'utf8'),
  ];
  return verifyLedger(nodeCipher, new Uint8Array(text), [checkpoint], signer.publicKey);
}

const codeOf = (code: string) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, code, String(error));
  return true;
};

const failing = (code: string): Error => Object.assign(new Error(code), { code });

void test('entries survive closing and opening; numbers and hashes go on', async (t) => {
  const folder = await temporaryFolder(t);
  const ledger = await openIn(folder);
  const first = await ledger.append('start', { version: '1' });
  const actor = { id: 'a', role: 'steward', signIn: 'operating-system' };
  const second = await ledger.append('settings-changed', { setting: 'x' }, actor);
  assert.deepEqual(ledger.head(), { size: 2, last: second.hash });
  assert.equal(second.entry.previous, first.hash);
  await ledger.close();
  const again = await openIn(folder);
  assert.deepEqual(again.head(), { size: 2, last: second.hash });
  await again.append('clean-stop', {});
  assert.deepEqual(
    (await collected(again, 2)).map(({ entry }) => entry.kind),
    ['settings-changed', 'clean-stop'],
  );
  assert.deepEqual((await collected(again))[1], second);
  await again.close();
  const result = await verifyFolder(folder);
  assert.deepEqual({ ok: result.ok, vouched: result.vouchedSize }, { ok: true, vouched: 3 });
  assert.equal((await stat(join(folder, 'ledger.jsonl'))).mode & 0o077, 0);
});

void test('concurrent appends are serialised in their order and share writes', async (t) => {
  const folder = await temporaryFolder(t);
  let writes = 0;
  let syncs = 0;
  const ledger = await openIn(folder, {
    write: async (handle, bytes, position) => {
      writes++;
      return (await handle.write(bytes, 0, bytes.length, position)).bytesWritten;
    },
    sync: async (handle) => {
      syncs++;
      await handle.datasync();
    },
  });
  const done = await Promise.all(Array.from({ length: 200 }, (_, at) => ledger.append('settings-changed', { at })));
  assert.deepEqual(
    done.map(({ entry }) => [entry.seq, entry.body]),
    done.map((_, at) => [at + 1, { at }]),
  );
  assert.ok(writes < 200 && writes === syncs, `${writes} writes, ${syncs} syncs`);
  await ledger.close();
  assert.equal((await verifyFolder(folder)).ok, true);
});

void test('an append resolves only after its bytes were synced', async (t) => {
  const folder = await temporaryFolder(t);
  const order: string[] = [];
  const ledger = await openIn(folder, {
    write: async (handle, bytes, position) => {
      order.push('write');
      return (await handle.write(bytes, 0, bytes.length, position)).bytesWritten;
    },
    sync: async (handle) => {
      await handle.datasync();
      order.push('sync');
    },
  });
  await ledger.append('start', {});
  order.push('resolved');
  assert.deepEqual(order, ['write', 'sync', 'resolved']);
  await ledger.close();
});

void test('a wrong body is refused alone and changes nothing', async (t) => {
  const ledger = await openIn(await temporaryFolder(t));
  const body = { study: 'x' } as never;
  const results = await Promise.allSettled([
    ledger.append('start', {}),
    ledger.append('budget-reserved', body),
    ledger.append('clean-stop', {}),
  ]);
  assert.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.ok((results[1] as PromiseRejectedResult).reason instanceof TypeError);
  assert.equal(ledger.head().size, 2);
  await ledger.close();
});

void test('a body changed after the call does not change what is written', async (t) => {
  const ledger = await openIn(await temporaryFolder(t));
  const body = { setting: 'before' };
  const pending = ledger.append('settings-changed', body);
  body.setting = 'after';
  assert.deepEqual((await pending).entry.body, { setting: 'before' });
  await ledger.close();
});

void test('a full disk in mid-line: UnavailableError, nothing appended, and it goes on when there is space', async (t) => {
  const folder = await temporaryFolder(t);
  let full = false;
  const ledger = await openIn(folder, {
    write: async (handle, bytes, position) => {
      if (!full) return (await handle.write(bytes, 0, bytes.length, position)).bytesWritten;
      if (bytes.length > 20) return (await handle.write(bytes, 0, bytes.length - 20, position)).bytesWritten;
      throw failing('ENOSPC');
    },
    sync: (handle) => handle.datasync(),
  });
  await ledger.append('start', {});
  const before = ledger.head();
  const bytes = await readFile(join(folder, 'ledger.jsonl'));
  full = true;
  await assert.rejects(ledger.append('clean-stop', {}), (error) => {
    assert.ok(error instanceof UnavailableError);
    return codeOf('disk-full')(error);
  });
  assert.deepEqual(ledger.head(), before);
  assert.deepEqual(await readFile(join(folder, 'ledger.jsonl')), bytes);
  full = false;
  assert.equal((await ledger.append('clean-stop', {})).entry.seq, 2);
  await ledger.close();
  assert.equal((await verifyFolder(folder)).ok, true);
});

void test('after a failed sync nothing more is written until it is opened anew', async (t) => {
  const folder = await temporaryFolder(t);
  let broken = false;
  const ledger = await openIn(folder, {
    write: async (handle, bytes, position) => (await handle.write(bytes, 0, bytes.length, position)).bytesWritten,
    sync: async (handle) => {
      if (broken) throw failing('EIO');
      await handle.datasync();
    },
  });
  await ledger.append('start', {});
  broken = true;
  await assert.rejects(ledger.append('clean-stop', {}), codeOf('disk-failed'));
  broken = false;
  await assert.rejects(ledger.append('clean-stop', {}), codeOf('ledger-failed'));
  await assert.rejects(ledger.checkpoint(), codeOf('ledger-failed'));
  assert.equal(ledger.head().size, 1);
  await ledger.close();
  const again = await openIn(folder);
  assert.ok(again.head().size >= 1);
  await again.close();
});

void test('a second opening is refused while the first is open', async (t) => {
  const folder = await temporaryFolder(t);
  const ledger = await openIn(folder);
  await assert.rejects(openIn(folder), codeOf('in-use'));
  await ledger.close();
  await (await openIn(folder)).close();
});

void test('after closing, appending is refused', async (t) => {
  const ledger = await openIn(await temporaryFolder(t));
  await ledger.close();
  await ledger.close();
  await assert.rejects(ledger.append('start', {}), codeOf('ledger-closed'));
});

void test('a torn last line is set aside and an entry says so, once', async (t) => {
  const folder = await temporaryFolder(t);
  const ledger = await openIn(folder);
  await ledger.append('start', {});
  await ledger.close();
  await appendFile(join(folder, 'ledger.jsonl'), '{"actor":{"id":"ho');
  const again = await openIn(folder);
  assert.equal(again.head().size, 2);
  const recovery = (await collected(again))[1]!.entry;
  assert.equal(recovery.kind, 'recovery');
  const side = (await readdir(folder)).filter((name) => name.startsWith('ledger.torn-'));
  assert.deepEqual(side, [recovery.body['file' as never]]);
  assert.equal(await readFile(join(folder, side[0]!), 'utf8'), '{"actor":{"id":"ho');
  await again.close();
  const third = await openIn(folder);
  assert.equal(third.head().size, 2);
  await third.close();
});

void test('blocks of zeros after a power cut are a torn line too', async (t) => {
  const folder = await temporaryFolder(t);
  await (await openIn(folder)).close();
  await appendFile(join(folder, 'ledger.jsonl'), Buffer.concat([Buffer.alloc(64), Buffer.from('"}\n')]));
  const again = await openIn(folder);
  assert.equal((await collected(again))[0]!.entry.kind, 'recovery');
  await again.close();
});

void test('a crash between cutting and writing the recovery entry still gets its entry', async (t) => {
  const folder = await temporaryFolder(t);
  await (await openIn(folder)).close();
  await writeFile(join(folder, `ledger.torn-1-${'ab'.repeat(32)}`), 'rest');
  const again = await openIn(folder);
  assert.deepEqual(
    (await collected(again)).map(({ entry }) => entry.kind),
    ['recovery'],
  );
  await again.close();
});

void test('a ledger that does not verify, was shortened, or lost a file is refused and left as it is', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'ledger.jsonl');
  const ledger = await openIn(folder);
  await ledger.append('start', { note: 'aaaa' });
  await ledger.append('clean-stop', {});
  await ledger.close();
  const good = await readFile(path);
  const checkpoint = await readFile(join(folder, 'checkpoint'));

  await writeFile(path, good.toString('utf8').replace('aaaa', 'aaab'));
  await assert.rejects(openIn(folder), /Entry 1 was altered/);
  await writeFile(path, good);
  await truncate(path, good.indexOf('\n') + 1);
  await assert.rejects(openIn(folder), /entry 2 is missing/);
  await truncate(path, good.indexOf('\n') + 20);
  await assert.rejects(openIn(folder), /entry 2 is missing/);
  assert.equal((await stat(path)).size, good.indexOf('\n') + 20);
  await rm(path);
  await assert.rejects(openIn(folder), codeOf('ledger-lost'));
  await writeFile(path, good);
  await rm(join(folder, 'checkpoint'));
  await assert.rejects(openIn(folder), codeOf('ledger-broken'));
  await writeFile(join(folder, 'checkpoint'), checkpoint);
  await (await openIn(folder)).close();
});

void test('killed with SIGKILL while appending: whatever was acknowledged is there, and the lock is free', async (t) => {
  const folder = await temporaryFolder(t);
  const program = `
    import { signerFromSeed } from ${JSON.stringify(new URL('../../../../app/encoding/signature.ts', import.meta.url).href)};
    import { openLedger } from ${JSON.stringify(new URL('../../../../main/host/ledger/ledger-file.ts', import.meta.url).href)};
    import { nodeCipher as cipher, systemClock as clock } from ${JSON.stringify(new URL('../../../../main/host/machine.ts', import.meta.url).href)};
    const signer = signerFromSeed(cipher, new Uint8Array(32).fill(3));
    const ledger = await openLedger({ folder: ${JSON.stringify(folder)}, signer, clock, cipher });
    for (let at = 0; ; at++) {
      const { entry, hash } = await ledger.append('settings-changed', { at });
      process.stdout.write(entry.seq + ' ' + hash + '\\n');
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8');
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (text: string) => {
      said += text;
      if (said.split('\n').length > 30) resolve();
    });
  });
  child.kill('SIGKILL');
  await once(child, 'close');
  const acknowledged = said.split('\n').slice(0, -1).at(-1)!.split(' ');
  const ledger = await openIn(folder);
  const found = (await collected(ledger)).find(({ entry }) => entry.seq === Number(acknowledged[0]));
  assert.equal(found?.hash, acknowledged[1]);
  await ledger.close();
});
