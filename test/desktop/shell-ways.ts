// The shell's own ways in a real Electron: tray and menu, starting at sign-in, theme and place kept, a page that crashes. Issue 6, item 4.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import type { ElectronApplication } from 'playwright';
import { answerBox, closeWindow, holdBoxes, picture, saidBoxes, until } from './desk.ts';
import type { Desk, Opened } from './desk.ts';
import { hostsOf } from './processes.ts';

export function shellWays(desk: () => Desk, skip: string | false): void {
  test('tray: what it says and does while the window is closed', { skip }, async () => {
    const home = path.join(desk().folder, 'tray');
    const { app, page, quit } = await desk().open(home);
    await page.getByText('This institution takes part in no study yet.').waitFor();
    await seeTray(app);
    process.kill(hostsOf(home)[0]!, 'SIGKILL');
    await until('the tray says so', async () =>
      (await traySaid(app)).includes('The program stopped and is started again.'),
    );
    await until('and again', async () => (await traySaid(app)).at(-1) === 'Studies run in the background.');
    await closeWindow(app);
    const there = app.waitForEvent('window');
    await pressTray(app, 'open');
    await (await there).getByRole('heading', { name: 'Today', level: 1 }).waitFor();
    await closeWindow(app);
    const ended = once(app.process(), 'exit');
    await pressTray(app, 'quit').catch(() => {});
    await ended;
    await quit();
  });

  test('the menu: starting at sign-in, the theme; the theme and the window’s place are kept', { skip }, async () => {
    const home = path.join(desk().folder, 'kept');
    const entry = path.join(desk().folder, 'config', 'autostart', 'consilience.desktop');
    const first = await desk().open(home);
    await pressMenu(first, 'start-at-login');
    const said = readFileSync(entry, 'utf8');
    assert.ok(said.includes(`Exec="${desk().packages.tested}" "--hidden" "--home=${home}"\n`), said);
    await pressMenu(first, 'start-at-login');
    assert.ok(!existsSync(entry));
    await first.page.locator('html[data-mantine-color-scheme="light"]').waitFor();
    await pressMenu(first, 'theme-dark');
    await first.page.locator('html[data-mantine-color-scheme="dark"]').waitFor();
    await picture(first.page, 'dark');
    const bounds = { x: 40, y: 30, width: 1011, height: 777 };
    await first.app.evaluate(
      ({ BrowserWindow }, wanted) => BrowserWindow.getAllWindows()[0]!.setBounds(wanted),
      bounds,
    );
    await closeWindow(first.app);
    await first.quit();
    const again = await desk().open(home);
    assert.deepEqual(
      await again.app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]!.getNormalBounds()),
      bounds,
    );
    await again.page.locator('html[data-mantine-color-scheme="dark"]').waitFor();
    await again.quit();
  });

  test('a page that crashes is said to have crashed and loaded again, so many times', { skip }, async () => {
    const home = path.join(desk().folder, 'crash');
    const { app, page, quit } = await desk().open(home);
    await holdBoxes(app);
    await page.getByText('This institution takes part in no study yet.').waitFor();
    const [host] = hostsOf(home);
    for (let crash = 1; crash <= 3; crash++) {
      await crashPage(app);
      await until('the page is back', () => showsToday(app));
    }
    // The first box was not answered yet.
    assert.deepEqual(await saidBoxes(app), [
      'The window’s page stopped unexpectedly and was loaded again. Nothing was lost; studies go on.',
    ]);
    await crashPage(app);
    await until('the last box', async () => (await saidBoxes(app)).length === 2);
    assert.match((await saidBoxes(app))[1]!, /stopped several times\. Nothing was lost; studies go on\./);
    assert.deepEqual(hostsOf(home), [host]);
    await answerBox(app, 0);
    await until('the page is back', () => showsToday(app));
    await quit();
  });
}

type Seen = { said: string[]; press: (id: string) => void };

/** Electron tells nobody which trays there are: the menu of the shell's own is seen when it is made anew. */
async function seeTray(app: ElectronApplication): Promise<void> {
  await app.evaluate(({ Menu: menus }) => {
    const { said } = Object.assign(globalThis, { said: [] }) as unknown as Seen;
    const build = menus.buildFromTemplate.bind(menus);
    menus.buildFromTemplate = (template) => {
      const menu = build(template);
      const state = menu.getMenuItemById('state');
      if (state === null) return menu;
      said.push(state.label);
      Object.assign(globalThis, { press: (id: string) => menu.getMenuItemById(id)?.click() });
      return menu;
    };
  });
}

const traySaid = (app: ElectronApplication): Promise<string[]> =>
  app.evaluate(() => (globalThis as unknown as Seen).said);

const pressTray = (app: ElectronApplication, item: 'open' | 'quit'): Promise<void> =>
  app.evaluate((_electron, id) => (globalThis as unknown as Seen).press(id), item);

const pressMenu = ({ app }: Opened, item: string): Promise<void> =>
  app.evaluate(({ Menu }, id) => {
    Menu.getApplicationMenu()!.getMenuItemById(id)!.click();
  }, item);

const crashPage = (app: ElectronApplication): Promise<void> =>
  app.evaluate(async ({ BrowserWindow }) => {
    const { webContents: contents } = BrowserWindow.getAllWindows()[0]!;
    const gone = new Promise((done) => contents.once('render-process-gone', done));
    contents.forcefullyCrashRenderer();
    await gone;
  });

const showsToday = (app: ElectronApplication): Promise<boolean> =>
  app.evaluate(async ({ BrowserWindow }) => {
    const { webContents: contents } = BrowserWindow.getAllWindows()[0]!;
    if (contents.isLoading() || contents.isCrashed()) return false;
    return (await contents.executeJavaScript('document.querySelector("h1")?.textContent')) === 'Today';
  });
