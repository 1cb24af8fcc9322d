// What the tests of the packaged app share: the packages, a screen that nobody sees, and how a window is opened and ended.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { _electron } from 'playwright';
import type { ElectronApplication, Page } from 'playwright';
import { packageBoth, startScreen } from './packaged.ts';
import type { Packages } from './packaged.ts';
import { hostsOf, shellsOf } from './processes.ts';

/** Most that one step takes on a machine that does other things too. */
export const patience = 240_000;
const pictures = path.resolve(import.meta.dirname, '../../test-results/screens');

export type Opened = {
  readonly app: ElectronApplication;
  readonly page: Page;
  /** As a person quits; the host ends with it, or this fails. */
  readonly quit: () => Promise<void>;
};

export type OpenOptions = {
  /** Further words of the shell's command line. */
  readonly words?: readonly string[];
  /** Unlocks the keys; null where none is to be named. */
  readonly credential?: string | null;
};

export type Desk = {
  readonly folder: string;
  readonly packages: Packages;
  readonly environment: { readonly [name: string]: string };
  readonly credential: string;
  /** Starts the app without a window. */
  start(home: string, options?: OpenOptions): Promise<ElectronApplication>;
  open(home: string, options?: OpenOptions): Promise<Opened>;
  end(): Promise<void>;
};

export async function openDesk(): Promise<Desk> {
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-desktop-'));
  const credential = path.join(folder, 'credential');
  writeFileSync(credential, 'a credential of enough characters\n', { mode: 0o600 });
  const screen = await startScreen();
  const packages = await packageBoth(folder);
  const environment = {
    ...(process.env as { [name: string]: string }),
    DISPLAY: screen.display,
    XDG_CONFIG_HOME: path.join(folder, 'config'),
    TMPDIR: folder,
    LANG: 'en_GB.UTF-8',
  };
  const start: Desk['start'] = (home, { words = [], credential: named = credential } = {}) =>
    _electron.launch({
      executablePath: packages.tested,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        // Something to ask permission for.
        '--use-fake-device-for-media-stream',
        // Playwright attaches before there is a window: it waits for ever for one that is just being made.
        '--hidden',
        `--home=${home}`,
        ...(named === null ? [] : [`--credential-file=${named}`]),
        ...words,
      ],
      env: environment,
      timeout: patience,
      // As the shell sets it.
      colorScheme: null,
    });

  return {
    folder,
    packages,
    environment,
    credential,
    start,
    async open(home, options) {
      const app = await start(home, options);
      return { app, page: await shownWindow(app), quit: () => quit(app, home) };
    },
    async end() {
      for (const pid of shellsOf(packages.tested)) process.kill(pid, 'SIGKILL');
      const hosts = (): number[] => hostsOf('', folder);
      for (const pid of hosts()) process.kill(pid, 'SIGTERM');
      await until('the hosts ended', () => hosts().length === 0);
      screen.end();
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 500 });
    },
  };
}

/** As a click on the app's sign in the dock. */
export async function shownWindow(app: ElectronApplication): Promise<Page> {
  const there = app.waitForEvent('window', { timeout: patience });
  await app.evaluate(({ app: shell }) => void shell.emit('activate'));
  const page = await there;
  page.setDefaultTimeout(patience);
  await page.getByRole('heading', { name: 'Today', level: 1 }).waitFor();
  return page;
}

export async function closeWindow(app: ElectronApplication): Promise<void> {
  await app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]!.close());
  await until('the window is closed', () => app.windows().length === 0);
}

async function quit(app: ElectronApplication, home: string): Promise<void> {
  const child = app.process();
  const ended = child.exitCode === null ? once(child, 'exit') : Promise.resolve();
  await app.evaluate(({ app: shell }) => void setTimeout(() => shell.quit(), 0)).catch(() => {});
  await ended;
  await until('the host ended', () => hostsOf(home).length === 0);
}

/** A picture for people to look at; the browser suite holds the same screens to its checks. */
export const picture = async (page: Page, name: string): Promise<void> => {
  await page.screenshot({ path: path.join(pictures, `desktop-${name}.png`) });
};

export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + patience; !(await holds()); await sleep(100)) assert.ok(Date.now() < end, what);
}

type Held = { boxes: { readonly said: string; answer(button: number): void }[] };

/** From here on the shell's boxes wait for the test, not for a person at the screen. */
export async function holdBoxes(app: ElectronApplication): Promise<void> {
  await app.evaluate(({ dialog }) => {
    const { boxes } = Object.assign(globalThis, { boxes: [] }) as unknown as Held;
    Object.assign(dialog, {
      showMessageBox: ({ detail = '' }: { detail?: string }) =>
        new Promise((done) => boxes.push({ said: detail, answer: (response) => done({ response }) })),
    });
  });
}

/** What the boxes said so far. */
export const saidBoxes = (app: ElectronApplication): Promise<string[]> =>
  app.evaluate(() => (globalThis as unknown as Held).boxes.map(({ said }) => said));

/** Presses a button of the latest box. */
export const answerBox = (app: ElectronApplication, button: number): Promise<void> =>
  app.evaluate((_electron, pressed) => (globalThis as unknown as Held).boxes.at(-1)!.answer(pressed), button);
