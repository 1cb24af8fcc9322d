// A proxy that hands on GET requests and shows their headers, as an eavesdropper on the wire would see them.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export async function startRecorder(
  to: string,
  seen: (headers: Headers) => void,
): Promise<{ readonly address: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers))
      if (name.startsWith('consilience-')) headers.set(name, String(value));
    seen(headers);
    void fetch(to + request.url!, { headers }).then(async (reply) => {
      response.writeHead(reply.status).end(Buffer.from(await reply.arrayBuffer()));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
