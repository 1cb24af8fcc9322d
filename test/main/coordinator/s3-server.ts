// A tiny object storage that speaks the part of S3 that the coordinator uses: PUT, GET, DELETE and listing by pages, with
// the signature of every request checked. It keeps everything in memory.

import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AwsV4Signer } from 'aws4fetch';
import type { BlobPlace } from '../../../main/coordinator/vectors/blobs.ts';

export type ObjectStorage = {
  readonly place: BlobPlace & { readonly kind: 's3' };
  readonly objects: ReadonlyMap<string, Buffer>;
  /** Answers the next requests with this status instead. */
  failNext(count: number, status: number): void;
  close(): Promise<void>;
};

const keys = { accessKeyId: 'test-key', secretAccessKey: 'test-secret' };
const namesAtOnce = 3;

export async function startObjectStorage(): Promise<ObjectStorage> {
  const objects = new Map<string, Buffer>();
  let failing = { count: 0, status: 0 };

  async function isSigned(request: IncomingMessage, url: URL): Promise<boolean> {
    const header = (name: string): string => String(request.headers[name] ?? '');
    const signer = new AwsV4Signer({
      ...keys,
      method: request.method!,
      url: url.href,
      headers: { 'x-amz-content-sha256': header('x-amz-content-sha256') },
      service: 's3',
      region: 'us-east-1',
      datetime: header('x-amz-date'),
    });
    return (await signer.sign()).headers.get('authorization') === header('authorization');
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    if (failing.count > 0) {
      failing = { ...failing, count: failing.count - 1 };
      return void response.writeHead(failing.status).end();
    }
    const url = new URL(request.url!, `http://${request.headers.host}`);
    if (!(await isSigned(request, url))) return void response.writeHead(403).end();
    const [, bucket, ...rest] = url.pathname.split('/');
    const name = rest.join('/');
    if (bucket !== 'vectors') return void response.writeHead(404).end();
    if (request.method === 'PUT') objects.set(name, Buffer.concat(parts));
    if (request.method === 'DELETE') objects.delete(name);
    if (request.method !== 'GET') return void response.writeHead(request.method === 'PUT' ? 200 : 204).end();
    if (name !== '') {
      const found = objects.get(name);
      return void response.writeHead(found === undefined ? 404 : 200).end(found);
    }
    const prefix = url.searchParams.get('prefix') ?? '';
    const after = url.searchParams.get('continuation-token') ?? '';
    const all = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = all.slice(0, namesAtOnce);
    const next = all.length > page.length ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
    const found = page.map((key) => `<Contents><Key>${key}</Key></Contents>`).join('');
    response.end(`<?xml version="1.0"?><ListBucketResult>${found}${next}</ListBucketResult>`);
  }

  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    place: {
      kind: 's3',
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      bucket: 'vectors',
      prefix: 'study/one',
      ...keys,
    },
    objects,
    failNext: (count, status) => void (failing = { count, status }),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
