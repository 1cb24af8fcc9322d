// Three memories of how many Readies were signed must agree: the ledger's, the sealed state's, the coordinator's. An old
// disk put back shows in any of them. Design 3 (R0), design 4 ("Rollback").

import { RefusalError } from '../../../app/errors.ts';
import { judgeWitness } from '../../../app/ledger/head.ts';
import type { Witness } from '../../../app/ledger/head.ts';

/**
 * @param stateCounter Readies signed by the sealed state
 * @param ledger newest Ready in the ledger
 * @param witnessed newest Ready that the coordinator holds; null if none
 * @throws RefusalError `ledger-behind`, `ledger-forked`, `state-behind`.
 */
export function requireAgreeing(stateCounter: number, ledger: Witness, witnessed: Witness | null): void {
  const judged = witnessed === null ? 'current' : judgeWitness(ledger, witnessed);
  if (judged === 'behind' || ledger.counter < stateCounter)
    throw new RefusalError(
      'ledger-behind',
      `The privacy log is behind: it holds ${ledger.counter} announcements of this study, but ${Math.max(stateCounter, witnessed?.counter ?? 0)} were signed. An older copy of this folder seems to have been put back. Nothing was sent. Bring the newest folder back; if it is lost, go on with: consilience participant recover`,
    );
  if (judged === 'forked')
    throw new RefusalError(
      'ledger-forked',
      `The privacy log differs from the one that signed announcement ${ledger.counter}: two copies of this folder are in use, or the log was rewritten. Nothing was sent. Bring the newest folder back; if it is lost, go on with: consilience participant recover`,
    );
  // The ledger is written first, so after a crash it may be ahead by the one Ready that was never signed.
  if (ledger.counter > stateCounter + 1 || (witnessed?.counter ?? 0) > stateCounter)
    throw new RefusalError(
      'state-behind',
      `The stored state is behind the privacy log: ${stateCounter} announcements against ${Math.max(ledger.counter, witnessed?.counter ?? 0)}. An older copy of this folder seems to have been put back. Nothing was sent. Bring the newest folder back; if it is lost, go on with: consilience participant recover`,
    );
}
