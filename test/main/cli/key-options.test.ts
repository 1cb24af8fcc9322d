// --credential-file on the command line: the file that was named locks the keys, whatever keyring there is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyOptions } from '../../../main/cli/key-options.ts';
import { UsageError } from '../../../main/cli/command.ts';

test('a named credential file is used without asking the keyring first; otherwise nothing is decided', () => {
  assert.deepEqual(keyOptions({ 'credential-file': '/etc/credential' }), {
    credentialFile: '/etc/credential',
    keyring: false,
  });
  assert.deepEqual(keyOptions({ home: 'x' }), {});
  assert.throws(() => keyOptions({ 'credential-file': true }), UsageError);
});
