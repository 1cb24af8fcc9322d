// Signed requests, without a network: what is signed is accepted, and one changed member of either document is not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { canonicalJson } from '../../../app/encoding/canonical-json.ts';
import { signerFromSeed } from '../../../app/encoding/signature.ts';
import {
  certifyTransportKey,
  checkCertificate,
  checkRequest,
  checkRequestBody,
  signRequest,
} from '../../../app/round/request.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleStudy } from './sample-study.ts';

const { identities, parameters } = sampleStudy({ institutions: 3 });
const transport = signerFromSeed(nodeCipher, new Uint8Array(32).fill(9));
const now = 1_780_000_000_000;
const certificateText = certifyTransportKey(identities[1]!, parameters, {
  index: 1,
  key: transport.publicKey,
  notAfter: now + 1000,
});
const body = utf8('body');
const nonce = new Uint8Array(16).fill(3);
const requestText = signRequest(nodeCipher, transport, { method: 'PUT', path: '/v1/x?y=1', body, time: now, nonce });
const actual = { method: 'PUT', path: '/v1/x?y=1' };
const clock = { now, windowMs: 1000, seen: () => false };

test('a certified, signed request is accepted and names its sender and body', () => {
  const certificate = checkCertificate(nodeCipher, parameters, certificateText, now);
  assert.equal(certificate.index, 1);
  const head = checkRequest(nodeCipher, certificate, requestText, actual, clock);
  checkRequestBody(nodeCipher, head, body);
  assert.throws(() => checkRequestBody(nodeCipher, head, utf8('bodx')), { code: 'request-body-differs' });
  assert.throws(() => checkRequestBody(nodeCipher, head, null), { code: 'request-body-differs' });
});

test('each member of the certificate is under its signature', () => {
  const parsed = JSON.parse(certificateText) as { certificate: object; signature: string };
  const changes = { index: 2, key: toHex(identities[0]!.publicKey), notAfter: now + 2000 };
  for (const [name, value] of Object.entries(changes)) {
    const text = canonicalJson({ ...parsed, certificate: { ...parsed.certificate, [name]: value } });
    assert.throws(() => checkCertificate(nodeCipher, parameters, text, now), { code: 'certificate-signature' }, name);
  }
  assert.throws(() => checkCertificate(nodeCipher, parameters, ` ${certificateText}`, now), {
    code: 'certificate-invalid',
  });
});

test('each member of the request is under its signature, and its nonce is asked for only then', () => {
  const certificate = checkCertificate(nodeCipher, parameters, certificateText, now);
  const parsed = JSON.parse(requestText) as { request: object; signature: string };
  const changes = { method: 'GET', path: '/v1/z', body: '00'.repeat(32), time: now + 1, nonce: '00'.repeat(16) };
  for (const [name, value] of Object.entries(changes)) {
    const request = { ...parsed.request, [name]: value };
    const text = canonicalJson({ ...parsed, request });
    const asked: string[] = [];
    const seen = (nonceSeen: string): boolean => asked.push(nonceSeen) > 0;
    assert.throws(
      () => checkRequest(nodeCipher, certificate, text, { ...actual, ...request }, { ...clock, seen }),
      { code: 'request-signature' },
      name,
    );
    assert.deepEqual(asked, []);
  }
  assert.throws(() => checkRequest(nodeCipher, certificate, requestText, actual, { ...clock, seen: () => true }), {
    code: 'request-replayed',
  });
  assert.throws(() => checkRequest(nodeCipher, certificate, requestText, actual, { ...clock, now: now + 1001 }), {
    code: 'request-stale',
  });
});
