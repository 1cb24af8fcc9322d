// How far the reading of a table is: rows where the file counts them, bytes of a text file, else rows without an end.

import { stat } from 'node:fs/promises';
import type { SourceCell } from '../../../app/training/row-mapper.ts';
import { diskError } from '../disk/disk-error.ts';
import type { TableSource } from './table-source.ts';

/** `total` null: nobody knows it. */
export type ReadProgress = (done: number, total: number | null) => void;

/** @returns what is called with the cells of each row; does nothing where nobody listens. */
export async function progressOver(
  path: string,
  { format, rowCount, pace }: Pick<TableSource, 'format' | 'rowCount' | 'pace'>,
  onProgress: ReadProgress | undefined,
): Promise<(cells: readonly SourceCell[]) => void> {
  if (onProgress === undefined) return () => {};
  if (pace !== undefined)
    return () => {
      const { done, total } = pace();
      onProgress(Math.min(done, total), total);
    };
  let done = 0;
  if (format !== 'delimited') return () => onProgress(++done, rowCount ?? null);
  const { size } = await stat(path).catch((error: unknown) => {
    throw diskError(error, `The file ${path}`);
  });
  return (cells) => {
    // A separator or line end for each cell; quotes and longer encodings make it a little too few.
    for (const cell of cells) done += String(cell).length + 1;
    onProgress(Math.min(done, size), size);
  };
}
