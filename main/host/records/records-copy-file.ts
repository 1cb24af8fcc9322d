// The encrypted file in which a home keeps the records of one import: 64 KiB of plain text at a time, each with its own
// AES-256-GCM tag; the nonce counts the pieces and marks the last one, so that none can be moved, left out or cut off
// (the STREAM construction, Hoang, Reyhanitabar, Rogaway and Vizár 2015). The key is of this one file.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { open, rename, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { RefusalError } from '../../../app/errors.ts';
import type { Records } from '../../../app/training/records.ts';
import { syncFolder } from '../disk/atomic-file.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';

/** What a reader needs: where the file lies, its key, and what it must have been made for. */
export type CopyToRead = {
  readonly path: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** Study and digest of the import, which the file's tags cover. */
  readonly binding: string;
};

const pieceBytes = 64 * 1024;
const tagBytes = 16;
const headSchema = z.strictObject({
  rows: z.number().int().min(0),
  width: z.number().int().min(0),
  labels: z.number().int().min(0),
  persons: z.number().int().min(0).nullable(),
});

/** Beside the file while it is written; whoever finds one may remove it. */
export const partSuffix = '.part';

/** Durable and whole when it resolves; a failure or a kill leaves at most the part file. @throws UnavailableError. */
export async function writeRecordsCopy({ path, key, binding }: CopyToRead, records: Records): Promise<void> {
  const part = `${path}${partSuffix}`;
  try {
    const handle = await open(part, 'wx', 0o600);
    try {
      let counter = 0;
      const write = async (piece: Uint8Array, last: boolean): Promise<void> => {
        const cipher = createCipheriv('aes-256-gcm', key, nonceOf(counter++, last));
        cipher.setAAD(Buffer.from(binding));
        await handle.writeFile(Buffer.concat([cipher.update(piece), cipher.final(), cipher.getAuthTag()]));
      };
      const waiting = Buffer.alloc(pieceBytes);
      let length = 0;
      for (const bytes of plainOf(records))
        for (let at = 0; at < bytes.length;) {
          // Only when more comes is a full piece not the last one.
          if (length === pieceBytes) {
            await write(waiting, false);
            length = 0;
          }
          const taken = Math.min(pieceBytes - length, bytes.length - at);
          waiting.set(bytes.subarray(at, at + taken), length);
          length += taken;
          at += taken;
        }
      await write(waiting.subarray(0, length), true);
      waiting.fill(0);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(part, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await unlink(part).catch(() => {});
    throw diskError(error, `The encrypted copy ${path}`);
  }
}

/** @throws RefusalError `records-altered`, `records-gone`; UnavailableError. */
export async function readRecordsCopy(copy: CopyToRead): Promise<Records> {
  const pieces: Uint8Array[] = [];
  await eachPiece(copy, (piece) => pieces.push(piece));
  const plain = Buffer.concat(pieces);
  for (const piece of pieces) piece.fill(0);
  try {
    return recordsOf(plain, copy.path);
  } finally {
    plain.fill(0);
  }
}

/** Reads all of it and keeps nothing. @throws as readRecordsCopy. */
export async function requireWholeCopy(copy: CopyToRead): Promise<void> {
  await eachPiece(copy, (piece) => piece.fill(0));
}

async function eachPiece(copy: CopyToRead, use: (piece: Uint8Array) => void): Promise<void> {
  const { path } = copy;
  let handle: FileHandle;
  let size: number;
  try {
    ({ size } = await stat(path));
    handle = await open(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT')
      throw new RefusalError(
        'records-gone',
        `The encrypted copy ${path} is gone. Give consent again with the records; nothing was sent.`,
      );
    throw diskError(error, `The encrypted copy ${path}`);
  }
  try {
    const sealed = Buffer.alloc(pieceBytes + tagBytes);
    for (let at = 0, counter = 0; ; counter++) {
      const wanted = Math.min(sealed.length, size - at);
      const { bytesRead } = await handle.read(sealed, 0, wanted, at);
      at += bytesRead;
      if (bytesRead < tagBytes || bytesRead !== wanted) throw altered(path);
      use(opened(copy, sealed.subarray(0, bytesRead), nonceOf(counter, at === size)));
      if (at === size) return;
    }
  } catch (error) {
    throw diskError(error, `The encrypted copy ${path}`);
  } finally {
    await handle.close();
  }
}

function opened({ path, key, binding }: CopyToRead, sealed: Uint8Array, nonce: Uint8Array): Uint8Array {
  const cipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(binding));
  cipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  const plain = cipher.update(sealed.subarray(0, sealed.length - tagBytes));
  try {
    cipher.final();
    return plain;
  } catch {
    plain.fill(0);
    throw altered(path);
  }
}

const altered = (path: string): RefusalError =>
  new RefusalError(
    'records-altered',
    `The encrypted copy ${path} was altered, is damaged, or belongs to another import. Give consent again with the records; nothing was sent.`,
  );

/** 96 bits: zeros, the piece's number, whether it is the last. Each key seals one file, so no nonce comes twice. */
function nonceOf(counter: number, last: boolean): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(counter, 7);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

/** Length of the head, head, features, labels, then each person's identifier as JSON on a line. */
function* plainOf({ rows, width, features, labels, persons }: Records): Generator<Uint8Array> {
  const names = persons === null ? null : Buffer.from(persons.map((one) => `${JSON.stringify(one)}\n`).join(''));
  const head = Buffer.from(
    JSON.stringify({ rows, width, labels: labels.length, persons: names === null ? null : names.length }),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  yield length;
  yield head;
  yield bytesOf(features);
  yield bytesOf(labels);
  if (names !== null) yield names;
}

const bytesOf = (numbers: Float32Array): Uint8Array =>
  new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);

function recordsOf(plain: Buffer, path: string): Records {
  const headEnd = 4 + plain.readUInt32LE(0);
  const head = headSchema.parse(JSON.parse(plain.toString('utf8', 4, headEnd)));
  let at = headEnd;
  const take = (length: number): Buffer => {
    if (at + length > plain.length) throw altered(path);
    at += length;
    return plain.subarray(at - length, at);
  };
  const numbers = (count: number): Float32Array => {
    const out = new Float32Array(count);
    bytesOf(out).set(take(4 * count));
    return out;
  };
  const features = numbers(head.rows * head.width);
  const labels = numbers(head.labels);
  const persons =
    head.persons === null
      ? null
      : take(head.persons)
          .toString('utf8')
          .split('\n')
          .slice(0, -1)
          .map((line) => String(JSON.parse(line)));
  return { rows: head.rows, width: head.width, features, labels, persons };
}

export const newCopyKey = (): Uint8Array => new Uint8Array(randomBytes(32));
