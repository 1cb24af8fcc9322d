// The host behind the packaged window: it outlives the window, is brought back when it is killed and given up when it does not
// stay, is started only as it was packaged, and ends when a person quits. Issue 6, item 4.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright';
import { answerBox, holdBoxes, picture, saidBoxes, until } from './desk.ts';
import type { Desk } from './desk.ts';
import { hostsOf } from './processes.ts';

export function hostRules(desk: () => Desk, skip: string | false): void {
  test(
    'the host outlives its window, is brought back when killed, and ends when a person quits',
    { skip },
    async () => {
      const home = path.join(desk().folder, 'lives');
      const { app, page, quit } = await desk().open(home);
      await page.getByText('This institution takes part in no study yet.').waitFor();
      const [first] = hostsOf(home);
      assert.ok(first !== undefined);
      process.kill(first, 'SIGKILL');
      await page.getByText('The program behind this window does not answer.').waitFor();
      await picture(page, 'host-gone');
      await until('a new host', () => hostsOf(home).some((pid) => pid !== first));
      await page.getByText('Nothing runs.').waitFor();
      const [second] = hostsOf(home);
      await app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]!.close());
      await until('the window is closed', () => app.windows().length === 0);
      await sleep(1000);
      assert.deepEqual(hostsOf(home), [second]);
      await quit();
    },
  );

  test('a host that does not stay is not started for ever; a person says when again', { skip }, async () => {
    const home = path.join(desk().folder, 'stops');
    const { app, page, quit } = await desk().open(home);
    await page.getByText('This institution takes part in no study yet.').waitFor();
    await holdBoxes(app);
    const killed = new Set<number>();
    while ((await saidBoxes(app)).length === 0) {
      const [pid] = (await hostAnswers(page)) ? hostsOf(home) : [];
      if (pid === undefined || killed.has(pid)) await sleep(50);
      else {
        killed.add(pid);
        process.kill(pid, 'SIGKILL');
      }
    }
    assert.match((await saidBoxes(app))[0]!, /stopped 5 times within a minute .* Nothing was lost\./);
    assert.equal(killed.size, 5);
    await page.getByText('The program behind this window does not answer.').waitFor();
    assert.deepEqual(hostsOf(home), []);
    await answerBox(app, 0);
    await page.getByText('Nothing runs.').waitFor();
    await quit();
  });

  test('a host whose files are not those that were packaged is not started', { skip }, async (t) => {
    const files = path.join(path.dirname(desk().packages.tested), 'resources', 'host');
    const home = path.join(desk().folder, 'altered');
    await t.test('at the start, and the screen says so', async () => {
      const added = path.join(files, 'added.js');
      writeFileSync(added, '// added\n');
      try {
        const { page, quit } = await desk().open(home);
        await page.getByText('added.js was added').first().waitFor();
        await picture(page, 'host-altered');
        assert.deepEqual(hostsOf(home), []);
        await quit();
      } finally {
        rmSync(added);
      }
    });
    await t.test('nor when it is brought back: one byte, a file that is missing, one in place of Node', async () => {
      const { app, page, quit } = await desk().open(home);
      await holdBoxes(app);
      await page.getByText('This institution takes part in no study yet.').waitFor();
      const before = hostsOf(home);
      const alterations: readonly (readonly [file: string, alter: (file: string) => void, said: string])[] = [
        ['index.js', flipOneByte, 'index.js was changed'],
        ['package.json', rmSync, 'package.json is missing'],
        ['node', (file) => writeFileSync(file, '#!/bin/sh\nexit 0\n'), 'node was changed'],
      ];
      for (const [name, alter, said] of alterations) {
        const file = path.join(files, name);
        const told = (await saidBoxes(app)).length;
        // A running program's file cannot be written to, only exchanged.
        renameSync(file, `${files}.aside`);
        try {
          copyFileSync(`${files}.aside`, file);
          alter(file);
          for (const pid of hostsOf(home)) process.kill(pid, 'SIGKILL');
          await until('the box', async () => (await saidBoxes(app)).length > told);
          assert.ok((await saidBoxes(app)).at(-1)!.includes(said), said);
          assert.deepEqual(hostsOf(home), [], said);
        } finally {
          renameSync(`${files}.aside`, file);
        }
        await answerBox(app, 0);
        await until('a host', () => hostsOf(home).some((pid) => !before.includes(pid)));
        await page.getByText('The program behind this window does not answer.').waitFor({ state: 'hidden' });
      }
      await quit();
    });
  });
}

const hostAnswers = (page: Page): Promise<boolean> =>
  page.evaluate(async () => {
    const { consilience } = globalThis as unknown as {
      consilience: { call(name: string, input: unknown): Promise<{ ok: boolean }> };
    };
    return (await consilience.call('session.get', {})).ok;
  });

function flipOneByte(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(file, bytes);
}
