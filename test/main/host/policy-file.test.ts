// Reading policy.json: absent is absent only where that is allowed; unreadable, broken or unknown never passes for none.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConsilienceError } from '../../../app/errors.ts';
import { parsePolicy, readPolicyFile } from '../../../main/host/policy-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'policy-'));
after(() => rmSync(folder, { recursive: true }));
const template = readFileSync(new URL('../../../main/resources/policy-template.json', import.meta.url));
const coded = (code: string) => (error: unknown) => error instanceof ConsilienceError && error.code === code;

test('the template reads, with and without a byte order mark', async () => {
  const path = join(folder, 'policy.json');
  writeFileSync(path, template);
  assert.deepEqual(await readPolicyFile(path, true), parsePolicy(Buffer.concat([Buffer.from('\ufeff'), template])));
});

test('no file is no policy only where the caller says so', async () => {
  const path = join(folder, 'absent.json');
  assert.equal(await readPolicyFile(path, false), null);
  await assert.rejects(readPolicyFile(path, true), coded('policy-missing'));
  await assert.rejects(readPolicyFile(path, true), /Check --policy, or ask IT; nothing runs without it\./);
});

test('what is there but cannot be read or used stops everything', async () => {
  const path = join(folder, 'a-folder.json');
  mkdirSync(path);
  await assert.rejects(readPolicyFile(path, false), coded('policy-unreadable'));
  const bad = join(folder, 'bad.json');
  for (const [content, code] of [
    [Buffer.from([0xff, 0xfe]), 'not-json'],
    [template.subarray(0, 50), 'not-json'],
    [Buffer.from('null'), 'policy-invalid'],
    [Buffer.alloc(8 * 2 ** 20 + 1, ' '), 'policy-invalid'],
  ] as const) {
    writeFileSync(bad, content);
    await assert.rejects(readPolicyFile(bad, false), coded(code));
  }
});
