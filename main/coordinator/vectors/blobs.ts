// Where vectors lie: files in a folder, or objects in S3-compatible storage for replicas on several machines. A blob is
// there whole or not at all, and durable before anything says that it is. Design 6, "State".

import { fileBlobs } from './file-blobs.ts';
import { s3Blobs } from './s3-blobs.ts';
import type { S3Place } from './s3-blobs.ts';

export type BlobPlace = { readonly kind: 'folder'; readonly folder: string } | S3Place;

/** Names are words and numbers with slashes between. All throw UnavailableError where the storage fails. */
export type Blobs = {
  /** Durable when it resolves; replaces what was there. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Null where there is no such blob. */
  get(name: string): Promise<Uint8Array | null>;
  /** Everything below `folder`. */
  removeAll(folder: string): Promise<void>;
  /** First parts of the names below `folder`. */
  names(folder: string): Promise<readonly string[]>;
};

/** @throws UnavailableError `disk-full`, `disk-failed`, `storage-unreachable`; RefusalError `storage-refused`. */
export async function openBlobs(place: BlobPlace): Promise<Blobs> {
  return place.kind === 'folder' ? fileBlobs(place.folder) : s3Blobs(place);
}
