// What `doctor --home` looks at in an institution's folder, without unlocking anything or taking a lock: who may read it,
// where its key comes from, whether the ledger is whole, whether the disk keeps what it is given. Design 4, "The ledger".

import { randomBytes } from 'node:crypto';
import { open, readdir, readFile, stat, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { equalBytes } from '../../../app/encoding/bytes.ts';
import { startVerification } from '../../../app/ledger/chain.ts';
import { systemCode } from '../disk/disk-error.ts';
import { check, fail, pass, warn } from './check.ts';
import type { Check, Outcome } from './check.ts';
import { keySourceSchema } from '../keys/key-source.ts';
import { checkpointFileName, ledgerFileName } from '../ledger/ledger-file.ts';
import { linesOf } from '../disk/line-reader.ts';
import { nodeCipher } from '../machine.ts';
import { ledgerFolder } from '../participant/home.ts';

export async function homeChecks(home: string): Promise<Check[]> {
  const folder = await check(
    'home',
    'The folder of this institution: keys, ledger, state.',
    'Check the path, or make it: consilience participant join INVITATION --home DIR',
    async () =>
      (await stat(home)).isDirectory()
        ? pass(home)
        : fail(`${home} is no folder.`, 'Name the folder, not a file in it.'),
  );
  if (folder.level === 'fail') return [folder];
  return [
    folder,
    await check(
      'home-modes',
      'Other accounts on this machine must not read or change it.',
      `Close it: chmod -R go= ${home}`,
      () => modesOutcome(home),
    ),
    await check(
      'home-keys',
      'What unlocks the keys; no other source is ever tried.',
      'Put keys.json back from a backup.',
      () => keysOutcome(home),
    ),
    await check(
      'home-ledger',
      'Nothing runs on a ledger that does not verify.',
      'Put the ledger folder back from its newest backup; what was spent is not forgotten.',
      () => ledgerOutcome(ledgerFolder(home)),
    ),
    await check(
      'home-disk',
      'A charge counts when the disk has it; then only may anything leave.',
      'Use a local disk with free space that this account may write to.',
      () => diskOutcome(home),
    ),
  ];
}

const mostListed = 3;

async function modesOutcome(home: string): Promise<Outcome> {
  if (process.platform === 'win32') return pass('On Windows the folder’s access list protects it; see its properties.');
  const names = await readdir(home, { recursive: true });
  const lax: string[] = [];
  for (const name of ['', ...names]) {
    const { mode } = await stat(join(home, name)).catch((error: unknown) => {
      // Temporary files of a running participant come and go.
      if (systemCode(error) === 'ENOENT') return { mode: 0 };
      throw error;
    });
    if ((mode & 0o077) !== 0) lax.push(name === '' ? home : name);
  }
  // A closed folder protects what is in it.
  if (lax[0] !== home) return pass('Only its owner may enter the folder.');
  return fail(
    `Other accounts may use ${lax.slice(0, mostListed).join(', ')}${lax.length > mostListed ? ` and ${lax.length - mostListed} more` : ''}.`,
    `Close it: chmod -R go= ${home}`,
  );
}

const keysSchema = z.looseObject({ source: keySourceSchema, passedOver: z.array(z.string()) });
const sourceWords = {
  keyring: 'the OS keyring',
  'credential-file': 'a credential file',
  passphrase: 'a passphrase',
} as const;

async function keysOutcome(home: string): Promise<Outcome> {
  let text: string;
  try {
    text = await readFile(join(home, 'keys.json'), 'utf8');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return warn('There are no keys yet.', 'Answer an invitation: consilience participant join INVITATION --home DIR');
  }
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Said below: no keys can be read.
  }
  const parsed = keysSchema.safeParse(value);
  if (!parsed.success)
    return fail(
      'keys.json cannot be read.',
      'Put it back from a backup; without it this institution’s state stays locked.',
    );
  const { source, passedOver } = parsed.data;
  return pass([`They are locked by ${sourceWords[source.kind]}.`, ...passedOver].join(' '));
}

async function ledgerOutcome(folder: string): Promise<Outcome> {
  const restore = 'Put the ledger folder back from its newest backup; what was spent is not forgotten.';
  const checkpoint = await readIfThere(join(folder, checkpointFileName));
  let handle;
  try {
    handle = await open(join(folder, ledgerFileName), 'r');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return checkpoint === null
      ? warn('There is no ledger yet.', 'It begins with: consilience participant join INVITATION --home DIR')
      : fail('The ledger is gone, its checkpoint is still there.', restore);
  }
  try {
    const verifier = startVerification(nodeCipher, checkpoint === null ? [] : [checkpoint]);
    let torn = false;
    for await (const line of linesOf(handle)) {
      torn = !line.complete;
      if (!torn) verifier.push(line.bytes);
    }
    const { ok, head, findings } = verifier.finish();
    if (!ok) return fail(findings[0]!.sentence, restore);
    if (checkpoint === null && head.size > 0) return fail('The checkpoint is gone.', restore);
    if (torn)
      return warn(
        `${head.size} entries are linked; the last line is incomplete.`,
        'Nothing to do: the next start cuts it off and says so in the ledger.',
      );
    return pass(`${head.size} entries, each linked to the one before it.`);
  } finally {
    await handle.close();
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}

const mebibyte = 2 ** 20;

/** Free space in bytes → what to think of it. */
export function spaceOutcome(free: number, how: string): Outcome {
  const found = `${how} ${Math.floor(free / mebibyte)} MiB are free.`;
  if (free < 64 * mebibyte) return fail(found, 'Free some space: a full disk ends every round.');
  return free < 1024 * mebibyte
    ? warn(found, 'Free some space: a study keeps sealed vectors and its ledger.')
    : pass(found);
}

async function diskOutcome(home: string): Promise<Outcome> {
  const path = join(home, `.doctor.${randomBytes(8).toString('hex')}.tmp`);
  const bytes = new Uint8Array(randomBytes(4096));
  const handle = await open(path, 'wx+', 0o600);
  const began = performance.now();
  let kept: boolean;
  try {
    await handle.write(bytes, 0, bytes.length, 0);
    await handle.sync();
    const back = new Uint8Array(bytes.length);
    await handle.read(back, 0, back.length, 0);
    kept = equalBytes(back, bytes);
  } finally {
    await handle.close();
    await unlink(path);
  }
  const took = performance.now() - began;
  if (!kept) return fail('The disk gave back other bytes than it was given.', 'Do not use this disk.');
  const { bavail, bsize } = await statfs(home);
  return spaceOutcome(bavail * bsize, `A write was synced in ${took < 1 ? 'under 1' : took.toFixed(0)} ms;`);
}
