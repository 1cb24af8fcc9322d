// A tied child ends with its parent, even where the parent is killed and can tell it nothing.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const module = pathToFileURL(path.resolve(import.meta.dirname, '../../../main/cli/app-tied-child.ts')).href;

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** Whether it is gone before a generous deadline. */
async function gone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 400; tries++) {
    if (!isAlive(pid)) return true;
    await new Promise((done) => {
      setTimeout(done, 50);
    });
  }
  return false;
}

test('a child of the demonstration does not outlive a parent that was killed', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-tied-'));
  try {
    // A relay whose study is a pipe that nobody writes to waits for ever.
    const args = JSON.stringify(['coordinator', '--study', path.join(folder, 'pipe'), '--home', folder]);
    const source = `
      import { execFileSync } from 'node:child_process';
      import { startTied } from ${JSON.stringify(module)};
      execFileSync('mkfifo', [${JSON.stringify(path.join(folder, 'pipe'))}]);
      const { process: child } = startTied(${args}, ${JSON.stringify(path.join(folder, 'log'))});
      console.log(child.pid);
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(said.toString('utf8'));
    assert.ok(isAlive(pid));
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    assert.ok(await gone(pid), 'the child goes on alone');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
