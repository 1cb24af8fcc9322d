// What every command has in common: words that are too many, failed checks and defects end with the right code, in words
// that promise nothing untrue and quote nothing that was read.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { runCommand, tellUnexpected } from '../../../main/cli/command.ts';
import type { Command } from '../../../main/cli/command.ts';
import { commands } from '../../../main/cli/commands.ts';

type Said = { code: number; out: string; warned: string };

async function run(command: Command, ...args: string[]): Promise<Said> {
  let [out, warned] = ['', ''];
  const code = await runCommand(
    command,
    args,
    (text) => (out += text),
    (text) => (warned += text),
  );
  return { code, out, warned };
}

for (const [name, load] of Object.entries(commands))
  test(`${name}: help with an example, an unknown option and words too many`, async () => {
    const command = await load();
    assert.equal(command.name, name);
    const help = await run(command, '--help');
    assert.equal(help.code, 0);
    assert.match(help.out, new RegExp(`\\nExample:\\n  consilience ${name}\\b.*\\n\\nExit codes: 0 ok, 1 refused`));
    assert.match(help.out, /\n  --json /);
    for (const words of [['--frobnicate'], ['no-such-word', 'and', 'another', 'too', 'many']]) {
      const said = await run(command, ...words);
      assert.deepEqual([said.code, said.out], [2, '']);
      assert.match(said.warned, new RegExp(`^consilience ${name}: .+\\n$`, 's'));
      const { code, out, warned } = await run(command, ...words, '--json');
      assert.deepEqual([code, warned], [2, '']);
      assert.equal((JSON.parse(out) as { error: { code: string } }).error.code, 'usage');
    }
  });

test('a defect is said as one, without what was read, and as JSON where JSON was asked for', () => {
  let [out, warned] = ['', ''];
  const take = (args: string[], error: unknown): void => {
    [out, warned] = ['', ''];
    tellUnexpected(
      error,
      args,
      (text) => (out += text),
      (text) => (warned += text),
    );
  };
  const broken = (): unknown => {
    try {
      return JSON.parse('canary of a record');
    } catch (error) {
      return error;
    }
  };
  take(['participant', 'run'], broken());
  assert.equal(out, '');
  assert.match(warned, /^consilience: An unexpected SyntaxError ended the command: a defect.*report this/);
  assert.match(warned, /\n    at .*command\.test\.ts/);
  assert.doesNotMatch(warned, /canary|Nothing was sent/);
  take(['participant', 'run', '--json'], broken());
  assert.equal((JSON.parse(out) as { error: { code: string } }).error.code, 'unexpected');
  assert.doesNotMatch(out + warned, /canary/);
  take([], 'canary');
  assert.match(warned, /unexpected error/);
  assert.doesNotMatch(warned, /canary/);
});

test('files that are not there, or are folders, are said with what to do', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'command-'));
  const entry = path.resolve(import.meta.dirname, '../../../main/cli/index.ts');
  const said = (...args: string[]) => spawnSync(process.execPath, [entry, ...args], { encoding: 'utf8' });
  writeFileSync(path.join(folder, 'file'), '');
  for (const [file, sentence] of [
    ['none', /is not there\. Check its path\./],
    ['', /is a folder\. Name a file in it\./],
    ['file/x', /is a file, not a folder\. Check its path\./],
  ] as const) {
    const { status, stderr } = said('account', '--batch', path.join(folder, file));
    assert.equal(status, 1);
    assert.match(stderr, sentence);
  }
});
