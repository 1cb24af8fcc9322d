// Answers an invitation: verifies the lead's signature, makes the institution's keys, signs the enrolment that the lead
// puts into the roster. Nothing is agreed to yet. Design 1, journey 2.

import { toHex } from '../../../app/encoding/bytes.ts';
import { RefusalError } from '../../../app/errors.ts';
import { hostActor } from '../../../app/ledger/entry.ts';
import type { Actor } from '../../../app/ledger/entry.ts';
import { openEnrolment, signEnrolment, signedEnrolmentText } from '../../../app/study/enrolment.ts';
import { openInvitation, signedInvitationText } from '../../../app/study/invitation.ts';
import type { Invitation } from '../../../app/study/invitation.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import { nodeMachine } from '../machine.ts';
import { identityCode, invitationPaths, makeFolder, openHome, readTextIfThere } from './home.ts';

export type JoinOptions = {
  readonly home: string;
  readonly keys: KeySourceOptions;
  /** Text of invitation.json. */
  readonly invitation: string;
  /** The institution's short name in the roster. */
  readonly name: string;
  readonly organisation: string;
  /** A public, agreed number of records or persons; never counted from the rows. */
  readonly nominalUnits: number;
  /** Whom the log names; the program itself where nobody sits at a window. */
  readonly actor?: Actor;
};

export type Joined = {
  readonly invitation: Invitation;
  /** The signed enrolment, as it lies in `enrolmentPath`. */
  readonly enrolment: string;
  readonly enrolmentPath: string;
  readonly leadCode: string;
  readonly ownCode: string;
  readonly keys: string;
};

/**
 * @throws InputError and RefusalError of invitation and enrolment; RefusalError `invitation-of-another-lead` where an
 * earlier invitation to a study of that name came from another key; those of openHome.
 */
export async function joinStudy(options: JoinOptions): Promise<Joined> {
  const { home, name, organisation, nominalUnits } = options;
  const { cipher, clock } = nodeMachine;
  const signed = openInvitation(cipher, options.invitation, clock.now());
  const { invitation } = signed;
  const opened = await openHome(home, options.keys, true);
  try {
    const { keystore, ledger } = opened;
    const paths = invitationPaths(home, invitation.study);
    const earlier = await readTextIfThere(paths.invitation);
    if (earlier !== null) {
      const before = openInvitation(cipher, earlier, null).invitation;
      if (before.lead.identityKey !== invitation.lead.identityKey)
        throw new RefusalError(
          'invitation-of-another-lead',
          `An earlier invitation to "${invitation.study}" came from another lead (${identityCode(before.lead.identityKey)}). Ask the lead by telephone; nothing was signed.`,
        );
    }
    const enrolment = signEnrolment(cipher, keystore.identity, {
      format: 'consilience/enrolment/1',
      study: invitation.study,
      name,
      organisation,
      identityKey: toHex(keystore.identity.publicKey),
      nominalUnits,
      created: new Date(clock.now()).toISOString(),
    });
    const text = signedEnrolmentText(enrolment);
    await makeFolder(paths.folder);
    await writeFileAtomically(paths.invitation, signedInvitationText(signed));
    await ledger.append(
      'enrolled',
      {
        study: invitation.study,
        name,
        organisation,
        nominalUnits,
        identityKey: enrolment.enrolment.identityKey,
        lead: invitation.lead.identityKey,
      },
      options.actor ?? hostActor,
    );
    await ledger.checkpoint();
    await writeFileAtomically(paths.enrolment, text);
    return {
      invitation,
      enrolment: text,
      enrolmentPath: paths.enrolment,
      leadCode: identityCode(invitation.lead.identityKey),
      ownCode: identityCode(keystore.identity.publicKey),
      keys: keystore.describe(),
    };
  } finally {
    await opened.close();
  }
}

/** The invitation and the enrolment that this home answered it with. @throws RefusalError `not-joined`. */
export async function readJoined(home: string, study: string) {
  const paths = invitationPaths(home, study);
  const [invitation, enrolment] = [await readTextIfThere(paths.invitation), await readTextIfThere(paths.enrolment)];
  if (invitation === null || enrolment === null)
    throw new RefusalError(
      'not-joined',
      `No invitation to the study "${study}" was answered from ${home}. Use: consilience participant join INVITATION --home ${home}`,
    );
  const { cipher } = nodeMachine;
  return { invitation: openInvitation(cipher, invitation, null), enrolment: openEnrolment(cipher, enrolment) };
}
