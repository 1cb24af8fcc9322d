// A steward's way through the app in a real Chromium, over the loopback shell, the real host, the real relay and real
// institutions in processes of their own. The steps of the journeys stand in journeys.ts.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright';
import { builtWindow } from '../renderer/built.ts';
import { startApp } from './app-process.ts';
import type { AppProcess } from './app-process.ts';
import { launchChromium, withoutChromium } from './chromium.ts';
import { answerInvitation, goTo, pasteInvitation, patience, tryDemonstration } from './journeys.ts';
import { checkScreen, complaintsOf } from './screen-checks.ts';

const skip = withoutChromium;

let folder: string;
let browser: Browser;

before(async () => {
  if (skip !== false) return;
  builtWindow();
  folder = await mkdtemp(path.join(tmpdir(), 'consilience-browser-'));
  browser = await launchChromium();
});

after(async () => {
  if (skip !== false) return;
  await browser.close();
  await rm(folder, { recursive: true, force: true });
});

async function openWindow(app: AppProcess): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  const complaints = complaintsOf(page);
  await page.goto(app.address);
  await page.getByRole('heading', { name: 'Today', level: 1 }).waitFor();
  return { page, complaints };
}

test('journey 1: a demonstration is tried, agreed to, watched, and its log taken away', { skip }, async () => {
  const home = path.join(folder, 'demonstration');
  const app = await startApp('--demo', '--home', home, '--rounds', '40', '--interval', '1');
  try {
    const { page, complaints } = await openWindow(app);
    await tryDemonstration(page, home, checkScreen, async () => {
      await anAuditorJoins(home);
      return page;
    });
    assert.deepEqual(complaints, []);
    assert.equal(await app.end(), 0);
    await page.getByText('The program behind this window does not answer.').waitFor();
  } finally {
    await app.end();
  }
});

/** A second program for the same home gets a window onto the first one's host, in the role it asks for. */
async function anAuditorJoins(home: string): Promise<void> {
  const app = await startApp('--home', home, '--role', 'auditor');
  try {
    assert.ok(app.attached);
    const { page } = await openWindow(app);
    await goTo(page, 'System');
    await page.locator('dd', { hasText: 'auditor' }).waitFor();
    await goTo(page, 'Rounds');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('you are here as auditor').waitFor();
    await page.context().close();
  } finally {
    assert.equal(await app.end(), 0);
  }
}

test('journey 2: an invitation is opened and answered, by keyboard alone where it matters', { skip }, async () => {
  const credential = path.join(folder, 'credential');
  await writeFile(credential, 'a credential of enough characters\n', { mode: 0o600 });
  const app = await startApp('--home', path.join(folder, 'joining'), '--credential-file', credential);
  try {
    const { page, complaints } = await openWindow(app);
    await pasteInvitation(page, checkScreen);
    await answerInvitation(page, checkScreen);
    assert.deepEqual(complaints, []);
    await anotherSiteTries(app, page);
  } finally {
    assert.equal(await app.end(), 0);
  }
});

/** A page of another program on this machine: the browser sends it the cookie, for ports are one site. */
async function anotherSiteTries(app: AppProcess, own: Page): Promise<void> {
  const server = createServer((_request, response) => response.end('<p>another page</p>'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  try {
    const page = await own.context().newPage();
    await page.goto(`http://127.0.0.1:${address.port}/`);
    const { host } = new URL(app.address);
    const outcome = await page.evaluate(async (target) => {
      const socket = new WebSocket(`ws://${target}/bridge`);
      const opened = await new Promise<boolean>((resolve) => {
        socket.addEventListener('open', () => resolve(true));
        socket.addEventListener('error', () => resolve(false));
      });
      const read = await fetch(`http://${target}/`, { credentials: 'include' }).then(
        () => true,
        () => false,
      );
      return { opened, read };
    }, host);
    assert.deepEqual(outcome, { opened: false, read: false });
    await page.close();
  } finally {
    server.close();
  }
}
