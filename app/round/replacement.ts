// What a replaced machine must assume: the Readies that the coordinator holds of it, each signed by its own key, say which
// rounds may have been given a contribution that this ledger knows nothing of. Design 4, "Rollback".

import { toHex } from '../encoding/bytes.ts';
import { RefusalError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { encodeMessage, isSignedBy } from './messages.ts';
import type { Message } from './messages.ts';
import { contextOf, identityKeyOf } from './parameters.ts';
import type { StudyParameters } from './parameters.ts';

export type ReplacementPlan = {
  /** The number that the statement takes: above every counter that anyone holds, this folder included. */
  readonly counter: number;
  /** Nothing is ever signed again for this round or an earlier one. */
  readonly round: number;
  /** Rounds to charge at their worst case, ascending, with the SHA-256 (hex) of the Ready that makes it so. */
  readonly charge: readonly { readonly round: number; readonly evidence: string }[];
};

/**
 * @param readies all that the coordinator holds of roster position `index`
 * @param known what is still here: the highest counter of ledger, state and witness; rounds signed for; rounds charged
 * @param openRound number of the newest round that the coordinator has opened; a Ready for it may be hidden
 * @throws RefusalError `evidence-not-mine` for a Ready that this institution did not sign in this study.
 */
export function planReplacement(
  cipher: Cipher,
  parameters: StudyParameters,
  index: number,
  readies: readonly Message<0>[],
  known: {
    readonly counter: number;
    readonly signedRound: number;
    readonly reserved: ReadonlySet<number>;
  },
  openRound: number,
): ReplacementPlan {
  let { counter } = known;
  let newest = Math.max(known.signedRound, openRound);
  const charge = new Map<number, string>();
  for (const ready of readies) {
    const key = identityKeyOf(parameters, index);
    const mine = ready.sender === index && ready.body.contract === toHex(parameters.study);
    if (!mine || !isSignedBy(cipher, contextOf(parameters, ready.round), ready, key))
      throw new RefusalError(
        'evidence-not-mine',
        'The coordinator shows an announcement that this institution did not sign. Nothing was changed; ask its operator.',
      );
    counter = Math.max(counter, ready.body.counter);
    newest = Math.max(newest, ready.round);
    // A closing message has no keys: nothing can have been sealed under it.
    if (ready.body.keys !== null && !known.reserved.has(ready.round))
      charge.set(ready.round, toHex(cipher.sha256(encodeMessage(ready))));
  }
  return {
    counter: counter + 1,
    round: newest,
    charge: [...charge]
      .map(([round, evidence]) => ({ round, evidence }))
      .sort((left, right) => left.round - right.round),
  };
}
