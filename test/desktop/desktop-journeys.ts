// Journeys 1 to 5 of design 1 in the packaged window; the steps are those of the browser suite. Issue 6, item 4.

import assert from 'node:assert/strict';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright';
import type { OutputOf } from '../../app/bridge.ts';
import { invitationLink } from '../../app/study/invitation-link.ts';
import { plainPolicy } from '../app/study/sample-policy.ts';
import {
  answerInvitation,
  goTo,
  hospitalExport,
  matchRecords,
  measureAndConsent,
  tryDemonstration,
} from '../browser/journeys.ts';
import { withTerms } from '../browser/prepared-window.ts';
import { complaintsOf } from '../browser/screen-checks.ts';
import { invitationText, makeHomes } from '../main/host/participant/homes.ts';
import { attachToHost, socketPath } from '../../main/host/bridge/socket.ts';
import type { HostConnection } from '../../main/host/bridge/socket.ts';
import { readStatus } from '../../main/host/participant/status.ts';
import { picture, shownWindow, until } from './desk.ts';
import type { Desk } from './desk.ts';
import { demonstrationHome, hostsOf, shellsOf, trainersOf } from './processes.ts';

export function desktopJourneys(desk: () => Desk, skip: string | false): void {
  test(
    'journeys 1, 3, 4, 5: a demonstration is tried, watched while its window is closed, its log taken away',
    { skip },
    async () => {
      const home = path.join(desk().folder, 'demonstration');
      const options = { words: ['--demo', '--rounds=40', '--interval=1'], credential: null };
      const { app, page, quit } = await desk().open(home, options);
      const complaints = complaintsOf(page);
      await tryDemonstration(page, home, picture, async () => {
        const [host] = hostsOf(home);
        await loseTrainer(page, home);
        const before = await charges(home);
        await app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]!.close());
        await until('the window is closed', () => app.windows().length === 0);
        await until('the study goes on', async () => (await charges(home)) > before);
        assert.deepEqual(hostsOf(home), [host]);
        return shownWindow(app);
      });
      assert.deepEqual(complaints, []);
      await quit();
    },
  );

  test(
    'journey 1 begins with a button of the first screen, which opens a demonstration of its own',
    { skip },
    async () => {
      const { folder, packages } = desk();
      const home = path.join(folder, 'first');
      const { page, quit } = await desk().open(home);
      await page.getByRole('button', { name: 'Try a demonstration study' }).click();
      await page.getByText('It opens in a window of its own.').waitFor();
      let other: string | null = null;
      await until('another host', () => (other = demonstrationHome(folder)) !== null);
      assert.ok(other !== null && other !== home);
      const demonstration = await attachTo(other);
      await until('the demonstration runs', async () => {
        const reply = await demonstration.call('demo.get', {});
        return reply.ok && (reply.value as OutputOf<'demo.get'>).state === 'running';
      });
      await page.getByText('This institution takes part in no study yet.').waitFor();
      assert.deepEqual(await readdir(home).then((names) => names.includes('ledger')), false);
      const [shell] = shellsOf(packages.tested, '--demo');
      process.kill(shell!, 'SIGTERM');
      await until('it ended', () => hostsOf(other!).length === 0 && shellsOf(packages.tested, '--demo').length === 0);
      await quit();
    },
  );

  test('journey 2: an invitation that is opened by a link is read and answered', { skip }, async () => {
    const home = path.join(desk().folder, 'joining');
    const { app, page, quit } = await desk().open(home);
    await app.evaluate(
      ({ app: shell }, link) => void shell.emit('open-url', { preventDefault() {} }, link),
      invitationLink(invitationText()),
    );
    await page.getByRole('heading', { name: 'Studies', level: 1 }).waitFor();
    await answerInvitation(page, picture);
    await quit();
  });

  test('journey 2: terms are read, an export is matched, its worth measured, a consent given', { skip }, async () => {
    await withTerms(async (address, serve) => {
      const homes = await makeHomes(4, (contract) => contract, address);
      try {
        serve(homes.contractText);
        const { home } = homes.institutions[0]!;
        const records = path.join(homes.folder, 'export.csv');
        await writeFile(records, hospitalExport());
        const policy = path.join(homes.folder, 'policy.json');
        const known = homes.signed.contract.roster
          .slice(0, 3)
          .map(({ organisation, identityKey }) => ({ organisation, identityKey }));
        await writeFile(policy, JSON.stringify(plainPolicy({ institutions: { known, mostUnknown: 1 } })), {
          mode: 0o600,
        });
        const credential = path.join(homes.folder, 'credential');
        const { page, quit } = await desk().open(home, { words: [`--policy=${policy}`], credential });
        const complaints = complaintsOf(page);
        await page.getByRole('link', { name: 'Read the study' }).click();
        await page.getByRole('heading', { name: 'Participating institutions' }).waitFor();
        assert.equal(await page.getByText('Not known: compare its code by telephone').count(), 1);
        await goTo(page, 'Data');
        await page.getByRole('textbox', { name: 'Records file on this machine' }).fill(records);
        await matchRecords(page, picture);
        await page.getByRole('link', { name: 'Read the study' }).click();
        await measureAndConsent(page, picture);
        assert.deepEqual(complaints, []);
        await quit();
        const log = await readFile(path.join(home, 'ledger', 'ledger.jsonl'), 'utf8');
        assert.match(log, /"kind":"mapping-chosen"/);
        assert.match(log, /"kind":"consent-given"/);
      } finally {
        await homes.remove();
      }
    });
  });
}

/** Once it listens. */
async function attachTo(home: string): Promise<HostConnection> {
  let connection: HostConnection | null = null;
  await until('the host listens', async () => {
    connection = await attachToHost(socketPath(home), { id: 'a test', role: 'steward', signIn: 'test' }).catch(
      () => null,
    );
    return connection !== null;
  });
  return connection!;
}

/** In mid-training; the screen says so while the round lasts, and another trainer takes over. */
async function loseTrainer(page: Page, home: string): Promise<void> {
  await goTo(page, 'Rounds');
  const said = page.getByText('The training process ended unexpectedly; another one takes over.').waitFor();
  const lost = async (): Promise<boolean> =>
    (await readStatus(home))?.events.some(({ kind }) => kind === 'trainer-lost') ?? false;
  await until('a trainer is lost', async () => {
    for (const pid of trainersOf(home)) process.kill(pid, 'SIGKILL');
    await sleep(700);
    return lost();
  });
  await said;
}

/** Rounds that a home has charged so far. */
async function charges(home: string): Promise<number> {
  const log = await readFile(path.join(home, 'ledger', 'ledger.jsonl'), 'utf8');
  return log.split('"kind":"budget-reserved"').length - 1;
}
