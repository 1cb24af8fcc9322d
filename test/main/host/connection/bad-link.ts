// A link as it is in the field: a TCP proxy that throttles, and cuts every connection after so many bytes or after so long
// without one. Bytes are counted, nothing is kept.

import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export type BadLink = {
  readonly port: number;
  readonly passed: () => number;
  readonly cuts: () => number;
  close(): Promise<void>;
};

export async function startBadLink(options: {
  readonly to: number;
  /** Of both directions together. */
  readonly bytesPerSecond?: number;
  /** A connection is cut when it has carried this many bytes; a later one gets as many again. */
  readonly cutAfterBytes?: number;
  readonly cutAfterQuietMs?: number;
}): Promise<BadLink> {
  const { to, bytesPerSecond, cutAfterBytes, cutAfterQuietMs } = options;
  const sockets = new Set<Socket>();
  let passed = 0;
  let cuts = 0;
  /** When the link has carried what was given to it so far. */
  let free = performance.now();

  const server = createServer((caller) => {
    const far = connect(to, '127.0.0.1');
    let carried = 0;
    let quiet: NodeJS.Timeout | null = null;
    const cut = (): void => {
      if (caller.destroyed) return;
      cuts += 1;
      caller.destroy();
      far.destroy();
    };
    const rest = (): void => {
      if (quiet !== null) clearTimeout(quiet);
      quiet = cutAfterQuietMs === undefined ? null : setTimeout(cut, cutAfterQuietMs);
    };
    async function carry(from: Socket, into: Socket): Promise<void> {
      for await (const part of from as AsyncIterable<Buffer>)
        for (let at = 0; at < part.length; at += 16_384) {
          const piece = part.subarray(at, at + 16_384);
          rest();
          if (bytesPerSecond !== undefined) {
            free = Math.max(free, performance.now()) + (1000 * piece.length) / bytesPerSecond;
            const wait = free - performance.now();
            if (wait > 5) await delay(wait);
          }
          carried += piece.length;
          passed += piece.length;
          if (cutAfterBytes !== undefined && carried > cutAfterBytes) return cut();
          if (!into.write(piece))
            await new Promise<void>((resolve) => into.once('drain', resolve).once('close', resolve));
        }
      into.end();
    }
    rest();
    for (const [from, into] of [
      [caller, far],
      [far, caller],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        if (quiet !== null && caller.destroyed) clearTimeout(quiet);
      });
      carry(from, into).catch(() => into.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    passed: () => passed,
    cuts: () => cuts,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
