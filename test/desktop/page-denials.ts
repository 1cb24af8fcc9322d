// What no page in the app may do, each rule alone: in the window's own page, and in a page that lacks its other guards, so
// that no rule stands in for another. Issue 6, item 4.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ElectronApplication } from 'playwright';
import type { Desk, Opened } from './desk.ts';

export function pageDenials(desk: () => Desk, skip: string | false): void {
  test('what no page may do', { skip }, async (t) => {
    const opened = await desk().open(path.join(desk().folder, 'denials'));
    await t.test('go elsewhere', () => navigation(opened));
    await t.test('open a window', () => windows(opened));
    await t.test('ask for a permission', () => permissions(opened));
    await t.test('hold a guest page', () => guests(opened));
    await t.test('reach the network', () => network(opened));
    await t.test('download', () => downloads(opened));
    await opened.quit();
  });
}

/** A page without the window's own settings and policy: only the rules for all contents hold there. */
async function barePage(app: ElectronApplication, script: string, settings: object = {}): Promise<unknown> {
  return app.evaluate(
    async ({ BrowserWindow }, [code, more]) => {
      const window = new BrowserWindow({ show: false, webPreferences: { sandbox: true, ...more } });
      await window.loadURL('data:text/html,<p>A page</p>');
      const answer: unknown = await window.webContents.executeJavaScript(code, true);
      window.destroy();
      return answer;
    },
    [script, settings] as const,
  );
}

async function navigation({ app, page }: Opened): Promise<void> {
  const addresses = ['https://example.org/', 'app://consilience/assets', 'file:///etc/passwd', 'data:text/html,other'];
  for (const address of addresses)
    await page.evaluate((to) => {
      (globalThis as unknown as { location: { href: string } }).location.href = to;
    }, address);
  await sleep(300);
  assert.equal(page.url(), 'app://consilience/');
  // The rule itself: heard after it, each attempt is stopped already.
  const stopped = await app.evaluate(async ({ BrowserWindow }) => {
    const window = new BrowserWindow({ show: false, webPreferences: { sandbox: true } });
    await window.loadURL('data:text/html,<a href="app://consilience/">on</a>');
    const heard = new Promise<boolean>((done) => {
      window.webContents.once('will-navigate', (event) => setImmediate(() => done(event.defaultPrevented)));
    });
    await window.webContents.executeJavaScript('document.querySelector("a").click()', true);
    const answer = [await heard, window.webContents.getURL().slice(0, 5)];
    window.destroy();
    return answer;
  });
  assert.deepEqual(stopped, [true, 'data:']);
}

async function windows({ app, page }: Opened): Promise<void> {
  const own = await page.evaluate(() => {
    const { open } = globalThis as unknown as { readonly open: (url: string) => unknown };
    return ['https://example.org/', 'about:blank', 'app://consilience/'].map((url) => open(url) === null);
  });
  assert.deepEqual(own, [true, true, true]);
  assert.equal(await barePage(app, 'window.open("about:blank") === null'), true);
  assert.equal(await app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows().length), 1);
}

async function permissions({ app, page }: Opened): Promise<void> {
  const asked = `Promise.all(['geolocation', 'camera', 'microphone', 'notifications', 'midi', 'clipboard-read',
    'clipboard-write'].map((name) => navigator.permissions.query({ name }).then(({ state }) => name + ' ' + state)))`;
  const denied = (states: unknown): string[] => (states as string[]).filter((one) => one.endsWith(' denied'));
  const own = await page.evaluate<unknown>(asked);
  // What "copy" needs, for the own page.
  assert.deepEqual(
    (own as string[]).filter((one) => !one.endsWith(' denied')),
    ['clipboard-write granted'],
  );
  assert.equal(denied(await barePage(app, asked)).length, 7);
  const requests = `Promise.all([
    Notification.requestPermission(),
    new Promise((done) => navigator.geolocation.getCurrentPosition(() => done('granted'), ({ code }) => done(code))),
    navigator.mediaDevices.getUserMedia({ audio: true }).then(() => 'granted', ({ name }) => name),
  ])`;
  assert.deepEqual(await page.evaluate<unknown>(requests), ['denied', 1, 'NotAllowedError']);
}

async function guests({ app, page }: Opened): Promise<void> {
  const element = await page.evaluate<unknown>('document.createElement("webview").constructor.name');
  assert.equal(element, 'HTMLElement', 'the element does not exist in the window');
  // Where it does exist, none is attached.
  const attached = await app.evaluate(async ({ BrowserWindow, webContents }) => {
    const window = new BrowserWindow({ show: false, webPreferences: { webviewTag: true } });
    await window.loadURL('data:text/html,<p>A page</p>');
    const heard = new Promise<boolean>((done) => {
      window.webContents.once('will-attach-webview', (event) => setImmediate(() => done(event.defaultPrevented)));
    });
    await window.webContents.executeJavaScript(
      'const guest = document.createElement("webview"); guest.src = "data:text/html,guest"; document.body.append(guest); 0',
    );
    const stopped = await heard;
    const guest = webContents.getAllWebContents().some((one) => one.getType() === 'webview');
    window.destroy();
    return [stopped, guest];
  });
  assert.deepEqual(attached, [true, false]);
}

async function network({ app }: Opened): Promise<void> {
  let reached = 0;
  const server = createServer((_request, response) => {
    reached++;
    response.setHeader('Access-Control-Allow-Origin', '*').end('reached');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as { port: number };
    const tried = `fetch('http://127.0.0.1:${port}/').then(() => 'reached', () => 'refused')`;
    assert.equal(await barePage(app, tried, { webSecurity: false }), 'refused');
    assert.equal(reached, 0);
  } finally {
    server.close();
  }
}

async function downloads({ app, page }: Opened): Promise<void> {
  await app.evaluate(({ session }) => {
    const kept = globalThis as unknown as { stopped: boolean[] };
    kept.stopped = [];
    session.defaultSession.on('will-download', (event) => kept.stopped.push(event.defaultPrevented));
  });
  await page.evaluate<unknown>(
    'const link = document.createElement("a"); link.href = "data:text/plain,kept"; link.download = "kept.txt"; link.click(); 0',
  );
  const heard = async (): Promise<boolean[]> =>
    app.evaluate(() => (globalThis as unknown as { stopped: boolean[] }).stopped);
  for (let tries = 0; tries < 50 && (await heard()).length === 0; tries++) await sleep(100);
  assert.deepEqual(await heard(), [true]);
}
