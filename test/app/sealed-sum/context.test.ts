import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, u16, utf8 } from '../../../app/encoding/bytes.ts';
import { RefusalError } from '../../../app/errors.ts';
import { contextBytes, readContext, setHash, statementHash } from '../../../app/sealed-sum/context.ts';
import { nodeCipher } from '../../../main/host/machine.ts';

const ctx = { study: new Uint8Array(32).fill(9), round: 0x01020304 };
const member = (index: number, text: string) => ({ index, body: utf8(text) });
const root = (byte: number) => new Uint8Array(32).fill(byte);

test('a context reads back, and bytes of another protocol do not', () => {
  const bytes = contextBytes(ctx);
  assert.equal(bytes.length, 40);
  assert.deepEqual(readContext(bytes), ctx);
  bytes[3] = 0x32;
  assert.equal(readContext(bytes), null);
  assert.throws(() => contextBytes({ study: new Uint8Array(31), round: 1 }), RangeError);
  assert.throws(() => contextBytes({ study: ctx.study, round: 2 ** 32 }), RangeError);
});

test('a set hash refuses a list out of order or with a member twice', () => {
  const a = member(1, 'a');
  const b = member(4, 'b');
  assert.equal(setHash(nodeCipher, 'css1/U1', ctx, [a, b]).length, 32);
  for (const list of [
    [b, a],
    [a, a],
    [a, b, b],
  ])
    assert.throws(
      () => setHash(nodeCipher, 'css1/U1', ctx, list),
      (error) => error instanceof RefusalError && error.code === 'members-not-ascending',
    );
});

test('a set hash binds tag, context, index and body', () => {
  const list = [member(1, 'a'), member(4, 'b')];
  const hashes = [
    setHash(nodeCipher, 'css1/U1', ctx, list),
    setHash(nodeCipher, 'css1/U2', ctx, list),
    setHash(nodeCipher, 'css1/U1', { ...ctx, round: 5 }, list),
    setHash(nodeCipher, 'css1/U1', ctx, [member(1, 'a'), member(5, 'b')]),
    setHash(nodeCipher, 'css1/U1', ctx, [member(1, 'a'), member(4, 'c')]),
    setHash(nodeCipher, 'css1/U1', ctx, list.slice(0, 1)),
  ].map(String);
  assert.equal(new Set(hashes).size, hashes.length);
});

test('the statement is the bytes of the design, in ascending order only', () => {
  const hU1 = root(1);
  const hU2 = root(2);
  const members = [
    { index: 0, root: root(3) },
    { index: 2, root: root(4) },
  ];
  assert.deepEqual(
    statementHash(nodeCipher, ctx, hU1, hU2, members),
    nodeCipher.sha256(concat(utf8('css1/U3'), contextBytes(ctx), hU1, hU2, u16(0), root(3), u16(2), root(4))),
  );
  assert.throws(() => statementHash(nodeCipher, ctx, hU1, hU2, [...members].reverse()), RefusalError);
  assert.throws(() => statementHash(nodeCipher, ctx, hU1, hU2, [members[0]!, members[0]!]), RefusalError);
});
