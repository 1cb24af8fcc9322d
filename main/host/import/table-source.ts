// One shape for every table file that an institution may have: column names, then rows one at a time. What was found out
// about the file (format, encoding, delimiter, sheet) is said, never assumed in silence. Issue 4, item 5.

import { open } from 'node:fs/promises';
import { InputError } from '../../../app/errors.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import type { SourceRow } from '../../../app/training/row-mapper.ts';
import { diskError } from '../disk/disk-error.ts';
import { openDelimited } from './delimited.ts';
import { beginsAsJsonLines, openJsonLines } from './json-lines.ts';
import { openParquet } from './parquet.ts';
import { openXlsx } from './xlsx.ts';

export type TableSource = {
  readonly format: 'delimited' | 'json-lines' | 'xlsx' | 'parquet';
  /** Sentences about what was found out; no content. */
  readonly said: readonly string[];
  /** Column names as they stand, untrimmed. */
  readonly names: readonly string[];
  /** Where the file says how many rows it has. */
  readonly rowCount?: number;
  /** How far the reading is, in bytes, where the format counts them itself. */
  readonly pace?: () => { readonly done: number; readonly total: number };
  /**
   * The rows after the names, once. `wanted`: places whose cells are needed; others may come as ''.
   * @throws InputError `table-…`; UnavailableError where the disk fails.
   */
  rows(wanted: ReadonlySet<number> | null): AsyncIterable<SourceRow>;
  /** Also after an unfinished read. */
  close(): Promise<void>;
};

export type SourceOptions = {
  readonly source: Mapping['source'];
  /** 'first-line', or the names of a file without a header; null: "column 1", "column 2" … */
  readonly header: 'first-line' | readonly string[] | null;
  /** Used where the file does not show one. */
  readonly delimiter: ',' | '\t';
  /** Where these are the file's columns under `delimiter`, no other is looked for. */
  readonly columns: readonly string[];
};

/**
 * Opens a file by what it is, not by how it is called.
 * @throws InputError `table-empty`, `table-binary`, `table-format`, `table-encoding`, `table-malformed`, `table-bomb`,
 * `table-too-large`, `not-a-file`; UnavailableError where the file cannot be read.
 */
export async function openTable(path: string, options: SourceOptions): Promise<TableSource> {
  const start = await firstBytes(path);
  if (start.length === 0)
    throw new InputError('table-empty', `The file ${path} is empty: not even a line of column names.`);
  const begins = (...bytes: readonly number[]): boolean => bytes.every((byte, at) => start[at] === byte);
  if (begins(0x50, 0x4b, 0x03, 0x04)) return openXlsx(path, options);
  if (begins(0x50, 0x41, 0x52, 0x31)) return openParquet(path);
  const foreign = foreigners.find(({ magic }) => begins(...magic));
  if (foreign !== undefined) throw new InputError('table-format', `The file ${path} ${foreign.sentence}`);
  if (beginsAsJsonLines(start)) return openJsonLines(path, start, options);
  return openDelimited(path, start, options);
}

const foreigners: readonly { readonly magic: readonly number[]; readonly sentence: string }[] = [
  {
    magic: [0xd0, 0xcf, 0x11, 0xe0],
    sentence:
      'is an old or password-protected Office file. Save it as a workbook (.xlsx) without password, or as CSV, and try again.',
  },
  { magic: [0x25, 0x50, 0x44, 0x46], sentence: 'is a PDF, not a table. Export the table as CSV and try again.' },
  { magic: [0x1f, 0x8b], sentence: 'is compressed (gzip). Unpack it and try again.' },
  { magic: [0x50, 0x4b, 0x05, 0x06], sentence: 'is an empty ZIP archive, not a table.' },
  { magic: [0x50, 0x41, 0x52, 0x45], sentence: 'is an encrypted Parquet file. Write it without encryption.' },
];

async function firstBytes(path: string): Promise<Uint8Array> {
  try {
    const handle = await open(path);
    try {
      if (!(await handle.stat()).isFile()) throw new InputError('not-a-file', `${path} is not a plain file.`);
      const bytes = new Uint8Array(1 << 16);
      let length = 0;
      for (;;) {
        const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
        length += bytesRead;
        if (bytesRead === 0 || length === bytes.length) return bytes.slice(0, length);
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw diskError(error, `The file ${path}`);
  }
}

/** "column 1", "column 2" … for a file without a header whose columns nobody named. */
export const numberedNames = (count: number): string[] =>
  Array.from({ length: count }, (_, place) => `column ${place + 1}`);
