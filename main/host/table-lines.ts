// The lines of a table file as cells with their line numbers, one at a time: comma or tab, a byte order mark skipped,
// strict quotes, UTF-8. Errors carry line numbers and never content. Every reader of a table comes through here.

import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TextDecoderStream } from 'node:stream/web';
import { CsvError, parse } from 'csv-parse';
import type { Info } from 'csv-parse';
import { InputError } from '../../app/errors.ts';
import type { TableLine } from '../../app/training/records.ts';
import { diskError } from './disk-error.ts';

/**
 * Hands every line that is not empty to `take`, in file order.
 * @throws InputError `table-malformed`, `table-encoding`; UnavailableError where the file cannot be read; what `take` throws.
 */
export async function eachTableLine(
  path: string,
  format: 'csv' | 'tsv',
  take: (line: TableLine) => void,
): Promise<void> {
  const parser = parse({
    delimiter: format === 'csv' ? ',' : '\t',
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
    await pipeline(
      Readable.fromWeb(text),
      parser,
      async (lines: AsyncIterable<{ readonly record: string[]; readonly info: Info }>) => {
        for await (const { record, info } of lines) take({ line: info.lines, cells: record });
      },
    );
  } catch (error) {
    throw described(error, path);
  }
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
