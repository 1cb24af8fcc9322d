// Reads the institution's ledger again from disk, whole, and holds it against its checkpoint.

import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { startVerification } from '../../../app/ledger/chain.ts';
import { diskError } from '../disk/disk-error.ts';
import { checkpointFileName, ledgerFileName } from '../ledger/ledger-file.ts';
import { linesOf } from '../disk/line-reader.ts';
import { nodeCipher } from '../machine.ts';
import { ledgerFolder } from './home.ts';

export type LedgerVerdict = {
  readonly verified: boolean;
  readonly entries: number;
  /** The first thing that is wrong, in words. */
  readonly finding: string | null;
};

const entriesAtOnce = 50;

/** Takes no lock; a checkpoint behind the last entry is no fault, a missing one is. @param onEntry what it throws ends the reading. @throws UnavailableError. */
export async function verifyOwnLedger(
  home: string,
  publicKey: Uint8Array,
  onEntry: (read: number) => void = () => {},
): Promise<LedgerVerdict> {
  const folder = ledgerFolder(home);
  try {
    const checkpoint = await readFile(join(folder, checkpointFileName), 'utf8');
    const verifier = startVerification(nodeCipher, [checkpoint], publicKey);
    const handle = await open(join(folder, ledgerFileName), 'r');
    let torn = false;
    let read = 0;
    try {
      for await (const line of linesOf(handle)) {
        onEntry(read);
        if (line.complete) verifier.push(line.bytes);
        else torn = true;
        // A long log must not hold up whatever else its process does.
        if (++read % entriesAtOnce === 0) await nextTurn();
      }
    } finally {
      await handle.close();
    }
    const { ok, head, findings } = verifier.finish(torn);
    return { verified: ok, entries: head.size, finding: findings[0]?.sentence ?? null };
  } catch (error) {
    throw diskError(error, `The ledger in ${folder}`);
  }
}
