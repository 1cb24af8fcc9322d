// A steward's steps through the app, the same on both shells: the browser suite walks them over loopback, the desktop suite
// in the packaged window. Journeys 1 and 2 of design 1; pictures go to test-results/screens.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import type { Page } from 'playwright';
import { invitationText } from '../main/host/participant-homes.ts';
import { checkScreen } from './screen-checks.ts';

const root = path.resolve(import.meta.dirname, '../..');
/** Most that a step of the demonstration takes on a machine that does other things too. */
export const patience = 180_000;

export async function goTo(page: Page, screen: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: screen }).click();
  await page.getByRole('heading', { name: screen, level: 1 }).waitFor();
}

/** "12.4%" of the first allowance, as a number. */
async function usedShare(page: Page): Promise<number> {
  const text = await page.locator('section', { hasText: 'Used of the allowance' }).first().innerText();
  return Number(/Used of the allowance\s+([\d.]+)\s?%/.exec(text)![1]);
}

/**
 * A demonstration is tried, agreed to, watched, its log taken away, and left.
 * @param home where the export must lie.
 * @param meanwhile runs while the study goes on.
 */
export async function tryDemonstration(page: Page, home: string, meanwhile: () => Promise<void>): Promise<void> {
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
  await meanwhile();

  await goTo(page, 'Studies');
  await page.getByRole('link', { name: 'Risk of a cardiac event' }).click();
  await page.getByRole('button', { name: 'What does this mean? ε' }).click();
  await page.getByText('Two worlds').waitFor();
  await checkScreen(page, 'meaning');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Stop taking part' }).click();
  await page.getByRole('button', { name: 'Stop taking part now' }).click();
  await page.getByRole('heading', { name: 'No longer taking part' }).waitFor();
}

/** An invitation is opened and answered, by keyboard alone where it matters. */
export async function answerInvitation(page: Page): Promise<void> {
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
}
