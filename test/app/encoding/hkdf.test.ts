import assert from 'node:assert/strict';
import { hkdfSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { hkdf, hkdfExpand, hkdfExtract } from '../../../app/encoding/hkdf.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import * as standards from '../../vectors/standards.ts';

test('RFC 5869, appendix A', () => {
  for (const { keyMaterial, salt, info, pseudorandomKey, output } of standards.hkdf) {
    const extracted = hkdfExtract(nodeCipher, fromHex(salt), fromHex(keyMaterial));
    assert.equal(toHex(extracted), pseudorandomKey);
    assert.equal(toHex(hkdfExpand(nodeCipher, extracted, fromHex(info), output.length / 2)), output);
  }
});

test('the platform’s HKDF at any length', () => {
  const bytes = fc.uint8Array({ maxLength: 50 });
  fc.assert(
    fc.property(bytes, bytes, bytes, fc.integer({ min: 1, max: 100 }), (key, salt, info, length) => {
      const expected = new Uint8Array(hkdfSync('sha256', key, salt, info, length));
      assert.deepEqual(hkdf(nodeCipher, key, salt, info, length), expected);
    }),
    { numRuns: 40 },
  );
  // OpenSSL derives nothing of length 0; RFC 5869 has no lower bound.
  assert.equal(hkdfExpand(nodeCipher, new Uint8Array(32), new Uint8Array(0), 0).length, 0);
  assert.throws(() => hkdfExpand(nodeCipher, new Uint8Array(32), new Uint8Array(0), 255 * 32 + 1), RangeError);
});
