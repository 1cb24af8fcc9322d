// The fixed documents of the sample study, from fixed keys and times: what test/vectors/contract-*.json hold.

import { toHex } from '../../../app/encoding/bytes.ts';
import { consentTo, signConsent, signWithdrawal } from '../../../app/study/consent.ts';
import type { Consent, ConsentChoices, SignedConsent, Withdrawal } from '../../../app/study/consent.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { signEnrolment } from '../../../app/study/enrolment.ts';
import type { Enrolment, SignedEnrolment } from '../../../app/study/enrolment.ts';
import { signInvitation } from '../../../app/study/invitation.ts';
import type { Invitation, SignedInvitation } from '../../../app/study/invitation.ts';
import { contractHash } from '../../../app/study/signed-contract.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleContract, sampleKey, sampleSigner } from './sample-study.ts';

export const consentChoices: ConsentChoices = {
  index: 2,
  dataset: { name: 'discharges-2026', lineage: null },
  epsilonCeiling: 7,
  noise: 'discrete-gaussian',
  given: '2026-11-25T10:00:00.000Z',
  expires: '2027-05-25T10:00:00.000Z',
};

export function sampleConsent(contract: Contract = sampleContract(), changes: Partial<Consent> = {}): SignedConsent {
  const noise = contract.privacy.noise;
  const ceiling = noise === 'none' ? null : consentChoices.epsilonCeiling;
  const consent = consentTo(nodeCipher, contract, { ...consentChoices, noise, epsilonCeiling: ceiling });
  return signConsent(nodeCipher, sampleSigner(12), { ...consent, ...changes });
}

export function sampleWithdrawal(changes: Partial<Withdrawal> = {}) {
  return signWithdrawal(nodeCipher, sampleSigner(12), {
    format: 'consilience/withdrawal/1',
    contract: toHex(contractHash(nodeCipher, sampleContract())),
    institution: { index: 2, name: 'hospital-3' },
    dataset: 'discharges-2026',
    reason: null,
    given: '2027-01-05T10:00:00.000Z',
    ...changes,
  });
}

export function sampleInvitation(changes: Partial<Invitation> = {}): SignedInvitation {
  return signInvitation(nodeCipher, sampleSigner(1), {
    format: 'consilience/invitation/1',
    study: 'sample-study',
    title: 'Readmission within thirty days',
    purpose: 'To predict readmission within thirty days from what is known at discharge.',
    address: 'https://relay.example.org:8443',
    lead: { organisation: 'Institute of Methods', identityKey: sampleKey(1) },
    certificateAuthority: null,
    created: '2026-11-23T09:00:00.000Z',
    expires: '2026-12-23T09:00:00.000Z',
    ...changes,
  });
}

export function sampleEnrolment(which: number, changes: Partial<Enrolment> = {}): SignedEnrolment {
  return signEnrolment(nodeCipher, sampleSigner(10 + which), {
    format: 'consilience/enrolment/1',
    study: 'sample-study',
    name: `hospital-${which + 1}`,
    organisation: `Hospital number ${which + 1}`,
    identityKey: sampleKey(10 + which),
    nominalUnits: 1000,
    created: '2026-11-24T09:00:00.000Z',
    ...changes,
  });
}
