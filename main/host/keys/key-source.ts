// Where the key comes from that encrypts keys.json: OS keyring, credential file, or a prompted passphrase, in that order
// and chosen once; the choice stands in keys.json and no other source is ever tried later. Issue 3, design 8.

import { randomBytes, scrypt } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { RefusalError, UnavailableError } from '../../../app/errors.ts';
import { diskError } from '../disk/disk-error.ts';
import { promptForPassphrase } from './passphrase-prompt.ts';
import type { Prompt } from './passphrase-prompt.ts';

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`));
const scryptSchema = z.strictObject({ logN: z.int().min(14).max(20), r: z.literal(8), p: z.literal(1), salt: hex(16) });
export const keySourceSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('keyring'), account: hex(16) }),
  z.strictObject({ kind: z.literal('credential-file'), scrypt: scryptSchema }),
  z.strictObject({ kind: z.literal('passphrase'), scrypt: scryptSchema }),
]);
export type KeySource = z.infer<typeof keySourceSchema>;

/** The operating system's keyring, as far as it is needed. Both may throw when no keyring runs or access is denied. */
export type KeyringAccess = {
  get(account: string): Promise<Uint8Array | null>;
  set(account: string, secret: Uint8Array): Promise<void>;
};

export type KeySourceOptions = {
  /** Path of the credential file; else the environment variable CONSILIENCE_CREDENTIAL_FILE. */
  readonly credentialFile?: string;
  /** Asks for the passphrase; else the terminal is asked, where there is one. */
  readonly prompt?: Prompt;
  /** False: the OS keyring is not asked when keys are made. An object stands in for the OS keyring. */
  readonly keyring?: boolean | KeyringAccess;
  /** scrypt's cost as log2 N when keys are made; 17 unless a test wants less. */
  readonly scryptLogN?: number;
};

export type UnlockedSource = {
  readonly source: KeySource;
  readonly key: Uint8Array;
  /** Sources that were asked before this one and why they did not serve. */
  readonly passedOver: readonly string[];
};

const least = { passphrase: 12, credential: 16 };

export async function chooseKeySource(options: KeySourceOptions): Promise<UnlockedSource> {
  const passedOver: string[] = [];
  if (options.keyring === false) passedOver.push('The OS keyring was not asked, as configured.');
  else {
    const account = randomBytes(16).toString('hex');
    const key = new Uint8Array(randomBytes(32));
    const refused = await storeInKeyring(options.keyring, account, key);
    if (refused === null) return { source: { kind: 'keyring', account }, key, passedOver };
    key.fill(0);
    passedOver.push(`The OS keyring did not serve (${refused}).`);
  }
  const cost = { logN: options.scryptLogN ?? 17, r: 8, p: 1, salt: randomBytes(16).toString('hex') } as const;
  const path = credentialPath(options);
  if (path !== undefined) {
    const source: KeySource = { kind: 'credential-file', scrypt: cost };
    return { source, key: await stretched(await readCredential(path), cost), passedOver };
  }
  passedOver.push('No credential file was named.');
  const prompt = options.prompt ?? promptForPassphrase;
  const first = (await prompt('Choose a passphrase for the keys of this institution: ')).normalize('NFC');
  if ([...first].length < least.passphrase)
    throw new RefusalError('passphrase-too-short', `The passphrase needs at least ${least.passphrase} characters.`);
  if ((await prompt('Repeat the passphrase: ')).normalize('NFC') !== first)
    throw new RefusalError('passphrases-differ', 'The two passphrases are not the same; nothing was written.');
  return {
    source: { kind: 'passphrase', scrypt: cost },
    key: await stretched(Buffer.from(first, 'utf8'), cost),
    passedOver,
  };
}

/** Gets the key from the recorded source, and from no other. */
export async function unlockKeySource(source: KeySource, options: KeySourceOptions): Promise<Uint8Array> {
  switch (source.kind) {
    case 'keyring': {
      let key;
      try {
        key = await (await keyringOf(options.keyring)).get(source.account);
      } catch (error) {
        throw new UnavailableError(
          'keyring-unavailable',
          `The keys of this folder are locked by the OS keyring, which cannot be used now (${reasonOf(error)}). Unlock it or log in to the desktop, then try again.`,
          { cause: error },
        );
      }
      if (key?.length !== 32)
        throw new RefusalError(
          'keyring-entry-lost',
          'The OS keyring no longer holds the key of this folder. Restore the keyring. If it is lost, so are these keys: the institution enrols anew and the lead makes a new contract.',
        );
      return key;
    }
    case 'credential-file': {
      const path = credentialPath(options);
      if (path === undefined)
        throw new RefusalError(
          'credential-file-needed',
          'The keys of this folder are locked by a credential file. Name it with --credential-file or CONSILIENCE_CREDENTIAL_FILE.',
        );
      return stretched(await readCredential(path), source.scrypt);
    }
    case 'passphrase': {
      const prompt = options.prompt ?? promptForPassphrase;
      const answer = (await prompt('Passphrase for the keys of this institution: ')).normalize('NFC');
      return stretched(Buffer.from(answer, 'utf8'), source.scrypt);
    }
  }
}

function credentialPath(options: KeySourceOptions): string | undefined {
  return options.credentialFile ?? (process.env['CONSILIENCE_CREDENTIAL_FILE'] || undefined);
}

async function readCredential(path: string): Promise<Buffer> {
  let content: Buffer;
  try {
    // Without waiting: a named pipe that nobody writes to would hold the program for ever. Windows has no such flag.
    const handle = await open(path, constants.O_RDONLY | (process.platform === 'win32' ? 0 : constants.O_NONBLOCK));
    try {
      // Windows has no mode bits; there the folder's access list is what protects the file.
      if (process.platform !== 'win32') refuseLaxFile(path, await handle.stat());
      content = await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw diskError(error, `The credential file ${path}`);
  }
  const end = /\r?\n$/.exec(content.toString('latin1'))?.index ?? content.length;
  if (end < least.credential)
    throw new RefusalError(
      'credential-too-short',
      `The credential file ${path} holds fewer than ${least.credential} bytes. Make a new one: (umask 077; openssl rand -base64 32 > FILE)`,
    );
  return content.subarray(0, end);
}

function refuseLaxFile(path: string, status: { readonly mode: number; readonly uid: number; isFile(): boolean }): void {
  const owner = process.getuid?.();
  if (!status.isFile())
    throw new RefusalError(
      'credential-not-a-file',
      `The credential file ${path} is not a plain file. Name one that holds the secret.`,
    );
  if (status.uid !== 0 && status.uid !== owner)
    throw new RefusalError(
      'credential-of-another',
      `The credential file ${path} belongs to another account. Mend it: chown ${owner} ${path}`,
    );
  if ((status.mode & 0o077) !== 0)
    throw new RefusalError(
      'credential-readable-by-others',
      `The credential file ${path} can be used by other accounts. Mend it: chmod 600 ${path}`,
    );
}

function stretched(secret: Buffer, cost: z.infer<typeof scryptSchema>): Promise<Uint8Array> {
  const N = 2 ** cost.logN;
  const options = { N, r: cost.r, p: cost.p, maxmem: 2 * 128 * N * cost.r };
  return new Promise((resolve, reject) => {
    scrypt(secret, Buffer.from(cost.salt, 'hex'), 32, options, (error, key) => {
      secret.fill(0);
      if (error === null) resolve(new Uint8Array(key));
      else reject(error);
    });
  });
}

async function storeInKeyring(
  given: KeySourceOptions['keyring'],
  account: string,
  key: Uint8Array,
): Promise<string | null> {
  try {
    const keyring = await keyringOf(given);
    await keyring.set(account, key);
    const back = await keyring.get(account);
    return back !== null && Buffer.compare(back, key) === 0 ? null : 'it did not give back what was stored';
  } catch (error) {
    return reasonOf(error);
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 200);

async function keyringOf(given: KeySourceOptions['keyring']): Promise<KeyringAccess> {
  if (typeof given === 'object') return given;
  const { AsyncEntry } = await import('@napi-rs/keyring');
  // Without the pin Linux falls back to the kernel's keyring, which forgets everything at the next start of the machine.
  const entryOf = (account: string) => new AsyncEntry('consilience', account, { linux: { store: 'secret-service' } });
  return {
    async get(account) {
      const secret = await entryOf(account).getSecret();
      return secret === null || secret === undefined ? null : Uint8Array.from(secret);
    },
    set: async (account, secret) => entryOf(account).setSecret(secret),
  };
}
