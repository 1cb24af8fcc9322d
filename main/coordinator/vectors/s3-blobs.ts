// Blobs in S3-compatible storage, addressed by path (endpoint/bucket/prefix/name), signed by aws4fetch. A PUT that was
// answered is durable there; listing and deleting go page by page.

import { AwsClient } from 'aws4fetch';
import { RefusalError, UnavailableError } from '../../../app/errors.ts';
import type { Blobs } from './blobs.ts';

export type S3Place = {
  readonly kind: 's3';
  /** https://host[:port], without the bucket. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** Before every name; "" for none. */
  readonly prefix: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
};

const retries = 4;
const firstRetryMs = 100;
const requestMs = 60_000;

export async function s3Blobs(place: S3Place): Promise<Blobs> {
  const { endpoint, region, bucket, prefix, accessKeyId, secretAccessKey, sessionToken } = place;
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    service: 's3',
    region,
    retries,
    initRetryMs: firstRetryMs,
  });
  const base = `${endpoint.replace(/\/$/, '')}/${bucket}`;
  const full = (name: string): string => (prefix === '' ? name : `${prefix}/${name}`);

  async function ask(method: string, url: string, body: Uint8Array | null = null): Promise<Response> {
    let response: Response;
    try {
      response = await client.fetch(url, {
        method,
        signal: AbortSignal.timeout(requestMs),
        ...(body === null ? {} : { body: new Uint8Array(body) }),
      });
    } catch (error) {
      throw new UnavailableError('storage-unreachable', 'The coordinator’s object storage cannot be reached now.', {
        cause: error,
      });
    }
    if (response.ok || (response.status === 404 && method !== 'PUT')) return response;
    await response.arrayBuffer();
    if (response.status === 401 || response.status === 403 || response.status === 404)
      throw new RefusalError(
        'storage-refused',
        `The object storage refused the coordinator’s request (HTTP status ${response.status}). Check its bucket, keys and rights.`,
      );
    throw new UnavailableError(
      'storage-unreachable',
      `The coordinator’s object storage failed (HTTP status ${response.status}).`,
    );
  }

  /** Names below `folder`, without the prefix, page by page. */
  async function* list(folder: string): AsyncGenerator<readonly string[]> {
    for (let token: string | null = null; ;) {
      const query = new URLSearchParams({ 'list-type': '2', prefix: full(folder === '' ? '' : `${folder}/`) });
      if (token !== null) query.set('continuation-token', token);
      const response = await ask('GET', `${base}?${query.toString()}`);
      const text = await response.text();
      if (!response.ok) throw new RefusalError('storage-refused', 'There is no such bucket in the object storage.');
      const skip = full('').length;
      yield elements(text, 'Key').map((key) => key.slice(skip));
      token = elements(text, 'NextContinuationToken')[0] ?? null;
      if (token === null) return;
    }
  }

  // A wrong bucket or key is said at the start, not in the middle of a round.
  await list('check').next();
  return {
    put: async (name, bytes) => void (await (await ask('PUT', `${base}/${full(name)}`, bytes)).arrayBuffer()),
    async get(name) {
      const response = await ask('GET', `${base}/${full(name)}`);
      const bytes = new Uint8Array(await response.arrayBuffer());
      return response.ok ? bytes : null;
    },
    async removeAll(folder) {
      for await (const names of list(folder))
        for (const name of names) await (await ask('DELETE', `${base}/${full(name)}`)).arrayBuffer();
    },
    async names(folder) {
      const found = new Set<string>();
      for await (const names of list(folder))
        for (const name of names) found.add(name.slice(folder.length + 1).split('/')[0]!);
      return [...found];
    },
  };
}

/** Texts of an element in a listing, whose names hold nothing that XML would write otherwise. */
function elements(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map((match) =>
    match[1]!.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&'),
  );
}
