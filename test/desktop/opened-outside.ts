// What a person opens outside the window, an invitation's link or its file: by the app's first start, and by a second one that
// hands over to the first. Issue 6, item 4; design 1, journey 2.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { ElectronApplication } from 'playwright';
import { invitationLink } from '../../app/study/invitation-link.ts';
import { invitationText } from '../main/host/participant/homes.ts';
import { closeWindow, holdBoxes, saidBoxes, until } from './desk.ts';
import type { Desk } from './desk.ts';
import { hostsOf } from './processes.ts';

export function openedOutside(desk: () => Desk, skip: string | false): void {
  test('the first start opens what it was started with', { skip }, async (t) => {
    const file = path.join(desk().folder, 'first.consilience');
    writeFileSync(file, invitationText());
    for (const opened of [invitationLink(invitationText()), file]) {
      const home = path.join(desk().folder, opened === file ? 'by-file' : 'by-link');
      // Without Playwright, which waits for ever for a window that is being made while it attaches.
      const words = ['--no-sandbox', '--disable-gpu', '--remote-debugging-port=0', `--home=${home}`, opened];
      const child = spawn(desk().packages.tested, words, {
        env: desk().environment,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      t.after(() => child.kill('SIGKILL'));
      const port = await new Promise<string>((done) => {
        let said = '';
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          said += text;
          const found = /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//.exec(said);
          if (found !== null) done(found[1]!);
        });
      });
      // The page goes to Studies by itself where it was handed an invitation.
      await until('the invitation is shown', async () => {
        const pages = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as { title: string }[];
        return pages.length === 1 && pages[0]!.title === 'Studies · Consilience';
      });
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      await until('the host ended', () => hostsOf(home).length === 0);
    }
  });

  test('a second start hands over to the first: what was opened, or the wish for a window', { skip }, async (t) => {
    const home = path.join(desk().folder, 'second');
    const { app, page, quit } = await desk().open(home);
    await holdBoxes(app);
    await page.getByText('This institution takes part in no study yet.').waitFor();
    await t.test('an invitation’s link', async () => {
      await secondStart(desk(), home, invitationLink(invitationText()));
      await page.getByText('Compare the identity code').waitFor();
    });
    await t.test('an invitation’s file, with the window closed', async () => {
      await closeWindow(app);
      const file = path.join(desk().folder, 'from-a-mail.consilience');
      writeFileSync(file, invitationText());
      const there = app.waitForEvent('window');
      await secondStart(desk(), home, file);
      await (await there).getByText('Compare the identity code').waitFor();
    });
    await t.test('nothing: the window comes back', async () => {
      await closeWindow(app);
      const there = app.waitForEvent('window');
      await secondStart(desk(), home);
      await (await there).getByRole('heading', { name: 'Today', level: 1 }).waitFor();
      assert.equal(await windowCount(app), 1);
      await secondStart(desk(), home);
      assert.equal(await windowCount(app), 1);
    });
    await t.test('what is no invitation is said to be none', async () => {
      const file = path.join(desk().folder, 'large.consilience');
      writeFileSync(file, 'x'.repeat(300 * 1024));
      await secondStart(desk(), home, file);
      await secondStart(desk(), home, 'consilience://invitation/broken');
      await until('two boxes', async () => (await saidBoxes(app)).length === 2);
      const [large, broken] = await saidBoxes(app);
      assert.match(large!, /is not an invitation: it is too large/);
      assert.match(broken!, /link/);
    });
    await quit();
  });
}

const windowCount = (app: ElectronApplication): Promise<number> =>
  app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows().length);

/** As the system starts the app for a link or a file. Ends by itself, with 0. */
async function secondStart({ packages, environment }: Desk, home: string, ...opened: string[]): Promise<void> {
  const words = ['--no-sandbox', '--disable-gpu', `--home=${home}`, ...opened];
  const child = spawn(packages.tested, words, { env: environment, stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number | null];
  assert.equal(code, 0);
}
