// Pieces of a text: special tokens around each, nothing lost but what is beyond the last piece.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputError } from '../../../app/errors.ts';
import { openTokenizer } from '../../../main/host/checkpoint/tokenizer.ts';
import { wordTokenizer } from './word-tokenizer.ts';

const tokenizer = openTokenizer(wordTokenizer(9), {}, 9);
const text = 'w2 w3 w4 w5 w6 w7 w8';

test('a text is cut into pieces, each with its begin token', () => {
  assert.deepEqual(tokenizer.before, [0]);
  assert.deepEqual(tokenizer.after, []);
  assert.deepEqual(tokenizer.encode(text), [0, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(tokenizer.pieces(text, 4, 5), [
    [0, 2, 3, 4],
    [0, 5, 6, 7],
    [0, 8],
  ]);
  assert.deepEqual(tokenizer.pieces(text, 4, 2), [
    [0, 2, 3, 4],
    [0, 5, 6, 7],
  ]);
  assert.deepEqual(tokenizer.pieces('', 4, 3), [[0]]);
  assert.throws(() => tokenizer.pieces(text, 1, 1), RangeError);
  assert.equal(tokenizer.decode([2, 3]), 'w2 w3');
});

test('a token beyond the model’s vocabulary is refused', () => {
  const larger = openTokenizer(wordTokenizer(9), {}, 5);
  assert.throws(() => larger.encode('w8'), InputError);
});
