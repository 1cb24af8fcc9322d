// The secrets of one institution: identity and transport keys, the key of its stored state, the ledger-head secret, the
// lineage key. They lie in keys.json under AES-256-GCM; the key to it comes from one source (key-source.ts). No secret
// is ever on disk in plaintext, and the identity key never leaves this file except as signatures.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { concat, equalBytes, fromHex, toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { canonicalBytes, canonicalJson, parseCanonical } from '../../../app/encoding/canonical-json.ts';
import { hkdf } from '../../../app/encoding/hkdf.ts';
import { InvariantError, RefusalError } from '../../../app/errors.ts';
import type { Signer } from '../../../app/ports.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import { chooseKeySource, keySourceSchema, unlockKeySource } from './key-source.ts';
import type { KeySource, KeySourceOptions } from './key-source.ts';
import { nodeCipher } from '../machine.ts';
import { lockForThisProcess } from '../disk/process-lock.ts';

export type Keystore = {
  /** Ed25519: signs everything in the institution's name. */
  readonly identity: Signer;
  /** Ed25519: signs requests; the identity certifies it (domain `transport-certificate`). */
  readonly transport: Signer;
  /** 32 bytes: keys the ledger head in every Ready (app/ledger/head.ts). */
  readonly ledgerHeadSecret: Uint8Array;
  /** 32 bytes: keys the hash of person identifiers, so that the budget follows the person. Never exported. */
  readonly lineageKey: Uint8Array;
  /** Encrypts and authenticates state for disk, bound to `purpose` (for example "record/model"). */
  seal(bytes: Uint8Array, purpose: string): Uint8Array;
  /** @throws RefusalError `state-altered` when the bytes were changed or were sealed for another purpose or keystore. */
  open(sealed: Uint8Array, purpose: string): Uint8Array;
  /** Where the key came from and which sources were passed over, for the person. */
  describe(): string;
  /** Overwrites every secret; afterwards nothing here works. */
  close(): void;
};

const secretNames = ['identitySeed', 'transportSeed', 'stateKey', 'ledgerHeadSecret', 'lineageKey'] as const;
type Secrets = { readonly [Name in (typeof secretNames)[number]]: Uint8Array };

const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const secretsSchema = z.strictObject({
  identitySeed: hex32,
  transportSeed: hex32,
  stateKey: hex32,
  ledgerHeadSecret: hex32,
  lineageKey: hex32,
});
const fileSchema = z.strictObject({
  format: z.literal('consilience/keys/1'),
  source: keySourceSchema,
  passedOver: z.array(z.string()),
  /** Derived from the key that unlocks: tells a wrong passphrase from an altered file. */
  check: hex32,
  sealed: z.string().regex(/^(?:[0-9a-f]{2})+$/),
});

/**
 * Opens the keys of a participant's folder, or makes them.
 * @throws RefusalError `wrong-key`, `keys-altered`, `credential-…`, `passphrase-…`, `no-key-source`; UnavailableError.
 */
export async function openKeystore(options: { readonly folder: string } & KeySourceOptions): Promise<Keystore> {
  const path = join(options.folder, 'keys.json');
  const stored = await readIfThere(path);
  if (stored !== null) return unlock(path, stored, options);
  try {
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskError(error, `The folder ${options.folder}`);
  }
  const lock = lockForThisProcess(join(options.folder, 'keys.lock'), `The keystore in ${options.folder}`);
  try {
    const meanwhile = await readIfThere(path);
    return meanwhile === null ? await create(path, options) : await unlock(path, meanwhile, options);
  } finally {
    lock.release();
  }
}

async function create(path: string, options: KeySourceOptions): Promise<Keystore> {
  const { source, key, passedOver } = await chooseKeySource(options);
  const secrets = Object.fromEntries(secretNames.map((name) => [name, new Uint8Array(randomBytes(32))])) as Secrets;
  const header = { format: 'consilience/keys/1', source, passedOver: [...passedOver] } as const;
  const plain = canonicalBytes(Object.fromEntries(secretNames.map((name) => [name, toHex(secrets[name])])));
  const sealed = toHex(encrypt(encryptionKey(key), plain, canonicalBytes(header)));
  const check = toHex(checkOf(key));
  plain.fill(0);
  key.fill(0);
  await writeFileAtomically(path, `${canonicalJson({ ...header, check, sealed })}\n`);
  return keystoreOf(secrets, source, passedOver);
}

async function unlock(path: string, stored: Buffer, options: KeySourceOptions): Promise<Keystore> {
  const altered = (cause?: unknown): RefusalError =>
    new RefusalError(
      'keys-altered',
      `The key file ${path} was altered or is damaged. Put it back from a backup. If it is lost, the institution enrols anew and the lead makes a new contract.`,
      { cause },
    );
  let file;
  try {
    file = fileSchema.parse(parseCanonical(new Uint8Array(stored.subarray(0, -1))));
  } catch (error) {
    throw altered(error);
  }
  const { format, source, passedOver } = file;
  const key = await unlockKeySource(source, options);
  if (!equalBytes(checkOf(key), fromHex(file.check)))
    throw new RefusalError(
      'wrong-key',
      source.kind === 'passphrase'
        ? 'The passphrase is wrong, or the key file was altered. Nothing was opened.'
        : `The ${source.kind === 'keyring' ? 'key in the OS keyring' : 'credential file'} is not the one that locked these keys, or the key file was altered. Nothing was opened.`,
    );
  const plain = decrypt(encryptionKey(key), fromHex(file.sealed), canonicalBytes({ format, source, passedOver }));
  key.fill(0);
  if (plain === null) throw altered();
  const values = secretsSchema.parse(parseCanonical(plain));
  plain.fill(0);
  const secrets = Object.fromEntries(secretNames.map((name) => [name, fromHex(values[name])])) as Secrets;
  return keystoreOf(secrets, source, passedOver);
}

function keystoreOf(secrets: Secrets, source: KeySource, passedOver: readonly string[]): Keystore {
  let closed = false;
  const refuseIfClosed = (): void => {
    if (closed) throw new InvariantError('keystore-closed', 'The keystore was used after it was closed.');
  };
  const signer = (seed: Uint8Array): Signer => ({
    publicKey: nodeCipher.ed25519PublicKey(seed),
    sign(message) {
      refuseIfClosed();
      return nodeCipher.ed25519Sign(seed, message);
    },
  });
  // One AES key for each purpose: random 96-bit nonces then stay far from their birthday bound.
  const keyFor = (purpose: string): Uint8Array => {
    refuseIfClosed();
    return hkdf(nodeCipher, secrets.stateKey, new Uint8Array(0), utf8(`consilience/state/1\0${purpose}`), 32);
  };
  const words: { readonly [Kind in KeySource['kind']]: string } = {
    keyring: 'The keys are locked by the OS keyring.',
    'credential-file': 'The keys are locked by a credential file.',
    passphrase: 'The keys are locked by a passphrase.',
  };
  return {
    identity: signer(secrets.identitySeed),
    transport: signer(secrets.transportSeed),
    ledgerHeadSecret: secrets.ledgerHeadSecret,
    lineageKey: secrets.lineageKey,
    seal: (bytes, purpose) => encrypt(keyFor(purpose), bytes, utf8(purpose)),
    open(sealed, purpose) {
      const bytes = decrypt(keyFor(purpose), sealed, utf8(purpose));
      if (bytes === null)
        throw new RefusalError(
          'state-altered',
          'Stored state was altered, or was written with the keys of another folder. Put folder and keys back together from one backup.',
        );
      return bytes;
    },
    describe: () => [words[source.kind], ...passedOver].join(' '),
    close() {
      closed = true;
      for (const name of secretNames) secrets[name].fill(0);
    },
  };
}

const encryptionKey = (key: Uint8Array): Uint8Array =>
  hkdf(nodeCipher, key, new Uint8Array(0), utf8('consilience/keys/1 encryption'), 32);
const checkOf = (key: Uint8Array): Uint8Array =>
  hkdf(nodeCipher, key, new Uint8Array(0), utf8('consilience/keys/1 check'), 32);

/** nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes). */
function encrypt(key: Uint8Array, plain: Uint8Array, associated: Uint8Array): Uint8Array {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(associated);
  return concat(nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag());
}

function decrypt(key: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Uint8Array | null {
  if (sealed.length < 28) return null;
  const cipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 });
  cipher.setAAD(associated);
  cipher.setAuthTag(sealed.subarray(-16));
  const plain = cipher.update(sealed.subarray(12, -16));
  try {
    return concat(plain, cipher.final());
  } catch {
    plain.fill(0);
    return null;
  }
}

async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw diskError(error, `The key file ${path}`);
  }
}
