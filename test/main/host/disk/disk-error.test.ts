// What the operating system says of a file, in a sentence that ends with what to do; a defect stays what it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnavailableError } from '../../../../app/errors.ts';
import { diskError } from '../../../../main/host/disk/disk-error.ts';

const of = (code: string): Error => diskError(Object.assign(new Error('canary'), { code }), 'The log');

test('a full disk and a spent quota are told from every other fault, each with what to do', () => {
  for (const [code, expected, sentence] of [
    ['ENOSPC', 'disk-full', /disk is full\. Free some space/],
    ['EDQUOT', 'disk-full', /quota is used up\. Ask for more/],
    ['EACCES', 'disk-failed', /Mend its permissions/],
    ['EROFS', 'disk-failed', /Choose another place/],
    ['EIO', 'disk-failed', /Have IT look at it/],
    ['ENOENT', 'disk-failed', /Check its path/],
    ['EISDIR', 'disk-failed', /Name a file in it/],
    ['EXYZ', 'disk-failed', /the system said EXYZ/],
  ] as const) {
    const error = of(code);
    assert.ok(error instanceof UnavailableError);
    assert.equal(error.code, expected);
    assert.match(error.message, /^The log could not be written or read: /);
    assert.match(error.message, sentence);
    assert.doesNotMatch(error.message, /canary/);
  }
});

test('what the system did not raise stays as it is', () => {
  for (const defect of [new TypeError('defect'), of('ERR_INVALID_ARG_TYPE')])
    assert.equal(diskError(defect, 'The log'), defect);
  assert.ok(!(of('ERR_INVALID_ARG_TYPE') instanceof UnavailableError));
});
