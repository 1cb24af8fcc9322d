// A log of 10⁵ entries and 20,000 training rounds: read in pieces, shown a screenful at a time, verified with progress, and
// an altered entry in its middle found on the Audit screen. Journey 5 of design 1.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright';
import { makeHomes } from '../main/host/participant/homes.ts';
import { launchChromium, withoutChromium } from './chromium.ts';
import { goTo } from './journeys.ts';
import { lengthenLog } from './long-log.ts';
import { withWindow } from './prepared-window.ts';
import { checkScreen } from './screen-checks.ts';

const skip = withoutChromium;
let browser: Browser;

before(async () => {
  if (skip === false) browser = await launchChromium();
});
after(async () => {
  if (skip === false) await browser.close();
});

const rounds = 20_000;
/** More than any screen shows with what lies ready above and below it. */
const mostRows = 120;

/** Walks a long list to its end, never with more than a screenful of rows. @returns the longest gap between two frames. */
async function scrollThrough(page: Page, label: string | RegExp): Promise<{ longest: number; median: number }> {
  const region = page.locator('.scroll', { has: page.getByRole('table', { name: label }) });
  await region.locator('.virtual-row').first().waitFor();
  return region.evaluate(async (list, most) => {
    const page = globalThis as unknown as { requestAnimationFrame(next: () => void): void };
    const gaps: number[] = [];
    let last = performance.now();
    for (let step = 1; step <= 60; step++) {
      list.scrollTop = (step / 60) * (list.scrollHeight - list.clientHeight);
      await new Promise<void>((frame) => page.requestAnimationFrame(() => frame()));
      const now = performance.now();
      gaps.push(now - last);
      last = now;
      const shown = list.querySelectorAll('.virtual-row').length;
      if (shown === 0 || shown > most) throw new Error(`${shown} rows exist at once`);
    }
    gaps.sort((left, right) => left - right);
    return { longest: gaps.at(-1)!, median: gaps[30]! };
  }, mostRows);
}

test(
  '10⁵ entries and 20,000 rounds stay smooth; one altered entry is found',
  { skip, timeout: 1_200_000 },
  async (t) => {
    const homes = await makeHomes(3);
    try {
      const { home } = homes.institutions[0]!;
      const { study } = await homes.consent(homes.institutions[0]!);
      const { entries, file } = await lengthenLog(homes, study, rounds);
      // What runs is looked at elsewhere.
      await writeFile(join(home, 'host.json'), JSON.stringify({ paused: [study] }));
      const loop = monitorEventLoopDelay({ resolution: 5 });
      loop.enable();
      await withWindow(
        browser,
        home,
        async ({ page, complaints }) => {
          await goTo(page, 'Audit');
          const said = (value: number): string => value.toLocaleString('en-GB');
          await page.getByRole('button', { name: said(entries), exact: true }).waitFor();
          const walked = await scrollThrough(page, 'Privacy log, newest first');
          await page.getByRole('button', { name: '1', exact: true }).waitFor();
          t.diagnostic(
            `scrolling ${entries} entries: frames every ${walked.median.toFixed(0)} ms, longest ${walked.longest.toFixed(0)} ms`,
          );

          await goTo(page, 'Budget');
          const card = page.getByRole('region', { name: 'Records “records”, over all studies' });
          await card.getByText(`The ${said(rounds)} amounts as a table`).click();
          await scrollThrough(page, /^Amounts: Records/);
          await goTo(page, 'Rounds');
          await scrollThrough(page, 'Training rounds so far');

          await goTo(page, 'Audit');
          await page.getByRole('button', { name: 'Verify now' }).click();
          await page.getByText(`(${said(entries)} entries)`).waitFor({ timeout: 400_000 });
          const text = await readFile(file, 'utf8');
          const place = text.indexOf('"round":9999,');
          const altered = text.slice(0, place).split('\n').length;
          await writeFile(file, `${text.slice(0, place)}"round":9998,${text.slice(place + 13)}`);
          await page.getByRole('button', { name: 'Verify now' }).click();
          await page.getByText('The log was altered.').waitFor({ timeout: 400_000 });
          const finding = await page.getByText('The log was altered.').innerText();
          // The entry itself, or the next one, whose link no longer fits.
          assert.ok(
            finding.includes(String(altered)) || finding.includes(String(altered + 1)),
            `${altered}: ${finding}`,
          );
          await checkScreen(page, 'audit-altered');
          assert.deepEqual(complaints, []);
        },
        { host: { keys: homes.keys } },
      );
      loop.disable();
      t.diagnostic(
        `host's event loop, this test's driver in it: p50 ${(loop.percentile(50) / 1e6).toFixed(1)}, p99 ${(loop.percentile(99) / 1e6).toFixed(1)}, most ${(loop.max / 1e6).toFixed(0)} ms`,
      );
    } finally {
      await homes.remove();
    }
  },
);
