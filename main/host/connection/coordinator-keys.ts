// Changes of the coordinator's key as an institution, or a relay, keeps them: checked against the lead's key in the study
// terms, written to its log, then to the study's folder, and only then in force. Spec: app/study/coordinator-key.ts.

import { canonicalJson } from '../../../app/encoding/canonical-json.ts';
import { toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { acceptKeyChange } from '../../../app/round/parameters.ts';
import type { StudyParameters } from '../../../app/round/parameters.ts';
import { checkKeyChange, openKeyChange } from '../../../app/study/coordinator-key.ts';
import type { KeyChange, SignedKeyChange } from '../../../app/study/coordinator-key.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { nodeCipher } from '../machine.ts';
import { readTextIfThere } from '../participant/home.ts';
import type { Ledger } from '../ledger/ledger-file.ts';

export type CoordinatorKeys = {
  readonly known: () => number;
  /**
   * Takes up what is new in the coordinator's list. @returns it.
   * @throws RefusalError as checkKeyChange; InputError for a malformed statement; nothing is changed then.
   */
  takeUp(shown: readonly unknown[]): Promise<readonly KeyChange[]>;
};

/** @throws InputError, RefusalError where the file was changed behind the program's back. */
export async function coordinatorKeys(around: {
  readonly parameters: StudyParameters;
  readonly path: string;
  /** Null: a relay, which has no log of its own. */
  readonly writer: Pick<Ledger, 'append'> | null;
}): Promise<CoordinatorKeys> {
  const { parameters, path, writer } = around;
  const text = await readTextIfThere(path);
  const kept: SignedKeyChange[] = text === null ? [] : (JSON.parse(text) as unknown[]).map(openKeyChange);
  for (const change of kept) acceptKeyChange(nodeCipher, parameters, change);
  return {
    known: () => parameters.keyChanges.length,
    async takeUp(shown) {
      const taken: KeyChange[] = [];
      for (const value of shown.slice(parameters.keyChanges.length)) {
        const signed = openKeyChange(value);
        const study = toHex(parameters.study);
        const change = checkKeyChange(nodeCipher, parameters.contract, study, parameters.keyChanges, signed);
        await writer?.append('coordinator-key-changed', {
          study,
          fromRound: change.fromRound,
          old: change.old,
          next: change.next,
          oldKeySigned: signed.old !== null,
        });
        kept.push(signed);
        await writeFileAtomically(path, utf8(`${canonicalJson(kept)}\n`));
        acceptKeyChange(nodeCipher, parameters, signed);
        taken.push(change);
      }
      return taken;
    },
  };
}
