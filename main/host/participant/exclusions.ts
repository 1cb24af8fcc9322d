// What a participant makes of exclusions: it asks for the proof of each and checks it against the contract. One that is
// not proven (silence leaves no proof, a lying coordinator has none) is said to the person, who can ask the lead. Design 3.

import type { Cipher } from '../../../app/ports.ts';
import type { Accusation } from '../../../app/round/coordinator-state.ts';
import { nameOf } from '../../../app/round/parameters.ts';
import type { StudyParameters } from '../../../app/round/parameters.ts';
import { verifyAccusation } from '../../../app/round/proofs.ts';

const reasonWords: { readonly [Reason in Accusation['reason']]: string } = {
  'bad-box': 'it dealt a share that does not open',
  'silent-on-complaint': 'it did not answer a complaint',
  'false-complaint': 'it complained about a share that opens',
  'wrong-share': 'it returned another share than it was dealt',
  'wrong-secret': 'its shares give another secret than it committed to',
  'two-messages-for-one-stage': 'it signed two messages for one stage',
};

/**
 * One sentence for each exclusion that was not told before.
 * @param excluded roster positions that the coordinator calls excluded.
 */
export function createExclusionWatch(cipher: Cipher, parameters: StudyParameters) {
  const told = new Set<number>();
  return async (
    excluded: readonly number[],
    fetch: () => Promise<readonly Accusation[]>,
  ): Promise<{ readonly index: number; readonly proven: boolean; readonly sentence: string }[]> => {
    const fresh = excluded.filter((index) => !told.has(index));
    if (fresh.length === 0) return [];
    const accusations = await fetch();
    return fresh.map((index) => {
      told.add(index);
      const who = nameOf(parameters, index);
      const accusation = accusations.find((one) => one.accused === index);
      const verdict = accusation === undefined ? null : verifyAccusation(cipher, parameters, accusation);
      if (verdict?.proven === true)
        return {
          index,
          proven: true,
          sentence: `${who} is excluded, and proven to be: ${reasonWords[accusation!.reason]}.`,
        };
      const why = verdict === null ? 'The coordinator shows no proof.' : verdict.why;
      return { index, proven: false, sentence: `The coordinator excludes ${who} without proof. ${why} Ask the lead.` };
    });
  };
}
