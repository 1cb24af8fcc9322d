// A steward's steps through the app, the same on both shells: the browser suite walks them over loopback, the desktop suite
// in the packaged window. Journeys 1 to 5 of design 1; each suite looks at a screen in its own way.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Page } from 'playwright';
import { invitationText, recordsText } from '../main/host/participant/homes.ts';

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

/** What a suite does with a screen that has come to rest. */
export type Look = (page: Page, name: string) => Promise<void>;

/**
 * A demonstration is tried, agreed to, watched, its log taken away, and left.
 * @param home in which a folder for the export is made and chosen.
 * @param meanwhile runs while the study goes on; gives the window to go on in.
 */
export async function tryDemonstration(
  page: Page,
  home: string,
  look: Look,
  meanwhile: (page: Page) => Promise<Page>,
): Promise<void> {
  await agreeToDemonstration(page, look);
  await watchRounds(page, look);
  await readBudget(page, look);
  await takeLog(page, home, look);
  await goTo(page, 'Data');
  await page.getByRole('heading', { name: 'records' }).waitFor();
  await look(page, 'data');
  await goTo(page, 'System');
  await page.getByText('data steward').waitFor();
  await look(page, 'system');
  await stopTakingPart(await meanwhile(page), look);
}

/** Journey 1: read, checked, agreed to. */
async function agreeToDemonstration(page: Page, look: Look): Promise<void> {
  await page.getByRole('link', { name: 'Read the study' }).waitFor();
  await look(page, 'today');
  await goTo(page, 'Rounds');
  await page.getByText('No training round yet.').waitFor();
  await goTo(page, 'Budget');
  await page.getByText('No privacy allowance yet.').waitFor();
  await goTo(page, 'Today');

  await page.getByRole('link', { name: 'Read the study' }).click();
  await page.getByRole('heading', { name: 'Participating institutions' }).waitFor();
  assert.equal(await page.getByText('(made up)').count(), 3);
  await look(page, 'study');
  await page.getByRole('button', { name: 'Check the records' }).click();
  await page.getByText('Every row follows the study’s rules.').waitFor();
  await page.getByRole('button', { name: 'Give consent' }).click();
}

/** Journey 3: a training round from its sentence to its total; paused, and gone on with. */
async function watchRounds(page: Page, look: Look): Promise<void> {
  await page.getByRole('heading', { name: 'Training rounds so far' }).waitFor();
  await page.getByRole('cell', { name: 'Combined total computed' }).first().waitFor();
  await page
    .getByRole('banner')
    .getByText(/^Training round \d+:/)
    .waitFor();
  await look(page, 'rounds');
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
}

/** Journey 4: the gauge moves. */
async function readBudget(page: Page, look: Look): Promise<void> {
  await goTo(page, 'Budget');
  await page.getByRole('heading', { name: 'Records “records”, over all studies' }).waitFor();
  const first = await usedShare(page);
  assert.ok(first > 0);
  while ((await usedShare(page)) <= first) await page.waitForTimeout(200);
  await look(page, 'budget');
}

/** Journey 5: verified here, exported, and verified by the auditor's own command. */
async function takeLog(page: Page, home: string, look: Look): Promise<void> {
  await goTo(page, 'Audit');
  await page.getByRole('button', { name: 'Verify now' }).click();
  await page.getByText(/Unaltered since .* \(\d+ entries\)/).waitFor();
  await look(page, 'audit');
  await page.getByRole('button', { name: 'Export', exact: true }).click();
  await look(page, 'export');
  const chosen = path.join(home, 'for the auditor');
  mkdirSync(chosen);
  await page.getByRole('textbox', { name: 'Folder that takes the export' }).fill(home);
  await page.getByRole('button', { name: 'Choose a folder' }).click();
  await page.getByRole('button', { name: 'for the auditor' }).click();
  await page.getByText(chosen, { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Take this folder' }).click();
  await page.getByRole('button', { name: 'Export the log' }).click();
  const said = await page.getByText(path.join(chosen, 'privacy-log-')).innerText();
  const verified = execFileSync(process.execPath, ['main/cli/index.ts', 'ledger', 'verify', said.trim()], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.match(verified, /unaltered/);
  await page.keyboard.press('Escape');
}

async function stopTakingPart(page: Page, look: Look): Promise<void> {
  await goTo(page, 'Studies');
  await page.getByRole('link', { name: 'Risk of a cardiac event' }).click();
  await page.getByRole('button', { name: 'What does this mean? ε' }).click();
  await page.getByText('Two worlds').waitFor();
  await look(page, 'meaning');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Stop taking part' }).click();
  await page.getByRole('button', { name: 'Stop taking part now' }).click();
  await page.getByRole('heading', { name: 'No longer taking part' }).waitFor();
}

/** Journey 2: an invitation is pasted, an altered one refused. */
export async function pasteInvitation(page: Page, look: Look): Promise<void> {
  await page.getByText('This institution takes part in no study yet.').waitFor();
  await look(page, 'today-empty');
  await goTo(page, 'Studies');
  await page.getByRole('textbox', { name: 'Invitation' }).fill(invitationText().replace('A sample', 'Altered'));
  await page.getByRole('button', { name: 'Read the invitation' }).click();
  await page.getByRole('alert').getByText('not signed by the lead').waitFor();
  await page.getByRole('textbox', { name: 'Invitation' }).fill(invitationText());
  await page.getByRole('button', { name: 'Read the invitation' }).press('Enter');
}

/** Journey 2: the invitation that was read is answered, by keyboard alone where it matters. */
export async function answerInvitation(page: Page, look: Look): Promise<void> {
  await page.getByText('Compare the identity code').waitFor();
  await page.getByLabel('Short name in the study').fill('mercy');
  await page.getByLabel('Name of your institution').fill('Mercy Hospital');
  await page.getByLabel('Agreed number').fill('250');
  await look(page, 'invitation');
  await page.getByRole('button', { name: 'Answer the invitation' }).press('Enter');
  await page.getByText('The answer is signed.').waitFor();
  await page.getByRole('cell', { name: 'Waiting for the study terms' }).waitFor();
  await page.getByRole('banner').getByText('Mercy Hospital').waitFor();
}

async function choose(page: Page, label: string, option: string): Promise<void> {
  await page.getByRole('combobox', { name: label, exact: true }).click();
  await page.getByRole('option', { name: option, exact: true }).click();
}

/** The records as a hospital's own export has them: other names, a unit, a decimal comma, words instead of codes. */
export function hospitalExport(): string {
  const [head, ...rows] = recordsText(100, 1).trimEnd().split('\n');
  assert.equal(head, 'x0,x1,x2,x3,y');
  const comma = (cell: string): string => cell.replace('.', ',');
  const lines = rows.map((row) => {
    const [a, b, c, d, y] = row.split(',') as [string, string, string, string, string];
    return [comma(String(Number(a) * 10)), comma(b), comma(c), comma(d), y === '1' ? 'yes' : 'no', 'ward'].join(';');
  });
  return `${['first value', 'X1', 'x2', 'x3', 'outcome', 'station'].join(';')}\n${lines.join('\n')}\n`;
}

/** Journey 2, on Data: a hospital's export, chosen already, is matched with the study, checked and kept. */
export async function matchRecords(page: Page, look: Look): Promise<void> {
  await page.getByRole('button', { name: 'Check the records' }).click();
  await page.getByText('which the study needs').waitFor();
  await choose(page, 'Your column for “x0”', 'first value');
  await choose(page, 'What is done to “x0”', 'Another unit');
  await page.getByLabel('Multiply by').fill('0.1');
  await choose(page, 'Your column for “y”', 'outcome');
  await page.getByRole('button', { name: 'Check again' }).click();
  await page.getByText('The study accepts 0 rows, refuses 100 and leaves out 0.').waitFor();
  await look(page, 'data-import-refused');
  await choose(page, 'What is done to “y”', 'A list of codes');
  await page.getByLabel('Codes').fill('yes = 1\nno = 0');
  await page.getByRole('button', { name: 'Check again' }).click();
  await page.getByText('Every row follows the study’s rules.').waitFor();
  await page.getByText('Columns that are never read: station.').waitFor();
  await page.getByRole('button', { name: 'Show the first rows' }).click();
  await page.getByRole('region', { name: 'Show the first rows' }).waitFor();
  await look(page, 'data-import');
  await page.getByRole('button', { name: 'Keep for this study' }).click();
  await page.getByText('Kept. The consent begins with it.').waitFor();
}

/** Journey 2, on the study's page: what joining may bring, then consent, a session at a time. */
export async function measureAndConsent(page: Page, look: Look): Promise<void> {
  await page.getByRole('button', { name: 'Measure on your records' }).click();
  await page.getByRole('columnheader', { name: 'Your records alone' }).waitFor();
  await page.getByText('On 20 rows').waitFor();
  await page.getByRole('radio', { name: 'Ask me for a session at a time.' }).check();
  await page.getByLabel('Training rounds in a session').fill('3');
  await look(page, 'study-consent');
  await page.getByRole('button', { name: 'Give consent' }).click();
  await page.getByRole('heading', { name: 'Rounds', level: 1 }).waitFor();
}
