// The app in any browser of this machine: the built window and the bridge on 127.0.0.1, for whoever holds the one-time
// address. Everything else (another host name, another origin, no cookie, another path) is refused with a sentence.
// Issue 6, "Loopback"; design 2, "Bridge" (token → name → parse → role → handler).

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { mostRequestLength, requestSchema } from '../../app/bridge.ts';
import type { BridgeMessage } from '../../app/bridge.ts';
import { UnavailableError } from '../../app/errors.ts';
import type { HostConnection } from '../host/bridge/socket.ts';
import type { Asset } from '../window/assets.ts';
import { pageAnswer, pageHeaders } from '../window/page.ts';

export type LoopbackOptions = {
  readonly assets: ReadonlyMap<string, Asset>;
  /** One for each window. */
  readonly connect: () => Promise<HostConnection>;
  /** 0: any free port. */
  readonly port: number;
};

export type Loopback = {
  /** Opens the window once, in one browser. */
  readonly address: string;
  readonly origin: string;
  close(): Promise<void>;
};

/** Requests of one window that wait for their replies; a window never has this many. */
const mostWaiting = 64;

/** @throws UnavailableError `port-taken`. */
export async function openLoopback({ assets, connect, port: wanted }: LoopbackOptions): Promise<Loopback> {
  let token: string | null = randomBytes(32).toString('base64url');
  const secret = randomBytes(32).toString('base64url');
  const server = createServer((request, response) => answer(request, response));
  await new Promise<void>((done, failed) => {
    server.once('error', (error) =>
      failed(new UnavailableError('port-taken', `Port ${wanted} of this machine cannot be used.`, { cause: error })),
    );
    server.listen(wanted, '127.0.0.1', () => done());
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new UnavailableError('port-taken', 'No port could be had.');
  const { port } = bound;
  const host = `127.0.0.1:${port}`;
  const origin = `http://${host}`;
  const connectSources = `'self' ws://${host}`;
  // Cookies do not know ports: another program's loopback must not overwrite this one's.
  const cookieName = `consilience-${port}`;
  const sockets = new WebSocketServer({ noServer: true, maxPayload: mostRequestLength, perMessageDeflate: false });

  const holdsCookie = (request: IncomingMessage): boolean =>
    (request.headers.cookie ?? '').split(';').some((part) => {
      const [name, value = ''] = part.trim().split('=');
      return name === cookieName && sameSecret(value, secret);
    });

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const { method, headers, url = '/' } = request;
    if (headers.host !== host) return refuse(response, 421, 'This address is not served here.');
    if (headers.origin !== undefined && headers.origin !== origin)
      return refuse(response, 403, 'Another site asked for this page, so it is not shown.');
    if (method !== 'GET') return refuse(response, 405, 'Only reading is possible here.');
    const [path = '/', query = ''] = url.split('?');
    if (path === '/open') return open(query, response);
    if (!holdsCookie(request))
      return refuse(
        response,
        401,
        'This window was not opened with its one-time address. Use the address that "consilience app" printed, or run it again for a new one.',
      );
    const page = pageAnswer(assets, path, connectSources);
    response.writeHead(page.status, page.headers);
    response.end(page.body);
  }

  function open(query: string, response: ServerResponse): void {
    const given = /^token=([A-Za-z0-9_-]{1,100})$/.exec(query)?.[1];
    if (token === null)
      return refuse(
        response,
        403,
        'This one-time address was used already. Run "consilience app" again for a new one.',
      );
    if (given === undefined || !sameSecret(given, token))
      return refuse(response, 403, 'This is not the one-time address. Use the one that "consilience app" printed.');
    token = null;
    response.writeHead(303, {
      ...pageHeaders('', connectSources),
      'Set-Cookie': `${cookieName}=${secret}; Path=/; HttpOnly; SameSite=Strict`,
      Location: '/',
    });
    response.end();
  }

  function refuse(response: ServerResponse, status: number, sentence: string): void {
    response.writeHead(status, { ...pageHeaders('', connectSources), 'Content-Type': 'text/plain; charset=utf-8' });
    response.end(`${sentence}\n`);
  }

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const { headers, url } = request;
    // A browser always says its origin here; whoever leaves it out is no window.
    const allowed = url === '/bridge' && headers.host === host && headers.origin === origin && holdsCookie(request);
    if (!allowed) return void socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    sockets.handleUpgrade(request, socket, head, (webSocket) => void serveWindow(webSocket, connect));
  });

  return {
    address: `${origin}/open?token=${token}`,
    origin,
    async close() {
      for (const one of sockets.clients) one.terminate();
      sockets.close();
      server.closeAllConnections();
      await new Promise<void>((done) => {
        server.close(() => done());
      });
    },
  };
}

async function serveWindow(webSocket: WebSocket, connect: () => Promise<HostConnection>): Promise<void> {
  webSocket.on('error', () => webSocket.terminate());
  // Requests that come before the host has answered wait in order.
  const connecting = connect();
  let waiting = 0;
  const send = (message: BridgeMessage): void => {
    if (webSocket.readyState === webSocket.OPEN) webSocket.send(JSON.stringify(message));
  };
  webSocket.on('message', (data: Buffer, binary: boolean) => {
    const request = binary ? null : requestOf(data.toString('utf8'));
    if (request === null || waiting >= mostWaiting) return webSocket.close(1008);
    waiting++;
    void connecting
      .then((connection) => connection.call(request.name, request.input))
      .then((reply) => {
        waiting--;
        send({ id: request.id, reply });
      })
      .catch(() => webSocket.close(1011));
  });
  try {
    const connection = await connecting;
    connection.onEvent((event, data) => send({ event, data }));
    connection.onClose(() => webSocket.close(1001));
    webSocket.once('close', () => connection.close());
    if (webSocket.readyState !== webSocket.OPEN) connection.close();
  } catch {
    webSocket.close(1011);
  }
}

function requestOf(text: string) {
  try {
    const parsed = requestSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** Hashes first, so that lengths do not matter to the constant-time comparison. */
function sameSecret(given: string, wanted: string): boolean {
  const digest = (value: string): Buffer => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
