// Invitations and enrolments: signed, strict, for this study, once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addToRoster, openEnrolment, signEnrolment } from '../../../app/study/enrolment.ts';
import { openInvitation, signInvitation, signedInvitationText } from '../../../app/study/invitation.ts';
import type { ContractDraft } from '../../../app/study/contract.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleEnrolment, sampleInvitation } from './documents.ts';
import { refused } from './refused.ts';
import { sampleContract, sampleKey, sampleNow, sampleSigner } from './sample-study.ts';

test('an invitation opens until it ends', () => {
  const text = signedInvitationText(sampleInvitation());
  assert.equal(openInvitation(nodeCipher, text, sampleNow).invitation.study, 'sample-study');
  const end = Date.parse('2026-12-23T09:00:00.000Z');
  refused('invitation-expired', () => openInvitation(nodeCipher, text, end));
  assert.doesNotThrow(() => openInvitation(nodeCipher, text, end - 1));
  assert.doesNotThrow(() => openInvitation(nodeCipher, text, null));
});

test('an altered invitation, or one by another key, is refused', () => {
  const { invitation, signature } = sampleInvitation();
  const altered = { ...invitation, address: 'https://elsewhere.example.org' };
  refused('invitation-signature', () => openInvitation(nodeCipher, { invitation: altered, signature }, null));
  const lead = { ...invitation.lead, identityKey: sampleKey(9) };
  refused('invitation-signature', () =>
    openInvitation(nodeCipher, { invitation: { ...invitation, lead }, signature }, null),
  );
  refused('lead-key-differs', () => signInvitation(nodeCipher, sampleSigner(9), invitation));
  refused('invitation-invalid', () =>
    openInvitation(nodeCipher, { invitation: { ...invitation, more: 1 }, signature }, null),
  );
});

test('an enrolment proves that its sender holds the key', () => {
  const { enrolment, signature } = sampleEnrolment(0);
  assert.equal(openEnrolment(nodeCipher, { enrolment, signature }).enrolment.name, 'hospital-1');
  refused('enrolment-signature', () =>
    openEnrolment(nodeCipher, { enrolment: { ...enrolment, nominalUnits: 5 }, signature }),
  );
  refused('enrolment-signature', () =>
    openEnrolment(nodeCipher, { enrolment: { ...enrolment, identityKey: sampleKey(11) }, signature }),
  );
  refused('enrolment-key-differs', () => signEnrolment(nodeCipher, sampleSigner(11), enrolment));
  refused('enrolment-invalid', () =>
    openEnrolment(nodeCipher, { enrolment: { ...enrolment, name: 'No Name' }, signature }),
  );
});

test('institutions enter the roster once, in the study they enrolled for, under a key of their own', () => {
  let draft: ContractDraft = { ...sampleContract(), roster: [] };
  for (const which of [0, 1, 2]) draft = addToRoster(draft, sampleEnrolment(which));
  assert.deepEqual(draft.roster, sampleContract().roster.slice(0, 3));
  refused('institution-enrolled', () => addToRoster(draft, sampleEnrolment(1)));
  refused('party-repeated', () => addToRoster(draft, sampleEnrolment(1, { name: 'hospital-9' })));
  refused('enrolment-other-study', () => addToRoster(draft, sampleEnrolment(4, { study: 'another-study' })));
  const full = {
    ...draft,
    roster: Array.from({ length: 500 }, (_, i) => ({ name: `h-${i}`, organisation: 'H', nominalUnits: 1 })),
  };
  refused('roster-full', () => addToRoster(full, sampleEnrolment(4)));
});

test('an entry that the lead prepared without a key is filled in at its place', () => {
  const roster = [
    { name: 'hospital-2', organisation: 'planned', nominalUnits: 1 },
    ...sampleContract().roster.slice(2, 4),
  ];
  const draft = addToRoster({ ...sampleContract(), roster }, sampleEnrolment(1));
  assert.deepEqual(draft.roster[0], sampleContract().roster[1]);
  assert.equal(draft.roster.length, 3);
});
