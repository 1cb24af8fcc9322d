// Any table file → records in memory: source, mapping, the contract's encoder. The one way in which training, consent,
// simulation and preview read records. Design 5, "Tasks and models".

import { plainMapping } from '../../../app/training/mapping.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { TableEncoder } from '../../../app/training/records.ts';
import type { EncodedTable, EncodeOptions } from '../../../app/training/records.ts';
import { RowMapper, sourceName } from '../../../app/training/row-mapper.ts';
import { labelColumn } from '../../../app/training/types.ts';
import type { Table } from '../../../app/training/types.ts';
import { progressOver } from './read-progress.ts';
import type { ReadProgress } from './read-progress.ts';
import { openTable } from './table-source.ts';
import type { SourceOptions } from './table-source.ts';

export type ReadOptions = EncodeOptions & {
  readonly mapping?: Mapping | null;
  readonly onProgress?: ReadProgress | undefined;
};

export type ReadTable = EncodedTable & {
  /** Columns of the file that the study does not read. */
  readonly columnsDropped: readonly string[];
  /** What was found out about the file. */
  readonly said: readonly string[];
};

export function sourceOptions(table: Table, mapping: Mapping, columns: readonly string[]): SourceOptions {
  const { source } = mapping;
  const headed = source.header ?? table.columnNames === null;
  return {
    source,
    header: headed ? 'first-line' : table.columnNames,
    delimiter: table.format === 'csv' ? ',' : '\t',
    columns: columns.map((column) => sourceName(mapping, column)),
  };
}

/**
 * @throws InputError of openTable, of RowMapper and of TableEncoder; UnavailableError where the file cannot be read.
 * Rows that break the contract's rules are in `problems`, not thrown.
 */
export async function readTable(
  path: string,
  table: Table,
  { labels, mapping, onProgress, tokenise = null }: ReadOptions = { labels: true },
): Promise<ReadTable> {
  const rules = mapping ?? plainMapping;
  const needed = neededColumns(table, labels);
  const source = await openTable(path, sourceOptions(table, rules, needed));
  try {
    const mapper = new RowMapper(table, rules, source.names, labels);
    const encoder = new TableEncoder(mapper.table, { labels, tokenise });
    const pass = await progressOver(path, source, onProgress);
    for await (const row of source.rows(mapper.wanted)) {
      pass(row.cells);
      encoder.line(mapper.row(row));
    }
    return { ...encoder.finish(), columnsDropped: mapper.dropped, said: source.said };
  } finally {
    await source.close();
  }
}

export function neededColumns(table: Table, labels: boolean): string[] {
  const names = table.features.map(({ column }) => column);
  const learned = labelColumn(table);
  if (labels && learned !== null) names.push(learned);
  if (table.personColumn !== null) names.push(table.personColumn);
  return names;
}
