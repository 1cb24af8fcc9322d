// Where a coordinator keeps its events and vectors, from its options and the environment. Passwords and keys are never
// options, which other accounts of the machine can read.

import type { BlobPlace } from '../coordinator/vectors/blobs.ts';
import { stringOption, UsageError } from './command.ts';
import type { OptionValues } from './command.ts';

export type CoordinatorPlaces = { readonly database: string | null; readonly blobs: BlobPlace | null };

/** @throws UsageError. */
export function coordinatorPlaces(
  options: OptionValues,
  environment: { readonly [name: string]: string | undefined },
): CoordinatorPlaces {
  const database = stringOption(options, 'store') ?? null;
  const blobs = blobsFrom(options, environment);
  if (database !== null) {
    const url = urlOf(database);
    if (url === null || !/^postgres(?:ql)?:$/.test(url.protocol))
      throw new UsageError('--store takes postgres://USER@HOST:PORT/DATABASE; without it SQLite in the home is used.');
    if (url.password !== '')
      throw new UsageError('--store must not hold a password: others can read it. Set PGPASSWORD or PGPASSFILE.');
    if (blobs === null)
      throw new UsageError('With --store, give --blobs: a folder that all replicas see, or s3://BUCKET/PREFIX.');
  }
  return { database, blobs };
}

function blobsFrom(
  options: OptionValues,
  environment: { readonly [name: string]: string | undefined },
): BlobPlace | null {
  const place = stringOption(options, 'blobs');
  const endpoint = stringOption(options, 's3-endpoint');
  const region = stringOption(options, 's3-region');
  if (place?.startsWith('s3://') !== true) {
    if (endpoint !== undefined || region !== undefined)
      throw new UsageError('--s3-endpoint and --s3-region go with --blobs s3://BUCKET/PREFIX.');
    return place === undefined ? null : { kind: 'folder', folder: place };
  }
  const [, bucket, prefix] =
    /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([A-Za-z0-9._/-]*?))?\/?$/.exec(place) ?? [];
  if (bucket === undefined)
    throw new UsageError('--blobs takes s3://BUCKET/PREFIX with plain letters, digits and dashes.');
  if (endpoint === undefined || !/^https?:$/.test(urlOf(endpoint)?.protocol ?? ''))
    throw new UsageError('--blobs s3://… needs --s3-endpoint https://HOST, the address of the object storage.');
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment;
  const { AWS_SESSION_TOKEN: sessionToken } = environment;
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new UsageError('--blobs s3://… needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment.');
  return {
    kind: 's3',
    endpoint,
    region: region ?? 'us-east-1',
    bucket,
    prefix: prefix ?? '',
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
  };
}

const urlOf = (text: string): URL | null => (URL.canParse(text) ? new URL(text) : null);
