// CSV and its relatives as a table source: encoding and delimiter found and said, csv-parse for the cells, quotes strict.
// Errors carry line numbers and never content; a line or a quoted cell may hold 8 Mi characters at most.

import { pipeline, Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import type { Info } from 'csv-parse';
import { ConsilienceError, InputError } from '../../../app/errors.ts';
import type { SourceRow } from '../../../app/training/row-mapper.ts';
import { diskError } from '../disk/disk-error.ts';
import { delimiterNames, findDelimiter } from './delimiter.ts';
import type { Delimiter } from './delimiter.ts';
import { numberedNames } from './table-source.ts';
import type { SourceOptions, TableSource } from './table-source.ts';
import { decodedText, encodingInWords, findEncoding, lineTooLong, longestLine } from './text-encoding.ts';
import type { FoundEncoding, TextEncoding } from './text-encoding.ts';

/** @param start first bytes of the file: 64 KiB, or all of it. */
export async function openDelimited(path: string, start: Uint8Array, options: SourceOptions): Promise<TableSource> {
  const { source, header } = options;
  const found: FoundEncoding =
    source.encoding === 'auto'
      ? await findEncoding(path, start)
      : { encoding: source.encoding, because: 'as the mapping says' };
  const chosen =
    source.delimiter === 'auto'
      ? findDelimiter(
          await sampleOf(path, found.encoding),
          start.length < 1 << 16,
          options.delimiter,
          header === 'first-line' ? options.columns : [],
        )
      : { delimiter: source.delimiter, because: 'as the mapping says' };
  const lines = csvLines(path, found.encoding, chosen.delimiter);
  const first = await lines.next();
  if (first.done === true) {
    const what = header === 'first-line' ? 'not even a line of column names' : 'not even one row';
    throw new InputError('table-empty', `The file ${path} is empty: ${what}.`);
  }
  const names =
    header === 'first-line' ? first.value.cells.map(String) : (header ?? numberedNames(first.value.cells.length));
  return {
    format: 'delimited',
    said: [
      `Text in ${encodingInWords(found.encoding)} (${found.because}), cells separated by ${delimiterNames[chosen.delimiter]} (${chosen.because}).`,
    ],
    names,
    async *rows() {
      if (header !== 'first-line') yield first.value;
      yield* lines;
    },
    async close() {
      await lines.return();
    },
  };
}

async function sampleOf(path: string, encoding: TextEncoding): Promise<string> {
  for await (const text of decodedText(path, encoding)) return text;
  return '';
}

type ParsedLine = { readonly record: string[]; readonly info: Info };

async function* csvLines(path: string, encoding: TextEncoding, delimiter: Delimiter): AsyncGenerator<SourceRow, void> {
  const parser = parse({
    delimiter,
    record_delimiter: ['\r\n', '\n', '\r'],
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: longestLine,
  });
  // Both ends tell the parser what failed; the loop below throws it.
  pipeline(Readable.from(decodedText(path, encoding)), parser, () => {});
  try {
    for await (const { record, info } of parser as AsyncIterable<ParsedLine>) yield { line: info.lines, cells: record };
  } catch (error) {
    throw described(error, path);
  } finally {
    parser.destroy();
  }
}

/** csv-parse's own messages may quote cells, so only its code and line number are used. */
function described(error: unknown, path: string): Error {
  if (error instanceof ConsilienceError) return error;
  if (!(error instanceof CsvError)) return diskError(error, `The file ${path}`);
  const line = (error as { lines?: unknown }).lines;
  if (error.code === 'CSV_MAX_RECORD_SIZE') return lineTooLong(path, typeof line === 'number' ? line : 1);
  const where = typeof line === 'number' ? ` near line ${line}` : '';
  const why = error.code.includes('QUOTE') ? 'its quotes do not match' : 'it cannot be split into cells';
  return new InputError('table-malformed', `The file ${path} cannot be read${where}: ${why}. Mend the line.`);
}
