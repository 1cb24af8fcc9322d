// The bridge over one local socket that only the account's owner may open: a Unix socket of mode 0600, or a named pipe.
// One JSON text a line in each direction; the first line says who sits at the window. Design 2, "Processes".

import { createHash } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { RefusalError, UnavailableError } from '../../../app/errors.ts';
import { mostRequestLength, requestSchema, roles } from '../../../app/bridge.ts';
import type { BridgeMessage, EventName, Reply, Session } from '../../../app/bridge.ts';

/** One window's end of the host, whether in this process or across the socket. */
export type HostConnection = {
  call(name: string, input: unknown): Promise<Reply<unknown>>;
  onEvent(listener: (event: EventName, data: unknown) => void): void;
  /** Runs when the host is gone. */
  onClose(listener: () => void): void;
  close(): void;
};

export type Connect = (session: Session) => HostConnection;

const helloSchema = z.strictObject({
  hello: z.strictObject({ id: z.string().min(1).max(200), role: z.enum(roles), signIn: z.string().min(1).max(100) }),
});

/** Where the host of a home listens. Unix sockets have short paths, so a long home gets one below the temporary folder. */
export function socketPath(home: string): string {
  const full = resolve(home);
  const short = createHash('sha256').update(full).digest('hex').slice(0, 24);
  if (process.platform === 'win32') return `\\\\.\\pipe\\consilience-${short}`;
  const inside = join(full, 'host.sock');
  return Buffer.byteLength(inside) < 100 ? inside : join(tmpdir(), `consilience-${short}`, 'host.sock');
}

/** @returns a function that stops listening and ends every connection. */
export async function serveSocket(path: string, connect: Connect): Promise<() => Promise<void>> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serveOne(socket, connect);
  });
  const pipe = process.platform === 'win32';
  if (!pipe) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    requireOwnFolder(dirname(path));
    // Left over from a host that was killed: the caller holds the home's lock, so nobody listens there.
    rmSync(path, { force: true });
  }
  const before = process.umask(0o177);
  try {
    await new Promise<void>((done, failed) => {
      server.once('error', failed);
      server.listen(path, () => done());
    });
  } catch (error) {
    throw new UnavailableError('socket-failed', `The host could not listen on ${path}.`, { cause: error });
  } finally {
    process.umask(before);
  }
  if (!pipe) chmodSync(path, 0o600);
  return async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((done) => {
      server.close(() => done());
    });
  };
}

/** In a folder that others may write to, the socket could be another's. */
function requireOwnFolder(folder: string): void {
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0)
    throw new RefusalError(
      'folder-not-own',
      `The folder ${folder} belongs to another account, or others may write to it. Close it: chmod go-w ${folder}`,
    );
}

function serveOne(socket: Socket, connect: Connect): void {
  let connection: HostConnection | null = null;
  const send = (message: BridgeMessage): void => void socket.write(`${JSON.stringify(message)}\n`);
  socket.on('error', () => socket.destroy());
  socket.once('close', () => connection?.close());
  eachLine(socket, mostRequestLength, (line) => {
    const value = parsed(line);
    if (connection === null) {
      const hello = helloSchema.safeParse(value);
      if (!hello.success) return void socket.destroy();
      connection = connect(hello.data.hello);
      connection.onEvent((event, data) => send({ event, data }));
      connection.onClose(() => socket.destroy());
      return;
    }
    const request = requestSchema.safeParse(value);
    if (!request.success) return void socket.destroy();
    const { id, name, input } = request.data;
    void connection.call(name, input).then((reply) => send({ id, reply }));
  });
}

/**
 * Attaches to a host that runs.
 * @throws UnavailableError `no-host` where none listens; RefusalError `folder-not-own` where another account may have put
 * the socket there.
 */
export async function attachToHost(path: string, session: Session): Promise<HostConnection> {
  if (process.platform !== 'win32' && existsSync(path)) requireOwnFolder(dirname(path));
  const socket = createConnection(path);
  try {
    await new Promise<void>((done, failed) => {
      socket.once('connect', done);
      socket.once('error', failed);
    });
  } catch (error) {
    throw new UnavailableError('no-host', `No host listens on ${path}.`, { cause: error });
  }
  let ids = 0;
  const waiting = new Map<number, (reply: Reply<unknown>) => void>();
  const listeners: ((event: EventName, data: unknown) => void)[] = [];
  const gone: Reply<never> = {
    ok: false,
    error: {
      code: 'host-gone',
      message: 'The program behind this window has ended. Start it again; nothing was lost.',
    },
  };
  let closed = false;
  socket.on('error', () => socket.destroy());
  socket.once('close', () => {
    closed = true;
    for (const settle of waiting.values()) settle(gone);
    waiting.clear();
  });
  eachLine(socket, mostReplyLength, (line) => {
    const message = parsed(line) as BridgeMessage;
    if ('event' in message) for (const listener of listeners) listener(message.event, message.data);
    else {
      waiting.get(message.id)?.(message.reply);
      waiting.delete(message.id);
    }
  });
  socket.write(`${JSON.stringify({ hello: session })}\n`);
  return {
    call(name, input) {
      if (closed) return Promise.resolve(gone);
      const id = ++ids;
      return new Promise((settle) => {
        waiting.set(id, settle);
        socket.write(`${JSON.stringify({ id, name, input })}\n`);
      });
    },
    onEvent: (listener) => void listeners.push(listener),
    onClose: (listener) => void socket.once('close', listener),
    close: () => void socket.destroy(),
  };
}

const mostReplyLength = 64 * mostRequestLength;

/** A line longer than `most` characters ends the connection of whoever sends it. */
function eachLine(socket: Socket, most: number, onLine: (line: string) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (piece: string) => {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    if (rest.length > most || lines.some((line) => line.length > most)) return void socket.destroy();
    for (const line of lines) if (!socket.destroyed) onLine(line);
  });
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
