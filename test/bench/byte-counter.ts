// A plain TCP relay that counts what passes each way: the bytes of HTTP as they are on the wire.

import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export type ByteCounter = {
  /** http://127.0.0.1:PORT in front of the address it was made for. */
  readonly address: string;
  counted(): { readonly sent: number; readonly received: number };
  close(): Promise<void>;
};

export async function startByteCounter(to: string): Promise<ByteCounter> {
  const { hostname, port } = new URL(to);
  const sockets = new Set<Socket>();
  const closed = { sent: 0, received: 0 };
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    open.add(upstream);
    upstream.once('close', () => {
      open.delete(upstream);
      closed.sent += upstream.bytesWritten;
      closed.received += upstream.bytesRead;
    });
    for (const [from, into] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.once('close', () => {
        sockets.delete(from);
        into.destroy();
      });
      from.on('error', () => from.destroy());
      from.pipe(into);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counted() {
      const sum = { ...closed };
      for (const upstream of open) {
        sum.sent += upstream.bytesWritten;
        sum.received += upstream.bytesRead;
      }
      return sum;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
