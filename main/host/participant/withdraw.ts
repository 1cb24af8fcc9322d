// An institution stops taking part: a signed withdrawal on disk, which a running participant honours before its next
// charge, or which is entered in the log here where nothing runs. What was contributed stays. Design 4, "Budgets and
// consent".

import { RefusalError } from '../../../app/errors.ts';
import { hostActor } from '../../../app/ledger/entry.ts';
import type { Actor } from '../../../app/ledger/entry.ts';
import {
  openSignedConsent,
  openSignedWithdrawal,
  signWithdrawal,
  signedWithdrawalText,
} from '../../../app/study/consent.ts';
import { toHex } from '../../../app/encoding/bytes.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import { nodeMachine } from '../machine.ts';
import type { Keystore } from '../keys/keystore.ts';
import { openExistingKeys, openUnlessRunning, readStudy, readTextIfThere } from './home.ts';
import type { StoredStudy } from './home.ts';

export type WithdrawOptions = {
  readonly home: string;
  readonly keys: KeySourceOptions;
  readonly study: string | null;
  readonly reason: string | null;
  /** Whom the log names where nothing runs here; the program itself where nobody sits at a window. */
  readonly actor?: Actor;
  /** Tells the coordinator; its failure leaves that to the next `run` or `withdraw`. */
  readonly send: (stored: StoredStudy, index: number, keystore: Keystore, text: string) => Promise<void>;
};

export type Withdrawn = {
  readonly study: string;
  /** `running`: a participant that runs here will honour it before its next charge. */
  readonly by: 'running' | 'here';
  /** Why the coordinator was not told yet; null where it was, or where the running participant tells it. */
  readonly untold: string | null;
};

/** @throws RefusalError `no-consent`, those of the keys; InputError `study-unknown`. */
export async function withdraw(options: WithdrawOptions): Promise<Withdrawn> {
  const { home } = options;
  const { cipher, clock } = nodeMachine;
  const stored = await readStudy(home, options.study);
  const { contract, paths } = stored;
  const consentText = await readTextIfThere(paths.consent);
  if (consentText === null)
    throw new RefusalError('no-consent', 'No consent to this study is signed here, so there is nothing to end.');
  const { consent } = openSignedConsent(cipher, contract, consentText);
  const keystore = await openExistingKeys(home, options.keys);
  const study = toHex(stored.hash);
  let text: string;
  try {
    const earlier = await readTextIfThere(paths.withdrawal);
    text = earlier ?? signed();
    openSignedWithdrawal(cipher, contract, text);
    if (earlier === null) await writeFileAtomically(paths.withdrawal, text);
  } catch (error) {
    keystore.close();
    throw error;
  }

  const opened = await openUnlessRunning(home, keystore);
  if (opened === null) return { study, by: 'running', untold: null };
  try {
    const ended = opened.entries.some(({ entry }) => entry.kind === 'consent-withdrawn' && entry.body.study === study);
    if (!ended) {
      const { dataset, reason } = openSignedWithdrawal(cipher, contract, text).withdrawal;
      const body = { study, dataset, ...(reason === null ? {} : { reason }) };
      await opened.ledger.append('consent-withdrawn', body, options.actor ?? hostActor);
      await opened.ledger.checkpoint();
    }
    const untold = await options.send(stored, consent.institution.index, opened.keystore, text).then(
      () => null,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    return { study, by: 'here', untold };
  } finally {
    await opened.close();
  }

  function signed(): string {
    return signedWithdrawalText(
      signWithdrawal(cipher, keystore.identity, {
        format: 'consilience/withdrawal/1',
        contract: toHex(stored.hash),
        institution: consent.institution,
        dataset: consent.dataset.name,
        reason: options.reason,
        given: new Date(clock.now()).toISOString(),
      }),
    );
  }
}
