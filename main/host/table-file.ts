// Reads a table file as a stream: bytes → UTF-8 → cells (csv-parse) → app/training/records. Comma or tab by the contract,
// a byte order mark is skipped, quotes are honoured strictly. Errors carry line numbers and never content.

import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { TextDecoderStream } from 'node:stream/web';
import { Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import type { Info } from 'csv-parse';
import { InputError } from '../../app/errors.ts';
import { TableEncoder } from '../../app/training/records.ts';
import type { EncodedTable, EncodeOptions } from '../../app/training/records.ts';
import type { Table } from '../../app/training/types.ts';
import { diskError } from './disk-error.ts';

type ParsedLine = { readonly record: string[]; readonly info: Info };

/**
 * @throws InputError `table-malformed`, `table-encoding`, and those of TableEncoder; UnavailableError where the file
 * cannot be read. Rows that break the contract's rules are in `problems`, not thrown.
 */
export async function readTable(path: string, table: Table, options?: EncodeOptions): Promise<EncodedTable> {
  const encoder = new TableEncoder(table, options);
  const parser = parse({
    delimiter: table.format === 'csv' ? ',' : '\t',
    bom: true,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: 1 << 24,
  });
  try {
    const text = Readable.toWeb(createReadStream(path)).pipeThrough(
      new TextDecoderStream('utf-8', { fatal: true, ignoreBOM: true }),
    );
    await pipeline(Readable.fromWeb(text), parser, async (lines: AsyncIterable<ParsedLine>) => {
      for await (const { record, info } of lines) encoder.line({ line: info.lines, cells: record });
    });
  } catch (error) {
    throw described(error, path);
  }
  return encoder.finish();
}

/** csv-parse's own messages may quote cells, so only its code and line number are used. */
function described(error: unknown, path: string): Error {
  if (error instanceof CsvError) {
    const line = (error as { lines?: unknown }).lines;
    const where = typeof line === 'number' ? ` near line ${line}` : '';
    const why = error.code.includes('QUOTE') ? 'its quotes do not match' : 'it cannot be split into cells';
    return new InputError('table-malformed', `The file ${path} cannot be read${where}: ${why}. Mend the line.`);
  }
  if (error instanceof TypeError && (error as { code?: unknown }).code === 'ERR_ENCODING_INVALID_ENCODED_DATA')
    return new InputError('table-encoding', `The file ${path} is not UTF-8 text. Save it as UTF-8 and try again.`);
  return diskError(error, `The file ${path}`);
}
