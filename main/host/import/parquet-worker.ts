// The worker thread that decodes Parquet for parquet.ts: one row group in memory at a time, handed over in batches that
// are asked for. What the library says of a bad file may quote it, so only our own sentences cross.

import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { parentPort } from 'node:worker_threads';
import { parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import type { AsyncBuffer, Compressors, FileMetaData } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { SourceCell } from '../../../app/training/row-mapper.ts';
import { systemCode } from '../disk/disk-error.ts';

export type ParquetRequest =
  { readonly kind: 'open'; readonly path: string } | { readonly kind: 'next'; readonly places: readonly number[] };

export type ParquetAnswer =
  | { readonly kind: 'opened'; readonly names: readonly string[]; readonly skipped: number; readonly rows: number }
  | { readonly kind: 'rows'; readonly rows: readonly (readonly SourceCell[])[] }
  | { readonly kind: 'end' }
  | {
      readonly kind: 'failed';
      readonly code: 'table-malformed' | 'table-too-large' | 'table-empty';
      readonly sentence: string;
    }
  | { readonly kind: 'disk'; readonly code: string };

const mostFooter = 1 << 24;
const mostPage = 1 << 28;
const mostColumnChunk = 1 << 29;
/** Cells of one row group, all columns that are read. */
const mostCells = 1 << 25;
const batchRows = 2000;

class Failure extends Error {
  readonly code: 'table-malformed' | 'table-too-large' | 'table-empty';
  constructor(code: Failure['code'], sentence: string) {
    super(sentence);
    this.code = code;
  }
}

const malformed = (): Failure => new Failure('table-malformed', 'is damaged, or not Parquet. Write it again.');
const tooLarge = (what: string): Failure =>
  new Failure('table-too-large', `${what}. Write it with smaller row groups and pages.`);

/** Lengths as the file itself gives them decide what is allocated, so each is looked at first. */
function fileBuffer(handle: FileHandle, byteLength: number): AsyncBuffer {
  return {
    byteLength,
    async slice(start, end = byteLength) {
      const length = end - start;
      if (!(start >= 0 && length >= 0 && end <= byteLength)) throw malformed();
      if (length > mostColumnChunk) throw tooLarge('has a column chunk above 512 MiB');
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length;) {
        const { bytesRead } = await handle.read(bytes, at, length - at, start + at);
        if (bytesRead === 0) throw malformed();
        at += bytesRead;
      }
      return bytes.buffer;
    },
  };
}

const boundedCompressors = Object.fromEntries(
  Object.entries(compressors as { [name: string]: (input: Uint8Array, length: number) => Uint8Array }).map(
    ([name, decompress]) => [
      name,
      (input: Uint8Array, length: number): Uint8Array => {
        if (!(length <= mostPage)) throw tooLarge('has a page above 256 MiB');
        return decompress(input, length);
      },
    ],
  ),
) as Compressors;

type Opened = { readonly file: AsyncBuffer; readonly metadata: FileMetaData; readonly names: readonly string[] };
let opened: Opened | null = null;
let rows: AsyncGenerator<readonly (readonly SourceCell[])[]> | null = null;

async function openFile(path: string): Promise<ParquetAnswer> {
  const handle = await open(path);
  const { size } = await handle.stat();
  const file = fileBuffer(handle, size);
  if (size < 12) throw malformed();
  const footer = new DataView(await file.slice(size - 8, size)).getUint32(0, true);
  if (footer > size - 12) throw malformed();
  if (footer > mostFooter) throw tooLarge('has a footer above 16 MiB');
  const metadata = await parquetMetadataAsync(file, { geoparquet: false });
  const columns = parquetSchema(metadata).children;
  const flat = columns.filter(
    ({ children, element }) => children.length === 0 && element.repetition_type !== 'REPEATED',
  );
  if (flat.length === 0) throw new Failure('table-empty', 'has no column that is not nested.');
  const names = flat.map(({ element }) => element.name);
  opened = { file, metadata, names };
  return { kind: 'opened', names, skipped: columns.length - flat.length, rows: Number(metadata.num_rows) };
}

async function* batches(
  { file, metadata, names }: Opened,
  places: readonly number[],
): AsyncGenerator<readonly (readonly SourceCell[])[]> {
  const columns = places.map((place) => names[place]!);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const count = Number(group.num_rows);
    if (!(count >= 0) || !Number.isSafeInteger(count)) throw malformed();
    if (count * Math.max(1, columns.length) > mostCells) throw tooLarge('has a row group with too many cells');
    const rowEnd = rowStart + count;
    const read = await parquetReadObjects({
      file,
      metadata,
      columns,
      rowStart,
      rowEnd,
      compressors: boundedCompressors,
      parsers: { jsonFromBytes: (bytes: Uint8Array) => new TextDecoder().decode(bytes) },
    });
    if (read.length !== count) throw malformed();
    for (let from = 0; from < count; from += batchRows)
      yield read.slice(from, from + batchRows).map((row) => {
        const cells: SourceCell[] = Array.from({ length: names.length }, () => '');
        for (const [at, place] of places.entries()) cells[place] = cellOf(row[columns[at]!]);
        return cells;
      });
    rowStart = rowEnd;
  }
}

/** Numbers stay numbers; whole numbers beyond 2^53 become text; days and times ISO 8601 in UTC. */
function cellOf(value: unknown): SourceCell {
  switch (typeof value) {
    case 'number':
      // pandas writes a missing number as NaN.
      return Number.isFinite(value) ? value : Number.isNaN(value) ? '' : String(value);
    case 'string':
      return value;
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'undefined':
      return '';
    default:
      if (value === null) return '';
      if (!(value instanceof Date))
        throw new Failure('table-malformed', 'has a column of a type that is no cell. Leave it out.');
      if (Number.isNaN(value.getTime())) throw malformed();
      return value.getTime() % 86_400_000 === 0 ? value.toISOString().slice(0, 10) : value.toISOString();
  }
}

async function answer(request: ParquetRequest): Promise<ParquetAnswer> {
  try {
    if (request.kind === 'open') return await openFile(request.path);
    rows ??= batches(opened!, request.places);
    const next = await rows.next();
    return next.done === true ? { kind: 'end' } : { kind: 'rows', rows: next.value };
  } catch (error) {
    if (error instanceof Failure) return { kind: 'failed', code: error.code, sentence: error.message };
    const code = systemCode(error);
    if (code !== null && /^E[A-Z0-9]+$/.test(code)) return { kind: 'disk', code };
    return { kind: 'failed', code: 'table-malformed', sentence: malformed().message };
  }
}

parentPort!.on('message', (request: ParquetRequest) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  void answer(request).then((reply) => parentPort!.postMessage(reply));
});
