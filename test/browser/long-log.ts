// A home whose log is long: real entries, linked and signed as the program does, of very many training rounds. Written at
// once, because a hundred thousand syncs are not what is looked at.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openKeystore } from '../../main/host/keys/keystore.ts';
import { nodeCipher } from '../../main/host/machine.ts';
import { appendEntry } from '../../app/ledger/chain.ts';
import { writeCheckpoint } from '../../app/ledger/checkpoint.ts';
import { decodeEntry, hashOfLine, hostActor } from '../../app/ledger/entry.ts';
import type { EntryBody, EntryKind } from '../../app/ledger/entry.ts';
import { utf8 } from '../../app/encoding/bytes.ts';
import { worstCaseEvent } from '../../app/round/charge.ts';
import type { Homes } from '../main/host/participant/homes.ts';

const entriesPerRound = 5;

/**
 * Lengthens the log of the first institution, which has consented.
 * @param hash of the study terms.
 * @returns entries in it, and its file.
 */
export async function lengthenLog(
  homes: Homes,
  hash: string,
  rounds: number,
): Promise<{ entries: number; file: string }> {
  const { home } = homes.institutions[0]!;
  const file = join(home, 'ledger', 'ledger.jsonl');
  const before = await readFile(file, 'utf8');
  const lastLine = utf8(before.trimEnd().split('\n').at(-1)!);
  const { contract } = homes.signed;
  const event = { ...worstCaseEvent(contract) };
  let head = { size: decodeEntry(lastLine).seq, last: hashOfLine(nodeCipher, lastLine) };
  let now = Date.now() - rounds * 3_600_000;
  const lines: string[] = [];
  const add = <Kind extends EntryKind>(kind: Kind, body: EntryBody<Kind>): number => {
    const appended = appendEntry(nodeCipher, head, (now += 1000), hostActor, kind, body);
    lines.push(new TextDecoder().decode(appended.line));
    head = appended.head;
    return head.size;
  };
  const cohort = contract.roster.map((_, index) => index);
  for (let round = 1; round <= rounds; round++) {
    add('round-stage-reached', { study: hash, round, stage: 'ready', counter: round });
    const reservedSeq = add('budget-reserved', { study: hash, round, dataset: 'records', event, outbox: hash });
    add('budget-settled', { study: hash, round, reservedSeq, event, transcript: hash });
    add('round-closed', { study: hash, round, cohort });
    add('model-pinned', { study: hash, round, model: hash });
    now += 3_595_000;
  }
  await writeFile(file, `${before}${lines.join('\n')}\n`);
  const keys = await openKeystore({ folder: home, ...homes.keys });
  const checkpoint = writeCheckpoint(nodeCipher, keys.identity, head, now);
  keys.close();
  await writeFile(join(home, 'ledger', 'checkpoint'), checkpoint);
  return { entries: rounds * entriesPerRound + before.trimEnd().split('\n').length, file };
}
