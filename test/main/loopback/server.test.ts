// What stands between a page somewhere and the loopback shell: the one-time address, the cookie, Host, Origin, the
// content policy, paths that try to leave, sockets from other sites, and requests that are too long.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { mostRequestLength } from '../../../app/bridge.ts';
import type { HostConnection } from '../../../main/host/bridge/socket.ts';
import type { Asset } from '../../../main/window/assets.ts';
import { openLoopback } from '../../../main/loopback/server.ts';
import type { Loopback } from '../../../main/loopback/server.ts';

const assets = new Map<string, Asset>([
  ['/index.html', { bytes: Buffer.from('<p nonce="__CSP_NONCE__">window</p>'), type: 'text/html; charset=utf-8' }],
  ['/assets/main.js', { bytes: Buffer.from('1'), type: 'text/javascript; charset=utf-8' }],
]);

/** A host that repeats what it is asked. */
const echo = (): HostConnection => ({
  call: (name, input) => Promise.resolve({ ok: true, value: { name, input } }),
  onEvent: () => {},
  onClose: () => {},
  close: () => {},
});

type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly text: string };

/** Without a browser's or fetch's own tidying of paths and headers. */
function ask(
  loopback: Loopback,
  path: string,
  headers: { [name: string]: string } = {},
  method = 'GET',
): Promise<Answer> {
  const { hostname, port } = new URL(loopback.origin);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => (text += piece));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }));
    });
    asked.once('error', reject);
    asked.end();
  });
}

const pathOf = ({ address, origin }: Loopback): string => address.slice(origin.length);

async function withLoopback(use: (loopback: Loopback, open: () => Promise<string>) => Promise<void>): Promise<void> {
  const loopback = await openLoopback({ assets, connect: () => Promise.resolve(echo()), port: 0 });
  const open = async (): Promise<string> =>
    (await ask(loopback, pathOf(loopback))).headers['set-cookie']![0]!.split(';')[0]!;
  try {
    await use(loopback, open);
  } finally {
    await loopback.close();
  }
}

/** "open", or the status with which the socket was refused. */
async function socketOutcome(
  loopback: Loopback,
  headers: { [name: string]: string },
  path = '/bridge',
): Promise<string> {
  const socket = new WebSocket(loopback.origin.replace('http', 'ws') + path, { headers });
  const outcome = await new Promise<string>((resolve) => {
    socket.once('open', () => resolve('open'));
    socket.once('unexpected-response', (_request, response) => resolve(String(response.statusCode)));
    socket.once('error', () => resolve('failed'));
  });
  socket.terminate();
  return outcome;
}

test('the one-time address opens the window once', async () => {
  await withLoopback(async (loopback) => {
    assert.match(loopback.address, /^http:\/\/127\.0\.0\.1:\d+\/open\?token=[A-Za-z0-9_-]{43}$/);
    assert.equal((await ask(loopback, '/open?token=' + 'A'.repeat(43))).status, 403);
    assert.equal((await ask(loopback, '/open')).status, 403);
    const opened = await ask(loopback, pathOf(loopback));
    assert.deepEqual([opened.status, opened.headers.location], [303, '/']);
    const [cookie] = opened.headers['set-cookie']!;
    for (const part of ['HttpOnly', 'SameSite=Strict', 'Path=/']) assert.ok(cookie!.includes(part), part);
    const again = await ask(loopback, pathOf(loopback));
    assert.deepEqual([again.status, again.headers['set-cookie']], [403, undefined]);
  });
});

test('nothing is shown without the cookie', async () => {
  await withLoopback(async (loopback, open) => {
    const cookie = await open();
    for (const path of ['/', '/index.html', '/assets/main.js']) {
      assert.equal((await ask(loopback, path)).status, 401, path);
      assert.equal((await ask(loopback, path, { cookie: `${cookie.split('=')[0]}=wrong` })).status, 401, path);
      assert.equal((await ask(loopback, path, { cookie: `other=1; ${cookie}` })).status, 200, path);
    }
  });
});

test('another host name, origin or method is refused, whoever holds the cookie', async () => {
  await withLoopback(async (loopback, open) => {
    const cookie = await open();
    const { port } = new URL(loopback.origin);
    for (const host of ['evil.example', `localhost:${port}`, `127.0.0.1.evil.example:${port}`, '127.0.0.1'])
      assert.equal((await ask(loopback, '/', { cookie, host })).status, 421, host);
    for (const origin of ['http://evil.example', 'null', `http://localhost:${port}`])
      assert.equal((await ask(loopback, '/', { cookie, origin })).status, 403, origin);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
      assert.equal((await ask(loopback, '/', { cookie }, method)).status, 405, method);
  });
});

test('a rebinding page cannot use up the one-time address', async () => {
  await withLoopback(async (loopback) => {
    assert.equal((await ask(loopback, pathOf(loopback), { host: 'evil.example' })).status, 421);
    assert.equal((await ask(loopback, pathOf(loopback), { origin: 'http://evil.example' })).status, 403);
    assert.equal((await ask(loopback, pathOf(loopback))).status, 303);
  });
});

test('no path leaves the built window', async () => {
  await withLoopback(async (loopback, open) => {
    const cookie = await open();
    for (const path of [
      '/../package.json',
      '/..%2fpackage.json',
      '/assets/../../package.json',
      '/assets/%2e%2e/%2e%2e/package.json',
      '//etc/passwd',
      '/etc/passwd',
      '/assets/',
      '/assets',
      '/assets\\..\\..\\package.json',
      '/index.html%00',
      '/__proto__',
    ])
      assert.equal((await ask(loopback, path, { cookie })).status, 404, path);
  });
});

test('every answer carries the policy, its own nonce, and is stored nowhere', async () => {
  await withLoopback(async (loopback, open) => {
    const cookie = await open();
    const nonces = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const { headers, text } = await ask(loopback, '/', { cookie });
      const policy = String(headers['content-security-policy']);
      const nonce = /style-src 'self' 'nonce-([^']+)'/.exec(policy)![1]!;
      nonces.add(nonce);
      assert.equal(text, `<p nonce="${nonce}">window</p>`);
      assert.ok(policy.includes("default-src 'none'") && policy.includes("script-src 'self';"));
      assert.ok(!policy.includes('unsafe'));
      assert.equal(headers['cache-control'], 'no-store');
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['referrer-policy'], 'no-referrer');
    }
    assert.equal(nonces.size, 3);
    for (const path of ['/missing', '/open?token=x'])
      assert.equal((await ask(loopback, path, { cookie })).headers['cache-control'], 'no-store');
  });
});

test('only the window’s own page may open the bridge', async () => {
  await withLoopback(async (loopback, open) => {
    const cookie = await open();
    const { origin } = loopback;
    assert.equal(await socketOutcome(loopback, { cookie, origin }), 'open');
    assert.equal(await socketOutcome(loopback, { origin }), '403');
    assert.equal(await socketOutcome(loopback, { cookie }), '403');
    assert.equal(await socketOutcome(loopback, { cookie, origin: 'http://evil.example' }), '403');
    assert.equal(await socketOutcome(loopback, { cookie, origin: 'null' }), '403');
    assert.equal(await socketOutcome(loopback, { cookie, origin, host: 'evil.example' }), '403');
    assert.equal(await socketOutcome(loopback, { cookie, origin }, '/other'), '403');
  });
});

test('the bridge answers its window and hangs up on nonsense and on what is too long', async () => {
  await withLoopback(async (loopback, open) => {
    const headers = { cookie: await open(), origin: loopback.origin };
    const address = `${loopback.origin.replace('http', 'ws')}/bridge`;
    const good = new WebSocket(address, { headers });
    await once(good, 'open');
    good.send(JSON.stringify({ id: 7, name: 'session.get', input: {} }));
    const [data] = (await once(good, 'message')) as [Buffer];
    assert.deepEqual(JSON.parse(data.toString('utf8')), {
      id: 7,
      reply: { ok: true, value: { name: 'session.get', input: {} } },
    });
    good.terminate();
    for (const [text, code] of [
      ['not json', 1008],
      [JSON.stringify({ id: 1, name: 'x', input: {}, more: 1 }), 1008],
      [Buffer.from('{}'), 1008],
      ['x'.repeat(mostRequestLength + 1), 1009],
    ] as const) {
      const bad = new WebSocket(address, { headers });
      await once(bad, 'open');
      bad.send(text);
      const [closed] = (await once(bad, 'close')) as [number];
      assert.equal(closed, code);
    }
  });
});
