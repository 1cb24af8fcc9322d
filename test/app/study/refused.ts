// Asserts that a call is refused with a code, in a sentence fit for a person.

import assert from 'node:assert/strict';
import { ConsilienceError } from '../../../app/errors.ts';

export function refused(code: string, call: () => unknown): string {
  let sentence = '';
  assert.throws(call, (error: unknown) => {
    assert.ok(error instanceof ConsilienceError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, /^[A-Z"δε0-9].*\.$/su);
    sentence = error.message;
    return true;
  });
  return sentence;
}
