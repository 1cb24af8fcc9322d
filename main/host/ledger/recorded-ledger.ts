// A ledger's writer that keeps what it wrote beside what was there, so that both can be read again without the file.

import { hostActor } from '../../../app/ledger/entry.ts';
import type { Actor } from '../../../app/ledger/entry.ts';
import type { EntryWithHash, LedgerWriter } from '../../../app/round/study-ledger.ts';
import type { OpenHome } from '../participant/home.ts';

/** In the name of `actor`. `entries` grows with every append that resolves. */
export function recordedLedger(
  opened: Pick<OpenHome, 'ledger' | 'entries'>,
  actor: Actor = hostActor,
): {
  readonly writer: LedgerWriter;
  readonly entries: readonly EntryWithHash[];
} {
  const entries = [...opened.entries];
  return {
    entries,
    writer: {
      async append(kind, body) {
        const appended = await opened.ledger.append(kind, body, actor);
        entries.push(appended);
        return appended;
      },
    },
  };
}
