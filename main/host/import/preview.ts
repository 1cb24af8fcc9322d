// What a table file holds before anybody consents to anything: format, columns, kinds, missing counts, which rows the
// study would refuse, and a proposed mapping. One pass; only the first rows that are asked for are kept as they are.

import { InputError } from '../../../app/errors.ts';
import { ColumnCounter } from '../../../app/training/column-kinds.ts';
import type { ColumnSummary } from '../../../app/training/column-kinds.ts';
import { plainMapping } from '../../../app/training/mapping.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { proposeMapping } from '../../../app/training/mapping-proposal.ts';
import type { MappingProposal } from '../../../app/training/mapping-proposal.ts';
import { TableEncoder } from '../../../app/training/records.ts';
import type { RowProblem } from '../../../app/training/records.ts';
import { RowMapper } from '../../../app/training/row-mapper.ts';
import type { SourceRow } from '../../../app/training/row-mapper.ts';
import type { Table } from '../../../app/training/types.ts';
import { tokeniserIn } from '../checkpoint/task-checkpoint.ts';
import { progressOver } from './read-progress.ts';
import type { ReadProgress } from './read-progress.ts';
import { neededColumns, sourceOptions } from './read-table.ts';
import { openTable } from './table-source.ts';
import type { TableSource } from './table-source.ts';

export type PreviewOptions = {
  readonly path: string;
  /** Null: no contract yet; the file alone is described. */
  readonly table: Table | null;
  readonly mapping: Mapping | null;
  /** Folder of the checkpoint whose tokenizer reads texts; null or absent for tables. */
  readonly checkpoint?: string | null;
  /** Rows to keep as they are, for the steward's own screen. */
  readonly firstRows: number;
  readonly onProgress?: ReadProgress;
};

export type Fit = {
  readonly accepted: number;
  readonly dropped: number;
  readonly refused: number;
  /** The first thousand. */
  readonly problems: readonly RowProblem[];
  readonly columnsDropped: readonly string[];
};

export type Preview = {
  readonly format: TableSource['format'];
  readonly said: readonly string[];
  readonly rows: number;
  readonly columns: readonly ColumnSummary[];
  readonly firstRows: readonly SourceRow[];
  /** How it fits the study with the mapping given; null without a contract, or where `refusal` says why not. */
  readonly fit: Fit | null;
  readonly refusal: { readonly code: string; readonly message: string } | null;
  readonly proposal: MappingProposal | null;
};

/** @throws InputError of openTable; UnavailableError. What the study refuses is in the preview, not thrown. */
export async function previewTable(asked: PreviewOptions): Promise<Preview> {
  const { path, table, mapping, firstRows, checkpoint = null } = asked;
  const tokenise = checkpoint === null ? null : await tokeniserIn(checkpoint);
  const rules = mapping ?? plainMapping;
  const options =
    table === null
      ? {
          source: rules.source,
          header: rules.source.header === false ? null : ('first-line' as const),
          delimiter: ',' as const,
          columns: [],
        }
      : sourceOptions(table, rules, neededColumns(table, true));
  const source = await openTable(path, options);
  try {
    const counter = new ColumnCounter(source.names, table?.missingTokens ?? []);
    const kept: SourceRow[] = [];
    let rows = 0;
    let refusal: Preview['refusal'] = null;
    const attempt = <Value>(work: () => Value): Value | null => {
      if (refusal !== null) return null;
      try {
        return work();
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        refusal = { code: error.code, message: error.message };
        return null;
      }
    };
    const mapper = table === null ? null : attempt(() => new RowMapper(table, rules, source.names));
    const encoder = mapper === null ? null : attempt(() => new TableEncoder(mapper.table, { labels: true, tokenise }));
    const pass = await progressOver(path, source, asked.onProgress);
    for await (const row of source.rows(null)) {
      pass(row.cells);
      rows++;
      if (kept.length < firstRows) kept.push(row);
      counter.row(row.cells);
      if (encoder !== null) attempt(() => encoder.line(mapper!.row(row)));
    }
    const columns = counter.summaries();
    return {
      format: source.format,
      said: source.said,
      rows,
      columns,
      firstRows: kept,
      fit: encoder === null ? null : attempt(() => fitOf(encoder, mapper!)),
      refusal,
      proposal: table === null ? null : withSource(proposeMapping(table, columns), rules),
    };
  } finally {
    await source.close();
  }
}

function fitOf(encoder: TableEncoder, mapper: RowMapper): Fit {
  const { rows, dropped, problems } = encoder.finish();
  return {
    accepted: rows,
    dropped,
    refused: new Set(problems.map(({ line }) => line)).size,
    problems: problems.slice(0, 1000),
    columnsDropped: mapper.dropped,
  };
}

/** How the file is read stays as it was said; only what its columns are is proposed. */
function withSource(proposal: MappingProposal, { source }: Mapping): MappingProposal {
  return { ...proposal, mapping: { ...proposal.mapping, source } };
}
