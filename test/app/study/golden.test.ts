// The frozen formats: contract, consent, withdrawal, invitation and enrolment, byte for byte as in test/vectors, and
// their signatures checked with node:crypto alone over literally written domain strings.

import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import {
  openSignedConsent,
  openSignedWithdrawal,
  signedConsentText,
  signedWithdrawalText,
} from '../../../app/study/consent.ts';
import { openEnrolment, signedEnrolmentText } from '../../../app/study/enrolment.ts';
import { openInvitation, signedInvitationText } from '../../../app/study/invitation.ts';
import { openSignedContract, signContract, signedContractText } from '../../../app/study/signed-contract.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleConsent, sampleEnrolment, sampleInvitation, sampleWithdrawal } from './documents.ts';
import { sampleContract, sampleKey, sampleNow, sampleSigner } from './sample-study.ts';

const vector = (name: string): string =>
  readFileSync(new URL(`../../vectors/contract-${name}.json`, import.meta.url), 'utf8');
const expected = JSON.parse(vector('expected')) as { readonly [name: string]: string };

test('the contract is what it was when its format was frozen', () => {
  const text = vector('signed');
  assert.equal(signedContractText(signContract(nodeCipher, sampleSigner(1), sampleContract())), text);
  const opened = openSignedContract(nodeCipher, text);
  assert.equal(toHex(opened.hash), expected['contract']);
  assert.deepEqual(opened.contract, sampleContract());
});

test('consent, withdrawal, invitation and enrolment are what they were', () => {
  const contract = sampleContract();
  assert.equal(signedConsentText(sampleConsent()), vector('consent'));
  assert.equal(signedWithdrawalText(sampleWithdrawal()), vector('withdrawal'));
  assert.equal(signedInvitationText(sampleInvitation()), vector('invitation'));
  assert.equal(signedEnrolmentText(sampleEnrolment(3)), vector('enrolment'));
  openSignedConsent(nodeCipher, contract, vector('consent'));
  openSignedWithdrawal(nodeCipher, contract, vector('withdrawal'));
  openInvitation(nodeCipher, vector('invitation'), sampleNow);
  openEnrolment(nodeCipher, vector('enrolment'));
});

for (const [name, domain, who] of [
  ['signed', 'consilience/contract\0', 1],
  ['consent', 'consilience/consent\0', 12],
  ['withdrawal', 'consilience/withdrawal\0', 12],
  ['invitation', 'consilience/invitation\0', 1],
  ['enrolment', 'consilience/enrolment\0', 13],
] as const) {
  test(`the signature of the ${name} file is Ed25519 over its domain and the SHA-256 of its canonical document`, () => {
    // Whichever member comes first, the document's canonical text lies in the file as it was hashed.
    const text = vector(name).trimEnd();
    const signature = /"signature":"([0-9a-f]{128})"/.exec(text)![1]!;
    const rest = text
      .replace(`"signature":"${signature}"`, '')
      .replace(/^\{,|^\{/, '')
      .replace(/,?\}$/, '');
    const document = rest.slice(rest.indexOf(':') + 1);
    const digest = createHash('sha256').update(document).digest();
    assert.equal(digest.toString('hex'), expected[name === 'signed' ? 'contract' : name]);
    const key = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(sampleKey(who), 'hex').toString('base64url') },
      format: 'jwk',
    });
    assert.ok(verify(null, Buffer.concat([Buffer.from(domain), digest]), key, Buffer.from(signature, 'hex')));
  });
}
