// A real Chromium for the browser tests, found in this order: CHROMIUM_PATH, the system's Chromium or Chrome, what
// Playwright downloaded. Where none is there, the suite is skipped and says so. Issue 6, "Quality".

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright';
import type { Browser } from 'playwright';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** Path of a browser's program, or null. */
export function browserPath(): string | null {
  const named = process.env['CHROMIUM_PATH'];
  if (named !== undefined && named !== '') return named;
  for (const name of names) {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    } catch {
      // Not under that name.
    }
  }
  const own = chromium.executablePath();
  return existsSync(own) ? own : null;
}

/** false, or why the suite cannot run. */
export const noBrowser: string | false =
  browserPath() === null
    ? 'NO BROWSER: set CHROMIUM_PATH, install chromium, or run: npx playwright install chromium'
    : false;

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: browserPath()!,
    args: ['--no-sandbox', '--disable-background-networking'],
  });
