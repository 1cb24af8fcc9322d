import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalBytes, canonicalJson, parseCanonical } from '../../../app/encoding/canonical-json.ts';
import { InputError } from '../../../app/errors.ts';
import * as standards from '../../vectors/standards.ts';

test('RFC 8785: the examples of section 3 and the numbers of appendix B', () => {
  for (const { input, output } of standards.canonicalJson) {
    assert.equal(canonicalJson(JSON.parse(input)), output);
    assert.deepEqual(parseCanonical(output), JSON.parse(input));
  }
  for (const [bits, text] of standards.canonicalNumbers) {
    const value = Buffer.from(bits, 'hex').readDoubleBE();
    assert.equal(canonicalJson(value), text, bits);
  }
});

test('any JSON value comes back, and its canonical form is a fixed point', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(value);
      // JSON has no −0, so both sides are compared after one trip through it.
      assert.deepEqual(parseCanonical(text), JSON.parse(text));
      assert.equal(canonicalJson(JSON.parse(text)), text);
      assert.deepEqual(parseCanonical(canonicalBytes(value)), JSON.parse(text));
    }),
  );
});

test('text that is JSON but not canonical is refused', () => {
  for (const text of [
    '{"b":1,"a":2}',
    '{ "a":1}',
    '{"a":1,"a":1}',
    '-0',
    '1.0',
    '1e2',
    '"\\u0041"',
    '"\\/"',
    '[1,2]\n',
  ])
    assert.throws(
      () => parseCanonical(text),
      (error) => error instanceof InputError && error.code === 'not-canonical',
      text,
    );
});

test('text that is not JSON, or bytes that are not UTF-8, are refused', () => {
  for (const text of ['', '{', '{"a":}', "{'a':1}", 'NaN', Uint8Array.of(0x22, 0xff, 0x22)])
    assert.throws(
      () => parseCanonical(text),
      (error) => error instanceof InputError && error.code === 'not-json',
    );
});

test('what JSON cannot say is the caller’s mistake', () => {
  for (const value of [
    undefined,
    Number.NaN,
    { a: [Number.POSITIVE_INFINITY] },
    1n,
    { a: () => 1 },
    { a: new Uint8Array(2) },
  ])
    assert.throws(() => canonicalJson(value), TypeError);
});
