// The checkpoint: read back, every altered byte refused, one text for one signature; Base64 against Node's own.

import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromUtf8, utf8 } from '../../../app/encoding/bytes.ts';
import { InputError } from '../../../app/errors.ts';
import { fromBase64, toBase64 } from '../../../app/encoding/base64.ts';
import { ed25519Pem } from '../../../app/ledger/pem.ts';
import { readCheckpoint } from '../../../app/ledger/checkpoint.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleLedger, sampleSigner } from './sample.ts';

const ledger = sampleLedger();
const text = ledger.checkpoint();

void test('a checkpoint says what was signed', () => {
  const { publicKey, time, ...head } = readCheckpoint(nodeCipher, text, sampleSigner.publicKey);
  assert.deepEqual(head, ledger.head);
  assert.deepEqual(publicKey, sampleSigner.publicKey);
  assert.equal(time, '2026-11-23T09:30:11.125Z');
});

void test('every altered character of a checkpoint is refused, also where no signature reaches', () => {
  const bytes = utf8(text);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.with(at, bytes[at]! ^ 1);
    let read;
    try {
      read = fromUtf8(damaged);
    } catch {
      continue;
    }
    assert.throws(() => readCheckpoint(nodeCipher, read), InputError, `byte ${at}`);
  }
  assert.throws(() => readCheckpoint(nodeCipher, `${text}\n`), InputError);
});

void test('Base64 is the standard one and strict', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      assert.equal(toBase64(bytes), Buffer.from(bytes).toString('base64'));
      assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
    }),
  );
  for (const wrong of ['A', 'AAA', 'AB==', 'AAB=', 'A===', '====', 'AA=A', 'AAA*', 'AAAA=', 'AA-_'])
    assert.equal(fromBase64(wrong), null, wrong);
});

void test('the PEM form is read by OpenSSL as the same key', () => {
  const key = createPublicKey(ed25519Pem(sampleSigner.publicKey));
  assert.equal(key.asymmetricKeyType, 'ed25519');
  assert.deepEqual(new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(-32)), sampleSigner.publicKey);
});
