// What `doctor` looks at on any machine: Node, clock, randomness, curves, keyring, cores and memory, Electron. Each check
// uses the code that a run uses. Spec: design 1, journey 6; vectors of RFC 8032 (7.1) and RFC 7748 (6.1).

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import nacl from 'tweetnacl';
import { equalBytes, fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { isStrictSignature } from '../../../app/encoding/signature.ts';
import { systemCode } from '../disk/disk-error.ts';
import { check, fail, pass, warn, within } from './check.ts';
import type { Check, Outcome } from './check.ts';
import { nodeCipher, systemClock, systemRandom } from '../machine.ts';

export async function machineChecks(): Promise<Check[]> {
  return [
    await check(
      'node',
      'Consilience runs on Node 24 or newer, with its own SQLite for durable state.',
      'Start it as "npm run -s consilience -- …", which brings its own Node.',
      nodeVersion,
    ),
    await check(
      'clock',
      'Consents and terms expire by this clock, and requests carry its time.',
      'Set the date and switch time synchronisation on.',
      () => clockOutcome(systemClock.now()),
    ),
    await check(
      'randomness',
      'Noise, masks and keys come from the operating system. This sees a broken source, never proves a good one.',
      'Do not run a study here; ask whoever runs this machine.',
      () => randomnessOutcome(systemRandom.bytes(1 << 16), systemRandom.bytes(1 << 16)),
    ),
    await check(
      'curves',
      'Ed25519 and X25519 of this Node and the portable ones must give the same bits, or a cohort would split.',
      'Use the Node that comes with the project; please report this.',
      curvesOutcome,
    ),
    await check(
      'keyring',
      'The first of three places for the key that locks an institution’s keys.',
      'Use a credential file (--credential-file) or a passphrase.',
      keyringOutcome,
    ),
    await check('cores-and-memory', 'Training and sealing take what there is.', 'Give the machine more memory.', () =>
      sizeOutcome(availableParallelism(), totalmem()),
    ),
    await check('electron', 'Only the desktop window needs it; no command does.', 'Nothing needs it here.', electron),
  ];
}

async function nodeVersion(): Promise<Outcome> {
  const { node } = process.versions;
  if (!(Number(node.split('.')[0]) >= 24))
    return fail(`Node ${node}`, 'Start it as "npm run -s consilience -- …", which brings its own Node.');
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(':memory:');
  try {
    return pass(`Node ${node}, SQLite ${String(database.prepare('SELECT sqlite_version() AS v').get()?.['v'])}`);
  } finally {
    database.close();
  }
}

/** The product is from 2026; a clock before that, or a lifetime after it, is a dead battery or a slip. */
export function clockOutcome(now: number): Outcome {
  const time = new Date(now).toISOString();
  return now >= Date.UTC(2026, 0, 1) && now < Date.UTC(2100, 0, 1)
    ? pass(`It is ${time}.`)
    : fail(`The clock says ${time}.`, 'Set the date and switch time synchronisation on.');
}

/** χ² over byte values, 255 degrees of freedom: outside 255 ± 250 by chance less often than once in 10^15 looks. */
export function randomnessOutcome(first: Uint8Array, second: Uint8Array): Outcome {
  const broken = fail(
    'The system’s random bytes are not random.',
    'Do not run a study here; ask whoever runs this machine.',
  );
  if (equalBytes(first, second)) return broken;
  for (const bytes of [first, second]) {
    const counts = new Float64Array(256);
    for (const byte of bytes) counts[byte]!++;
    const expected = bytes.length / 256;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    if (Math.abs(chiSquare - 255) > 250) return broken;
  }
  return pass('Two draws of 64 KiB differ, and their bytes are spread evenly.');
}

const rfc8032Seed = fromHex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');
const rfc8032Signature =
  'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b';
const rfc7748Alice = fromHex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
const rfc7748BobPublic = fromHex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
const rfc7748Shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';

function curvesOutcome(): Outcome {
  const message = new Uint8Array(0);
  const native = nodeCipher.ed25519Sign(rfc8032Seed, message);
  const portable = nacl.sign.detached(message, nacl.sign.keyPair.fromSeed(rfc8032Seed).secretKey);
  const shared = nodeCipher.x25519(rfc7748Alice, rfc7748BobPublic);
  const portableShared = nacl.scalarMult(rfc7748Alice, rfc7748BobPublic);
  const publicKey = nodeCipher.ed25519PublicKey(rfc8032Seed);
  const good =
    toHex(native) === rfc8032Signature &&
    equalBytes(native, portable) &&
    isStrictSignature(native) &&
    nodeCipher.ed25519Verify(publicKey, message, portable) &&
    nacl.sign.detached.verify(message, native, publicKey) &&
    shared !== null &&
    toHex(shared) === rfc7748Shared &&
    equalBytes(shared, portableShared);
  return good
    ? pass('Both give the values of RFC 8032 and RFC 7748.')
    : fail('The values of RFC 8032 and RFC 7748 did not come out.', 'Use the Node that comes with the project.');
}

/** Stores, reads and removes a random value under a name of its own. */
async function keyringOutcome(): Promise<Outcome> {
  const elsewhere = 'Use a credential file (--credential-file) or a passphrase; nothing else is missing.';
  const probe = async (): Promise<string | null> => {
    const { AsyncEntry } = await import('@napi-rs/keyring');
    // As in key-source.ts: the kernel's keyring would forget everything at the next start of the machine.
    const entry = new AsyncEntry('consilience', `doctor-${randomBytes(8).toString('hex')}`, {
      linux: { store: 'secret-service' },
    });
    const value = new Uint8Array(randomBytes(32));
    await entry.setSecret(value);
    try {
      const back = await entry.getSecret();
      return back !== null && back !== undefined && equalBytes(Uint8Array.from(back), value)
        ? null
        : 'it did not give back what was stored';
    } finally {
      await entry.deleteCredential();
    }
  };
  let refused: string | null;
  try {
    refused = await within<string | null>(10_000, probe(), 'it did not answer within ten seconds');
  } catch (error) {
    refused = error instanceof Error ? error.message.split('\n')[0]!.slice(0, 200) : String(error);
  }
  return refused === null
    ? pass('The OS keyring stores and gives back.')
    : warn(`The OS keyring does not serve (${refused}).`, elsewhere);
}

const gibibyte = 2 ** 30;

export function sizeOutcome(cores: number, bytes: number): Outcome {
  const found = `${cores} ${cores === 1 ? 'core' : 'cores'}, ${(bytes / gibibyte).toFixed(1)} GiB of memory`;
  if (bytes < gibibyte) return warn(found, 'Below 1 GiB training may be ended by the system; give it more memory.');
  return cores < 2
    ? warn(found, 'With one core, training and sealing wait for each other; it works, slowly.')
    : pass(found);
}

function electron(): Outcome {
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  } catch (error) {
    if (systemCode(error) !== 'MODULE_NOT_FOUND') throw error;
    return pass('The package is not installed. No command needs it.');
  }
  const named = join(folder, 'path.txt');
  const binary = existsSync(named) ? join(folder, 'dist', readFileSync(named, 'utf8').trim()) : null;
  return pass(
    binary !== null && existsSync(binary)
      ? 'Its binary is here.'
      : 'The package is here, its binary is not (it is a download of its own). No command needs it.',
  );
}
