// A steward's way through the app in a real Chromium, over the loopback shell, the real host, the real relay and real
// institutions in processes of their own. Journeys 1 and 2 of design 1; pictures go to test-results/screens.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright';
import { invitationText } from '../main/host/participant-homes.ts';
import { builtWindow } from '../renderer/built.ts';
import { startApp } from './app-process.ts';
import type { AppProcess } from './app-process.ts';
import { launchChromium, withoutChromium } from './chromium.ts';
import { checkScreen, complaintsOf } from './screen-checks.ts';

const root = path.resolve(import.meta.dirname, '../..');
const skip = withoutChromium;
/** Most that a step of the demonstration takes on a machine that does other things too. */
const patience = 90_000;

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

async function goTo(page: Page, screen: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: screen }).click();
  await page.getByRole('heading', { name: screen, level: 1 }).waitFor();
}

/** "12.4%" of the first allowance, as a number. */
async function usedShare(page: Page): Promise<number> {
  const text = await page.locator('section', { hasText: 'Used of the allowance' }).first().innerText();
  return Number(/Used of the allowance\s+([\d.]+)\s?%/.exec(text)![1]);
}

test('journey 1: a demonstration is tried, agreed to, watched, and its log taken away', { skip }, async () => {
  const home = path.join(folder, 'demonstration');
  const app = await startApp('--demo', '--home', home, '--rounds', '40', '--interval', '1');
  try {
    const { page, complaints } = await openWindow(app);
    await page.getByRole('link', { name: 'Read the study' }).waitFor();
    await checkScreen(page, 'today');
    await goTo(page, 'Rounds');
    await page.getByText('No training round yet.').waitFor();
    await goTo(page, 'Budget');
    await page.getByText('No privacy allowance yet.').waitFor();
    await goTo(page, 'Today');

    await page.getByRole('link', { name: 'Read the study' }).click();
    await page.getByRole('heading', { name: 'Participating institutions' }).waitFor();
    assert.equal(await page.getByText('(made up)').count(), 3);
    await checkScreen(page, 'study');
    await page.getByRole('button', { name: 'Check the records' }).click();
    await page.getByText('Every row follows the study’s rules.').waitFor();
    await page.getByRole('button', { name: 'Give consent' }).click();

    await page.getByRole('heading', { name: 'Training rounds so far' }).waitFor();
    await page.getByRole('cell', { name: 'Combined total computed' }).first().waitFor();
    await checkScreen(page, 'rounds');
    await goTo(page, 'Budget');
    await page.getByRole('heading', { name: 'Records “records”, over all studies' }).waitFor();
    const first = await usedShare(page);
    assert.ok(first > 0);
    while ((await usedShare(page)) <= first) await page.waitForTimeout(200);
    await checkScreen(page, 'budget');

    await goTo(page, 'Audit');
    await page.getByRole('button', { name: 'Verify now' }).click();
    await page.getByText(/Unaltered since .* \(\d+ entries\)/).waitFor();
    await checkScreen(page, 'audit');
    await page.getByRole('button', { name: 'Export', exact: true }).click();
    await checkScreen(page, 'export');
    await page.getByRole('button', { name: 'Export the log' }).click();
    const said = await page.getByText(path.join(home, 'exports')).innerText();
    const verified = execFileSync(process.execPath, ['main/cli/index.ts', 'ledger', 'verify', said.trim()], {
      cwd: root,
      encoding: 'utf8',
    });
    assert.match(verified, /unaltered/);
    await page.keyboard.press('Escape');

    await goTo(page, 'Data');
    await page.getByRole('heading', { name: 'records' }).waitFor();
    await checkScreen(page, 'data');
    await goTo(page, 'System');
    await page.getByText('data steward').waitFor();
    await checkScreen(page, 'system');

    await goTo(page, 'Rounds');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('button', { name: 'Pause' }).waitFor();
    await anAuditorJoins(home);

    await goTo(page, 'Studies');
    await page.getByRole('link', { name: 'Risk of a cardiac event' }).click();
    await page.getByRole('button', { name: 'What does this mean? ε' }).click();
    await page.getByText('Two worlds').waitFor();
    await checkScreen(page, 'meaning');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Stop taking part' }).click();
    await page.getByRole('button', { name: 'Stop taking part now' }).click();
    await page.getByRole('heading', { name: 'No longer taking part' }).waitFor();
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
    await page.getByText('This institution takes part in no study yet.').waitFor();
    await checkScreen(page, 'today-empty');
    await goTo(page, 'Studies');
    await page.getByRole('textbox', { name: 'Invitation' }).fill(invitationText().replace('A sample', 'Altered'));
    await page.getByRole('button', { name: 'Read the invitation' }).click();
    await page.getByRole('alert').getByText('not signed by the lead').waitFor();
    await page.getByRole('textbox', { name: 'Invitation' }).fill(invitationText());
    await page.getByRole('button', { name: 'Read the invitation' }).press('Enter');
    await page.getByText('Compare the identity code').waitFor();
    await page.getByLabel('Short name in the study').fill('mercy');
    await page.getByLabel('Name of your institution').fill('Mercy Hospital');
    await page.getByLabel('Agreed number').fill('250');
    await checkScreen(page, 'invitation');
    await page.getByRole('button', { name: 'Answer the invitation' }).press('Enter');
    await page.getByText('The answer is signed.').waitFor();
    await page.getByRole('cell', { name: 'Waiting for the study terms' }).waitFor();
    await page.getByRole('banner').getByText('Mercy Hospital').waitFor();
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
