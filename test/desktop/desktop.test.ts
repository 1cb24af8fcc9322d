// The packaged desktop app in a real Electron under Xvfb: its fuses, every rule about what a page may do, the host that
// survives a closed window and is brought back when it is killed, and an invitation by link. Issue 6, item 4.

import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FuseV1Options, getCurrentFuseWire } from '@electron/fuses';
import { _electron } from 'playwright';
import type { ElectronApplication, Page } from 'playwright';
import { invitationLink } from '../../app/study/invitation-link.ts';
import { answerInvitation } from '../browser/journeys.ts';
import { complaintsOf } from '../browser/screen-checks.ts';
import { invitationText } from '../main/host/participant-homes.ts';
import { packageBoth, startScreen, withoutElectron } from './packaged.ts';
import type { Packages } from './packaged.ts';

const skip = withoutElectron;
/** Most that one step takes on a machine that does other things too. */
const patience = 240_000;
const pictures = path.resolve(import.meta.dirname, '../../test-results/screens');
let folder: string;
let packages: Packages;
let screen: { readonly display: string; end(): void };

before(async () => {
  if (skip !== false) return;
  folder = await mkdtemp(path.join(tmpdir(), 'consilience-desktop-'));
  writeFileSync(path.join(folder, 'credential'), 'a credential of enough characters\n', { mode: 0o600 });
  screen = await startScreen();
  packages = await packageBoth(folder);
});

after(async () => {
  if (skip !== false) return;
  screen.end();
  for (const pid of hostsOf(folder)) process.kill(pid, 'SIGTERM');
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 500 });
});

/** Hosts whose command line names a home below `home`. */
function hostsOf(home: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return words[2] === 'host' && words.some((word) => word.startsWith(`--home=${home}`)) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

async function launch(home: string, ...words: string[]): Promise<{ app: ElectronApplication; page: Page }> {
  const app = await _electron.launch({
    executablePath: packages.tested,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      `--home=${home}`,
      `--credential-file=${path.join(folder, 'credential')}`,
      ...words,
    ],
    env: {
      ...(process.env as { [name: string]: string }),
      DISPLAY: screen.display,
      XDG_CONFIG_HOME: path.join(folder, 'config'),
      LANG: 'en_GB.UTF-8',
    },
    timeout: patience,
  });
  const page = await app.firstWindow({ timeout: patience });
  page.setDefaultTimeout(patience);
  await page.getByRole('heading', { name: 'Today', level: 1 }).waitFor();
  return { app, page };
}

/** A picture for people to look at; the browser suite holds the same screens to its checks. */
const picture = async (page: Page, name: string): Promise<void> => {
  await page.screenshot({ path: path.join(pictures, `desktop-${name}.png`) });
};

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + patience; !(await holds()); await sleep(100)) assert.ok(Date.now() < end, what);
}

test('the product’s fuses are those of electron-builder.yml; the tested package differs in one', { skip }, async () => {
  const on = 0x31;
  const wanted = {
    [FuseV1Options.RunAsNode]: false,
    [FuseV1Options.EnableCookieEncryption]: true,
    [FuseV1Options.EnableNodeOptionsEnvironmentVariable]: false,
    [FuseV1Options.EnableNodeCliInspectArguments]: false,
    [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: true,
    [FuseV1Options.OnlyLoadAppFromAsar]: true,
    [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: false,
    [FuseV1Options.GrantFileProtocolExtraPrivileges]: false,
  };
  const product = await getCurrentFuseWire(packages.product);
  const tested = await getCurrentFuseWire(packages.tested);
  let read = 0;
  for (const [fuse, value] of Object.entries(wanted)) {
    const name = FuseV1Options[Number(fuse)]!;
    const state = product[Number(fuse) as FuseV1Options] as number | undefined;
    // Older Electrons have a shorter wire.
    if (state === undefined) continue;
    read++;
    assert.equal(state === on, value, name);
    const other = tested[Number(fuse) as FuseV1Options] as number | undefined;
    assert.equal(other === on, name === 'EnableNodeCliInspectArguments' ? true : value, name);
  }
  assert.ok(read >= 6, `${read} fuses were read`);
});

test('a page in the window can do what the rules allow and nothing else', { skip }, async (t) => {
  const home = path.join(folder, 'rules');
  const { app, page } = await launch(home);
  t.after(() => app.process().kill('SIGKILL'));
  const complaints = complaintsOf(page);
  await page.screenshot({ path: path.join(pictures, 'desktop-today.png') });
  assert.equal(page.url(), 'app://consilience/');

  // Isolated: functions of the bridge, and no Node or Electron.
  assert.deepEqual(
    await page.evaluate(() => {
      const names = globalThis as unknown as { [name: string]: unknown };
      return [typeof names['require'], typeof names['process'], Object.keys(names['consilience'] as object).sort()];
    }),
    ['undefined', 'undefined', ['call', 'demonstrate', 'on', 'onConnection', 'onInvitation']],
  );
  const sandboxed = await app.evaluate(({ BrowserWindow }) => {
    const contents = BrowserWindow.getAllWindows()[0]!.webContents as unknown as {
      getLastWebPreferences(): { [name: string]: unknown };
    };
    const { sandbox, contextIsolation, nodeIntegration, webviewTag } = contents.getLastWebPreferences();
    return { sandbox, contextIsolation, nodeIntegration, webviewTag };
  });
  assert.deepEqual(sandboxed, { sandbox: true, contextIsolation: true, nodeIntegration: false, webviewTag: false });

  // Bridge: unknown names, malformed and oversized input.
  type Shell = {
    consilience: { call(name: string, input: unknown): Promise<{ ok: boolean; error?: { code: string } }> };
  };
  const codeOf = (name: string, characters: number): Promise<string | undefined> =>
    page.evaluate(
      async ([called, length]) => {
        const shell = globalThis as unknown as Shell;
        const reply = await shell.consilience.call(called, length === 0 ? {} : { text: 'x'.repeat(length) });
        return reply.ok ? 'ok' : reply.error?.code;
      },
      [name, characters] as const,
    );
  assert.equal(await codeOf('session.get', 0), 'ok');
  for (const name of ['nothing.here', '__proto__', 'constructor']) assert.equal(await codeOf(name, 0), 'unknown-call');
  assert.equal(await codeOf('session.get', 5), 'input-invalid');
  assert.equal(await codeOf('invitation.read', 300 * 1024), 'request-too-long');

  // A frame inside the page has no bridge, and a message in its name is refused.
  const frame = await page.evaluate(() => {
    const { document } = globalThis as unknown as {
      document: {
        createElement(name: string): { contentWindow: { consilience?: unknown } };
        body: { append(one: unknown): void };
      };
    };
    const inner = document.createElement('iframe');
    document.body.append(inner);
    return typeof inner.contentWindow.consilience;
  });
  assert.equal(frame, 'undefined');
  const senders = await app.evaluate(async ({ BrowserWindow }) => {
    const { webContents: contents } = BrowserWindow.getAllWindows()[0]!;
    type Handler = (event: unknown, text: string) => Promise<string>;
    const handlers = (contents.ipc as unknown as { _invokeHandlers: Map<string, Handler> })._invokeHandlers;
    const handle = handlers.get('bridge:call')!;
    const text = JSON.stringify({ id: 1, name: 'session.get', input: {} });
    const ask = async (senderFrame: unknown, sender: unknown): Promise<string> => {
      let answer: unknown;
      const event = {
        senderFrame,
        sender,
        _reply: (value: unknown) => (answer = value),
        _throw: (error: unknown) => (answer = String(error)),
      };
      answer = (await handle(event, text)) ?? answer;
      return String(answer);
    };
    const [inner] = contents.mainFrame.frames;
    return [
      await ask(inner, contents),
      await ask(contents.mainFrame, {}),
      await ask(null, contents),
      await ask(contents.mainFrame, contents),
    ];
  });
  assert.deepEqual(
    senders.map((answer) => answer.includes('sender-refused')),
    [true, true, true, false],
  );

  // The scheme serves exact paths of the built window, with its policy as a header, and nothing else.
  const paths = [
    '../host-files.json',
    '..%2f..%2fpackage.json',
    '%2e%2e/shell.cjs',
    '/etc/passwd',
    'index.html%00',
    'assets',
  ];
  const answers = await app.evaluate(async ({ BrowserWindow }, asked) => {
    const other = new BrowserWindow({ show: false, webPreferences: { sandbox: true } });
    const said: string[] = [];
    for (const one of asked) {
      await other.loadURL(`app://consilience/${one}`).catch(() => {});
      said.push(String(await other.webContents.executeJavaScript('document.body.innerText')));
    }
    await other.loadURL('app://elsewhere/index.html').catch(() => {});
    said.push(String(await other.webContents.executeJavaScript('document.body.innerText')));
    other.destroy();
    return said;
  }, paths);
  for (const said of answers) assert.match(said, /There is no such page|^$/);
  const policy = await page.evaluate(async () => {
    const tried = await fetch('https://example.org/').then(
      () => 'reached',
      () => 'refused',
    );
    const page = globalThis as unknown as {
      document: { createElement(name: string): { textContent: string }; head: { append(one: unknown): void } };
      ran?: boolean;
    };
    const script = page.document.createElement('script');
    script.textContent = 'globalThis.ran = true';
    page.document.head.append(script);
    const inline = page.ran === true ? 'ran' : 'refused';
    return [tried, inline];
  });
  assert.deepEqual(policy, ['refused', 'refused']);

  // Navigation, windows, permissions, guests.
  const outcome = await page.evaluate(async () => {
    const g = globalThis as unknown as {
      open(url: string): unknown;
      location: { href: string };
      navigator: { permissions: { query(what: object): Promise<{ state: string }> } };
      Notification: { requestPermission(): Promise<string> };
      document: { createElement(name: string): { constructor: { name: string } } };
    };
    const opened = g.open('https://example.org/') === null;
    g.location.href = 'https://example.org/';
    const camera = await g.navigator.permissions.query({ name: 'geolocation' }).then(({ state }) => state);
    const notification = await g.Notification.requestPermission();
    return { opened, camera, notification, guest: g.document.createElement('webview').constructor.name };
  });
  assert.deepEqual(outcome, { opened: true, camera: 'denied', notification: 'denied', guest: 'HTMLElement' });
  await sleep(500);
  assert.equal(page.url(), 'app://consilience/');
  assert.equal(app.windows().length, 1);
  assert.ok(
    complaints.every((one) => /Content Security Policy|Refused|ERR_|blocked/i.test(one)),
    complaints.join('\n'),
  );
});

test('the host outlives its window, is brought back when killed, and ends when a person quits', { skip }, async () => {
  const home = path.join(folder, 'lives');
  const { app, page } = await launch(home);
  await page.getByText('This institution takes part in no study yet.').waitFor();
  const [first] = hostsOf(home);
  assert.ok(first !== undefined);
  process.kill(first, 'SIGKILL');
  await page.getByText('The program behind this window does not answer.').waitFor();
  await page.screenshot({ path: path.join(pictures, 'desktop-host-gone.png') });
  await until('a new host', () => hostsOf(home).some((pid) => pid !== first));
  await page.getByText('Nothing runs.').waitFor();
  const [second] = hostsOf(home);
  await app.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]!.close());
  await until('the window is closed', () => app.windows().length === 0);
  await sleep(1000);
  assert.deepEqual(hostsOf(home), [second]);
  await app.evaluate(({ app: shell }) => void setTimeout(() => shell.quit(), 0)).catch(() => {});
  await until('the host ended', () => hostsOf(home).length === 0);
  await app.close().catch(() => {});
});

test(
  'a host whose files are not those that were packaged is not started, and the screen says so',
  { skip },
  async (t) => {
    const added = path.join(path.dirname(packages.tested), 'resources', 'host', 'added.js');
    appendFileSync(added, '// added\n');
    t.after(() => rm(added, { force: true }));
    const home = path.join(folder, 'altered');
    const { app, page } = await launch(home);
    t.after(() => app.process().kill('SIGKILL'));
    await page.getByText('added.js was added').first().waitFor();
    assert.deepEqual(hostsOf(home), []);
  },
);

test('an invitation that is opened by a link is read on the screen', { skip }, async (t) => {
  const home = path.join(folder, 'joining');
  const { app, page } = await launch(home);
  t.after(() => app.process().kill('SIGKILL'));
  await app.evaluate(
    ({ app: shell }, link) => void shell.emit('open-url', { preventDefault() {} }, link),
    invitationLink(invitationText()),
  );
  await page.getByRole('heading', { name: 'Studies', level: 1 }).waitFor();
  await answerInvitation(page, picture);
});
