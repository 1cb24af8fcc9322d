// Parquet as a table source. hyparquet decodes in a worker thread whose heap is bounded, because a page header may promise
// billions of values in a few bytes; footer, row groups and pages are held to limits as well. Flat columns only.

import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { InputError, InvariantError } from '../../../app/errors.ts';
import type { SourceRow } from '../../../app/training/row-mapper.ts';
import { diskError } from '../disk/disk-error.ts';
import type { ParquetAnswer, ParquetRequest } from './parquet-worker.ts';
import type { TableSource } from './table-source.ts';

export type ParquetLimits = { readonly heapMebibytes: number };

const entry = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './parquet-worker.ts' : './parquet-worker.js', import.meta.url),
);

/** @throws InputError `table-malformed`, `table-too-large`, `table-empty`; UnavailableError. */
export async function openParquet(
  path: string,
  { heapMebibytes }: ParquetLimits = { heapMebibytes: 2048 },
): Promise<TableSource> {
  const worker = new Worker(entry, { resourceLimits: { maxOldGenerationSizeMb: heapMebibytes } });
  // An exhausted heap arrives as 'error', now or between two questions; a thread that is gone answers no more.
  let settle: ((answer: ParquetAnswer | Error) => void) | null = null;
  let ended: Error | null = null;
  const end = (error: Error): void => {
    ended ??= error;
    settle?.(ended);
  };
  worker.on('message', (answer: ParquetAnswer) => settle?.(answer));
  worker.on('error', (error: unknown) => end(failed(error, path)));
  worker.on('exit', () =>
    end(new InvariantError('import-stopped', 'The reader of the Parquet file stopped unexpectedly.')),
  );
  const ask = async (request: ParquetRequest): Promise<ParquetAnswer> => {
    const answer = await new Promise<ParquetAnswer | Error>((resolve) => {
      settle = resolve;
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      if (ended === null) worker.postMessage(request);
      else resolve(ended);
    });
    if (answer instanceof Error) throw answer;
    if (answer.kind === 'failed') throw new InputError(answer.code, `The Parquet file ${path} ${answer.sentence}`);
    if (answer.kind === 'disk')
      throw diskError(Object.assign(new Error('disk'), { code: answer.code }), `The file ${path}`);
    return answer;
  };
  const close = async (): Promise<void> => {
    await worker.terminate();
  };
  try {
    const opened = await ask({ kind: 'open', path });
    if (opened.kind !== 'opened') throw new TypeError('the worker answered out of turn');
    const { names, skipped, rows } = opened;
    const nested = skipped === 0 ? '' : ` ${skipped} nested columns are left out.`;
    return {
      format: 'parquet',
      said: [`Parquet, ${rows} rows, ${names.length} columns; rows are counted from 1.${nested}`],
      names,
      rowCount: rows,
      async *rows(wanted): AsyncGenerator<SourceRow> {
        const places = names.map((_, at) => at).filter((at) => wanted === null || wanted.has(at));
        let line = 0;
        for (;;) {
          const batch = await ask({ kind: 'next', places });
          if (batch.kind !== 'rows') return;
          for (const cells of batch.rows) yield { line: ++line, cells };
        }
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function failed(error: unknown, path: string): Error {
  const code = (error as { code?: unknown }).code;
  if (code === 'ERR_WORKER_OUT_OF_MEMORY')
    return new InputError(
      'table-too-large',
      `The Parquet file ${path} needs more memory than is allowed for one row group. Write it with smaller row groups.`,
    );
  return error instanceof Error ? error : new Error(String(error));
}
