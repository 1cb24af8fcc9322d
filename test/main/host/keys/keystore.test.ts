// Where keys come from, in order and for good; wrong passphrase, lax file, tampering; no secret in plaintext.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { toHex } from '../../../../app/encoding/bytes.ts';
import { signWith, verifySignature } from '../../../../app/encoding/signature.ts';
import { RefusalError, UnavailableError } from '../../../../app/errors.ts';
import type { KeyringAccess } from '../../../../main/host/keys/key-source.ts';
import { openKeystore } from '../../../../main/host/keys/keystore.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';

const scryptLogN = 14;
const passphrase = 'correct horse battery staple';
const answering = (...answers: string[]) => {
  const left = [...answers];
  return () => Promise.resolve(left.length > 1 ? left.shift()! : left[0]!);
};
const neverAsk = () => Promise.reject(new Error('nobody may be asked'));

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-keys-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const refused = (code: string) => (error: unknown) => {
  assert.ok(error instanceof RefusalError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

function memoryKeyring(): KeyringAccess & { readonly held: Map<string, Uint8Array>; locked: boolean } {
  const held = new Map<string, Uint8Array>();
  const keyring = {
    held,
    locked: false,
    get(account: string) {
      if (keyring.locked) return Promise.reject(new Error('AccessDenied'));
      return Promise.resolve(held.get(account)?.slice() ?? null);
    },
    set(account: string, secret: Uint8Array) {
      if (keyring.locked) return Promise.reject(new Error('AccessDenied'));
      held.set(account, secret.slice());
      return Promise.resolve();
    },
  };
  return keyring;
}

void test('a passphrase locks the keys; the same keys come back, a wrong one is refused', async (t) => {
  const folder = await temporaryFolder(t);
  const options = { folder, keyring: false, scryptLogN } as const;
  const made = await openKeystore({ ...options, prompt: answering(passphrase) });
  assert.match(made.describe(), /locked by a passphrase.*OS keyring was not asked.*No credential file/);
  const sealed = made.seal(Uint8Array.of(1, 2, 3), 'a');
  const message = Uint8Array.of(9);
  const signature = signWith(made.identity, 'css1', message);
  const publicKey = made.identity.publicKey;
  const lineage = toHex(made.lineageKey);
  made.close();

  await assert.rejects(openKeystore({ ...options, prompt: answering('wrong horse battery') }), refused('wrong-key'));
  const again = await openKeystore({ ...options, prompt: answering(passphrase) });
  assert.deepEqual(again.identity.publicKey, publicKey);
  assert.equal(verifySignature(nodeCipher, publicKey, 'css1', message, signature), true);
  assert.deepEqual([...again.open(sealed, 'a')], [1, 2, 3]);
  assert.equal(toHex(again.lineageKey), lineage);
  assert.notDeepEqual(again.transport.publicKey, publicKey);
  again.close();
});

void test('the passphrase must be long enough and repeated alike; nothing is written otherwise', async (t) => {
  const folder = await temporaryFolder(t);
  const options = { folder, keyring: false, scryptLogN } as const;
  await assert.rejects(openKeystore({ ...options, prompt: answering('short') }), refused('passphrase-too-short'));
  await assert.rejects(
    openKeystore({ ...options, prompt: answering(passphrase, `${passphrase}!`) }),
    refused('passphrases-differ'),
  );
  assert.ok(!(await readdir(folder)).includes('keys.json'));
});

void test('a credential file serves when it is the owner’s alone', async (t) => {
  const folder = await temporaryFolder(t);
  const credentialFile = join(folder, 'credential');
  const options = { folder, credentialFile, keyring: false, prompt: neverAsk, scryptLogN } as const;
  await assert.rejects(openKeystore(options), UnavailableError);
  await writeFile(credentialFile, 'too short\n', { mode: 0o600 });
  await assert.rejects(openKeystore(options), refused('credential-too-short'));
  await writeFile(credentialFile, 'a credential of enough bytes\n');
  for (const mode of [0o640, 0o604, 0o602]) {
    await chmod(credentialFile, mode);
    await assert.rejects(openKeystore(options), (error) => {
      assert.match((error as Error).message, /chmod 600/);
      return refused('credential-readable-by-others')(error);
    });
  }
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', ['-m', '600', pipe]);
  for (const other of [folder, pipe])
    await assert.rejects(openKeystore({ ...options, credentialFile: other }), refused('credential-not-a-file'));
  await chmod(credentialFile, 0o600);
  const made = await openKeystore(options);
  assert.match(made.describe(), /locked by a credential file/);
  const { publicKey } = made.identity;
  made.close();

  // A trailing newline more or less is no other credential; another text is.
  await writeFile(credentialFile, 'a credential of enough bytes');
  const again = await openKeystore(options);
  assert.deepEqual(again.identity.publicKey, publicKey);
  again.close();
  await writeFile(credentialFile, 'another credential of enough bytes');
  await assert.rejects(openKeystore(options), refused('wrong-key'));
});

void test('the environment names the credential file when no option does', async (t) => {
  const folder = await temporaryFolder(t);
  const credentialFile = join(folder, 'credential');
  await writeFile(credentialFile, 'a credential of enough bytes\n', { mode: 0o600 });
  const before = process.env['CONSILIENCE_CREDENTIAL_FILE'];
  process.env['CONSILIENCE_CREDENTIAL_FILE'] = credentialFile;
  try {
    const made = await openKeystore({ folder, keyring: false, prompt: neverAsk, scryptLogN });
    assert.match(made.describe(), /credential file/);
    made.close();
  } finally {
    if (before === undefined) delete process.env['CONSILIENCE_CREDENTIAL_FILE'];
    else process.env['CONSILIENCE_CREDENTIAL_FILE'] = before;
  }
});

void test('the keyring comes first; where it does not serve the next source is taken and it is said', async (t) => {
  const keyring = memoryKeyring();
  const first = await openKeystore({ folder: await temporaryFolder(t), keyring, prompt: neverAsk });
  assert.match(first.describe(), /OS keyring/);
  assert.equal(keyring.held.size, 1);
  first.close();

  keyring.locked = true;
  const second = await openKeystore({
    folder: await temporaryFolder(t),
    keyring,
    prompt: answering(passphrase),
    scryptLogN,
  });
  assert.match(second.describe(), /passphrase.*OS keyring did not serve \(AccessDenied\)/);
  second.close();

  const forgetful: KeyringAccess = { get: () => Promise.resolve(null), set: () => Promise.resolve() };
  const third = await openKeystore({
    folder: await temporaryFolder(t),
    keyring: forgetful,
    prompt: answering(passphrase),
    scryptLogN,
  });
  assert.match(third.describe(), /did not give back/);
  third.close();
});

void test('the source once chosen stays: no silent fall back to another', async (t) => {
  const folder = await temporaryFolder(t);
  const credentialFile = join(folder, 'credential');
  await writeFile(credentialFile, 'a credential of enough bytes\n', { mode: 0o600 });
  const keyring = memoryKeyring();
  (await openKeystore({ folder, keyring })).close();
  keyring.locked = true;
  const others = { credentialFile, prompt: neverAsk, scryptLogN };
  await assert.rejects(openKeystore({ folder, keyring, ...others }), (error) => {
    assert.ok(error instanceof UnavailableError);
    return true;
  });
  keyring.locked = false;
  keyring.held.clear();
  await assert.rejects(openKeystore({ folder, keyring, ...others }), refused('keyring-entry-lost'));

  const other = await temporaryFolder(t);
  (await openKeystore({ folder: other, keyring: false, ...others })).close();
  await assert.rejects(
    openKeystore({ folder: other, keyring: memoryKeyring(), prompt: neverAsk }),
    refused('credential-file-needed'),
  );
});

void test('the key file is owner-only, holds no secret in plaintext, and any change of it is found', async (t) => {
  const folder = await temporaryFolder(t);
  const keyring = memoryKeyring();
  const made = await openKeystore({ folder, keyring });
  const secrets = [made.ledgerHeadSecret, made.lineageKey, ...keyring.held.values()].map(toHex);
  made.close();
  const path = join(folder, 'keys.json');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const text = await readFile(path, 'utf8');
  for (const secret of secrets) assert.ok(!text.includes(secret));
  for (let at = 0; at < text.length; at += 7) {
    const damaged = text.slice(0, at) + (text[at] === '1' ? '2' : '1') + text.slice(at + 1);
    await writeFile(path, damaged);
    await assert.rejects(openKeystore({ folder, keyring, prompt: neverAsk }), RefusalError, `character ${at}`);
  }
  await writeFile(path, text);
  (await openKeystore({ folder, keyring })).close();
});

void test('sealed state is bound to its purpose and keystore, and a changed byte is found', async (t) => {
  const keyring = memoryKeyring();
  const one = await openKeystore({ folder: await temporaryFolder(t), keyring });
  const two = await openKeystore({ folder: await temporaryFolder(t), keyring });
  const sealed = one.seal(Uint8Array.of(5, 6), 'record/a');
  assert.notDeepEqual(one.seal(Uint8Array.of(5, 6), 'record/a'), sealed);
  assert.throws(() => one.open(sealed, 'record/b'), refused('state-altered'));
  assert.throws(() => two.open(sealed, 'record/a'), refused('state-altered'));
  assert.throws(() => one.open(sealed.subarray(1), 'record/a'), refused('state-altered'));
  assert.throws(() => one.open(new Uint8Array(3), 'record/a'), refused('state-altered'));
  for (let at = 0; at < sealed.length; at++)
    assert.throws(() => one.open(sealed.with(at, sealed[at]! ^ 1), 'record/a'), refused('state-altered'));
  one.close();
  two.close();
});

void test('closing wipes the secrets and ends every use', async (t) => {
  const keystore = await openKeystore({ folder: await temporaryFolder(t), keyring: memoryKeyring() });
  keystore.close();
  assert.ok(keystore.ledgerHeadSecret.every((byte) => byte === 0));
  assert.ok(keystore.lineageKey.every((byte) => byte === 0));
  for (const use of [
    () => keystore.identity.sign(new Uint8Array(1)),
    () => keystore.transport.sign(new Uint8Array(1)),
    () => keystore.seal(new Uint8Array(1), 'a'),
  ])
    assert.throws(use, /after it was closed/);
});
