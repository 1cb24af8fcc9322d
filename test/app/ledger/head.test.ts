// The keyed head and the judgement of witnesses; the HMAC is recomputed with node:crypto's own HKDF.

import assert from 'node:assert/strict';
import { createHmac, hkdfSync } from 'node:crypto';
import { test } from 'node:test';
import { judgeWitness, readyHead } from '../../../app/ledger/head.ts';
import { nodeCipher } from '../../../main/host/machine.ts';

const secret = new Uint8Array(32).fill(1);
const study = new Uint8Array(32).fill(2);
const last = 'ab'.repeat(32);

void test('the head is HMAC(HKDF(secret, study), ledger head)', () => {
  const key = Buffer.from(hkdfSync('sha256', secret, study, 'consilience/ledger-head', 32));
  const expected = createHmac('sha256', key).update(Buffer.from(last, 'hex')).digest('hex');
  assert.equal(readyHead(nodeCipher, secret, study, last), expected);
  const changed = [
    readyHead(nodeCipher, study, study, last),
    readyHead(nodeCipher, secret, secret, last),
    readyHead(nodeCipher, secret, study, 'ac'.repeat(32)),
  ];
  assert.equal(new Set([expected, ...changed]).size, 4);
  assert.throws(() => readyHead(nodeCipher, secret.subarray(1), study, last), RangeError);
  assert.throws(() => readyHead(nodeCipher, secret, study, 'AB'), RangeError);
});

void test('a witness tells a rolled back and a forked ledger from a current one', () => {
  const own = { counter: 5, head: 'aa' };
  assert.equal(judgeWitness(own, { counter: 5, head: 'aa' }), 'current');
  assert.equal(judgeWitness(own, { counter: 4, head: 'bb' }), 'current');
  assert.equal(judgeWitness(own, { counter: 5, head: 'bb' }), 'forked');
  assert.equal(judgeWitness(own, { counter: 6, head: 'aa' }), 'behind');
  assert.equal(judgeWitness({ counter: 0, head: '' }, { counter: 0, head: 'x' }), 'current');
  assert.throws(() => judgeWitness(own, { counter: -1, head: '' }), RangeError);
});
