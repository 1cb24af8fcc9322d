// What a network and a server can do to one exchange: slow, cut, away, endless, stopped; each in its code and sentence.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openExchange } from '../../../../main/host/connection/http-exchange.ts';
import type { Exchange } from '../../../../main/host/connection/http-exchange.ts';

async function serving(t: TestContext, listener: RequestListener): Promise<Exchange> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const exchange = openExchange(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, null, null);
  t.after(() => {
    exchange.close();
    server.closeAllConnections();
    server.close();
  });
  return exchange;
}

const get = (timeoutMs = 60_000, signal: AbortSignal | null = null) => ({
  method: 'GET',
  path: '/v1/health',
  headers: {},
  body: null,
  timeoutMs,
  signal,
});

test('a coordinator that takes the request and is silent, or begins to answer and stalls, is slow', async (t) => {
  const slow = { name: 'UnavailableError', code: 'coordinator-slow', message: /did not answer in time/ };
  const silent = await serving(t, () => {});
  await assert.rejects(silent.send(get(50)), slow);
  const stalling = await serving(t, (_, response) => void response.writeHead(200).write('half'));
  await assert.rejects(stalling.send(get(200)), slow);
});

test('a reply that is cut off, and nobody there, are "cannot be reached"', async (t) => {
  const away = {
    name: 'UnavailableError',
    code: 'coordinator-unreachable',
    message: /Nothing is lost; try again later/,
  };
  const cutting = await serving(t, (_, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('half', () => response.destroy());
  });
  await assert.rejects(cutting.send(get()), away);
  const nobody = openExchange('http://127.0.0.1:1', null, null);
  t.after(() => nobody.close());
  await assert.rejects(nobody.send(get()), away);
});

test('a reply without end is refused in bounded memory; a stopped request says so', async (t) => {
  const piece = Buffer.alloc(1 << 20);
  const endless = await serving(t, (_, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(piece));
    };
    response.on('drain', more);
    more();
  });
  await assert.rejects(endless.send(get()), { name: 'RefusalError', code: 'reply-too-large' });
  const silent = await serving(t, () => {});
  const stop = new AbortController();
  const waiting = silent.send(get(60_000, stop.signal));
  stop.abort();
  await assert.rejects(waiting, { name: 'UnavailableError', code: 'interrupted' });
});
