import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { merklePath, merklePaths, merkleRoot, pathLeadsTo, rootFromPath } from '../../../app/encoding/merkle.ts';
import { InputError } from '../../../app/errors.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import * as standards from '../../vectors/standards.ts';

const leaves = standards.merkle.leaves.map((hex) => nodeCipher.sha256(Uint8Array.of(0), fromHex(hex)));

test('RFC 6962: roots of the reference leaves', () => {
  standards.merkle.roots.forEach((root, at) =>
    assert.equal(toHex(merkleRoot(nodeCipher, leaves.slice(0, at + 1))), root),
  );
  assert.throws(() => merkleRoot(nodeCipher, []), RangeError);
  assert.throws(() => merklePaths(nodeCipher, []), RangeError);
});

test('every path of every size leads to the root; from another place, leaf or length it does not', () => {
  for (let count = 1; count <= leaves.length; count++) {
    const some = leaves.slice(0, count);
    const root = merkleRoot(nodeCipher, some);
    assert.deepEqual(
      merklePaths(nodeCipher, some),
      some.map((_, at) => merklePath(nodeCipher, some, at)),
    );
    for (let at = 0; at < count; at++) {
      const path = merklePath(nodeCipher, some, at);
      assert.ok(pathLeadsTo(nodeCipher, root, some[at]!, at, count, path));
      for (let other = 0; other < count; other++)
        if (other !== at) assert.ok(!pathLeadsTo(nodeCipher, root, some[other]!, at, count, path));
      assert.ok(!pathLeadsTo(nodeCipher, root, some[at]!, at, count, [...path, root]));
      if (path.length > 0) {
        assert.ok(!pathLeadsTo(nodeCipher, root, some[at]!, at, count, path.slice(1)));
        assert.ok(!pathLeadsTo(nodeCipher, root, some[at]!, at, count, path.slice(0, -1)));
        assert.ok(!pathLeadsTo(nodeCipher, root, some[at]!, (at + 1) % count, count, path));
      }
    }
  }
  assert.throws(() => rootFromPath(nodeCipher, leaves[0]!, 0, 2, []), InputError);
});
