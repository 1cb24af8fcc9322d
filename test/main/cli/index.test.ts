// The entry: the overview, commands that are not there, and examples that begin as the usage does.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

const entry = path.resolve(import.meta.dirname, '../../../main/cli/index.ts');
const consilience = (...args: string[]) => spawnSync(process.execPath, [entry, ...args], { encoding: 'utf8' });

test('without a command: every command, and how to run them in a checkout', () => {
  const { status, stdout, stderr } = consilience();
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /npm run -s consilience --/);
  for (const name of ['account', 'study', 'participant', 'doctor'])
    assert.match(stdout, new RegExp(`^  ${name} `, 'm'));
});

test('a command that is not there is a mistake of usage, in words and as JSON', () => {
  const words = consilience('trian');
  assert.deepEqual([words.status, words.stdout], [2, '']);
  assert.match(words.stderr, /no command "trian"/);
  const json = consilience('trian', '--json');
  assert.equal(json.status, 2);
  const { error } = JSON.parse(json.stdout) as { error: { code: string; message: string } };
  assert.deepEqual(error, { code: 'usage', message: 'There is no command "trian".' });
});

test('examples begin as the usage does', () => {
  for (const name of ['study', 'simulate', 'model', 'demo', 'coordinator']) {
    const { status, stdout } = consilience(name, '--help');
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`^Example:\\n  consilience ${name}\\b`, 'm'));
  }
});
