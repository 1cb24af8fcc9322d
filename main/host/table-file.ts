// Reads a table file into training's records: the lines of table-lines.ts → app/training/records.

import { TableEncoder } from '../../app/training/records.ts';
import type { EncodedTable, EncodeOptions } from '../../app/training/records.ts';
import type { Table } from '../../app/training/types.ts';
import { eachTableLine } from './table-lines.ts';

/**
 * @throws InputError `table-malformed`, `table-encoding`, and those of TableEncoder; UnavailableError where the file
 * cannot be read. Rows that break the contract's rules are in `problems`, not thrown.
 */
export async function readTable(path: string, table: Table, options?: EncodeOptions): Promise<EncodedTable> {
  const encoder = new TableEncoder(table, options);
  await eachTableLine(path, table.format, (line) => encoder.line(line));
  return encoder.finish();
}
