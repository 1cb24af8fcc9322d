// What the window's page has and may ask: the bridge and nothing of Node or Electron; calls within bounds; each message from
// the main frame of the window's own page alone; exact paths of the built window. Issue 6, item 4; design 2, "Bridge".

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { picture } from './desk.ts';
import type { Desk, Opened } from './desk.ts';

type Shell = {
  consilience: { call(name: string, input: unknown): Promise<{ ok: boolean; error?: { code: string } }> };
};

export function pageRules(desk: () => Desk, skip: string | false): void {
  test('the window’s page has the bridge, in its bounds, and nothing else', { skip }, async (t) => {
    const opened = await desk().open(path.join(desk().folder, 'rules'));
    await picture(opened.page, 'today');
    assert.equal(opened.page.url(), 'app://consilience/');
    await t.test('functions of the bridge, no Node and no Electron', () => isolation(opened));
    await t.test('unknown names, malformed and oversized input are refused', () => callsInBounds(opened));
    await t.test('every message is heard from the main frame of the own page alone', () => senders(opened));
    await t.test('the scheme serves exact paths of the built window', () => exactPaths(opened));
    await opened.quit();
  });
}

async function isolation({ app, page }: Opened): Promise<void> {
  assert.deepEqual(
    await page.evaluate(() => {
      const names = globalThis as unknown as { [name: string]: unknown };
      return [typeof names['require'], typeof names['process'], Object.keys(names['consilience'] as object).sort()];
    }),
    ['undefined', 'undefined', ['call', 'demonstrate', 'on', 'onConnection', 'onInvitation']],
  );
  const set = await app.evaluate(({ BrowserWindow }) => {
    const contents = BrowserWindow.getAllWindows()[0]!.webContents as unknown as {
      getLastWebPreferences(): { [name: string]: unknown };
    };
    const { sandbox, contextIsolation, nodeIntegration, nodeIntegrationInSubFrames, webviewTag } =
      contents.getLastWebPreferences();
    return { sandbox, contextIsolation, nodeIntegration, nodeIntegrationInSubFrames, webviewTag };
  });
  const off = { nodeIntegration: false, nodeIntegrationInSubFrames: false, webviewTag: false };
  assert.deepEqual(set, { sandbox: true, contextIsolation: true, ...off });
  const policy = await page.evaluate(async () => {
    const tried = await fetch('https://example.org/').then(
      () => 'reached',
      () => 'refused',
    );
    const own = globalThis as unknown as {
      document: { createElement(name: string): { textContent: string }; head: { append(one: unknown): void } };
      ran?: boolean;
    };
    const script = own.document.createElement('script');
    script.textContent = 'globalThis.ran = true';
    own.document.head.append(script);
    return [tried, own.ran === true ? 'ran' : 'refused'];
  });
  assert.deepEqual(policy, ['refused', 'refused']);
}

async function callsInBounds({ page }: Opened): Promise<void> {
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
}

/** Handlers are asked as Electron asks them: no page can be made to send what a real one cannot. */
async function senders({ app, page }: Opened): Promise<void> {
  const inside = await page.evaluate(() => {
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
  assert.equal(inside, 'undefined', 'a frame inside the page has no bridge');
  const answers = await app.evaluate(async ({ BrowserWindow }) => {
    const { webContents: contents } = BrowserWindow.getAllWindows()[0]!;
    type Handler = (event: unknown, text: string) => Promise<string>;
    const { _invokeHandlers: handlers } = contents.ipc as unknown as { _invokeHandlers: Map<string, Handler> };
    const own = contents.mainFrame;
    const cases: { [name: string]: readonly [frame: unknown, sender: unknown] } = {
      'a frame inside the page': [own.frames[0], contents],
      'a frame whose address would pass': [{ url: own.url, parent: own }, contents],
      'another page’s contents': [own, { mainFrame: own }],
      'a frame that is gone': [null, contents],
    };
    const said: string[] = [];
    for (const [channel, handle] of handlers)
      for (const [name, [senderFrame, sender]] of Object.entries(cases)) {
        let answer: unknown;
        const event = {
          senderFrame,
          sender,
          _reply: (value: unknown) => (answer = value),
          _throw: (error: unknown) => (answer = String(error)),
        };
        const text = JSON.stringify({ id: 1, name: 'session.get', input: {} });
        answer = (await handle(event, text)) ?? answer;
        said.push(`${channel}, ${name}: ${String(answer).includes('sender-refused') ? 'refused' : String(answer)}`);
      }
    return said;
  });
  assert.equal(answers.length, 2 * 4);
  for (const said of answers) assert.match(said, /: refused$/);
}

async function exactPaths({ app }: Opened): Promise<void> {
  const paths = [
    'consilience/../host-files.json',
    'consilience/..%2f..%2fpackage.json',
    'consilience/%2e%2e/shell.cjs',
    'consilience//etc/passwd',
    'consilience/index.html%00',
    'consilience/assets',
    'elsewhere/index.html',
  ];
  const said = await app.evaluate(async ({ BrowserWindow }, asked) => {
    const other = new BrowserWindow({ show: false, webPreferences: { sandbox: true } });
    const answers: string[] = [];
    for (const one of asked) {
      await other.loadURL(`app://${one}`).catch(() => {});
      answers.push(String(await other.webContents.executeJavaScript('document.body.innerText')));
    }
    other.destroy();
    return answers;
  }, paths);
  for (const one of said) assert.match(one, /There is no such page|^$/);
}
