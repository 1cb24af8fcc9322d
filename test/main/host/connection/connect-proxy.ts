// An HTTP CONNECT proxy as hospitals have them: it asks for a name and a password and tunnels what it is asked to.

import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';

export type ConnectProxy = {
  readonly address: (userinfo?: string) => string;
  /** Targets of the tunnels that were opened. */
  readonly tunnels: readonly string[];
  close(): Promise<void>;
};

/** @param port where every tunnel ends, whatever host it names: names of the test are not known to any resolver. */
export async function startConnectProxy(name: string, password: string, port: number): Promise<ConnectProxy> {
  const tunnels: string[] = [];
  const expected = `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
  const server = createServer((_, response) => response.writeHead(405).end());
  server.on('connect', (request, socket) => {
    socket.on('error', () => undefined);
    if (request.headers['proxy-authorization'] !== expected)
      return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n');
    tunnels.push(request.url!);
    const far = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      socket.pipe(far).pipe(socket);
    });
    far.on('error', () => socket.destroy());
    far.on('close', () => socket.destroy());
    socket.on('close', () => far.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = (server.address() as AddressInfo).port;
  return {
    address: (userinfo) => `http://${userinfo === undefined ? '' : `${userinfo}@`}127.0.0.1:${bound}`,
    tunnels,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
