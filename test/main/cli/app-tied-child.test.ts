// A tied child ends with its parent, even where the parent is killed and can tell it nothing.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { builtWindow } from '../../renderer/built.ts';

const module = pathToFileURL(path.resolve(import.meta.dirname, '../../../main/cli/app-tied-child.ts')).href;

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const pause = (): Promise<void> =>
  new Promise((done) => {
    setTimeout(done, 50);
  });

/** Whether it is gone before a generous deadline. */
async function gone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 400; tries++) {
    if (!isAlive(pid)) return true;
    await pause();
  }
  return false;
}

test('a child of the demonstration does not outlive a parent that was killed', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-tied-'));
  try {
    builtWindow();
    const log = path.join(folder, 'log');
    const args = JSON.stringify(['app', '--no-open', '--home', path.join(folder, 'home')]);
    const source = `
      import { startTied } from ${JSON.stringify(module)};
      const { process: child } = startTied(${args}, ${JSON.stringify(log)});
      console.log(child.pid);
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(said.toString('utf8'));
    while (!(await readFile(log, 'utf8')).includes('http://')) {
      assert.ok(isAlive(pid), 'the child waits for somebody to end it');
      await pause();
    }
    assert.ok(isAlive(pid));
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    assert.ok(await gone(pid), 'the child goes on alone');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
