// A real Chromium for tests: the machine's own, driven by Playwright. Playwright downloads nothing here.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright';
import type { Browser } from 'playwright';

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** Path of the browser that CHROMIUM_PATH names, of one on PATH, of Playwright's own; null where there is none. */
export function findChromium(): string | null {
  const named = process.env['CHROMIUM_PATH'] ?? '';
  if (named !== '') return named;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  for (const name of names) for (const folder of folders) if (existsSync(join(folder, name))) return join(folder, name);
  return existsSync(chromium.executablePath()) ? chromium.executablePath() : null;
}

/** `skip` of a test: false where a browser is there, or must be (REQUIRE_BROWSER=1); else the reason, loudly. */
export const withoutChromium =
  findChromium() === null && process.env['REQUIRE_BROWSER'] !== '1'
    ? 'NO BROWSER: Chromium is not installed (Debian: apt-get update && apt-get install -y chromium; or name one with CHROMIUM_PATH), so no page was opened'
    : false;

export function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === null) throw new Error('there is no Chromium on PATH');
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-background-networking'] });
}
