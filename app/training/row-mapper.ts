// Rows of a source → rows in the contract's columns, by a mapping; TableEncoder comes next. Columns outside the contract
// are dropped here and named. A cell that the mapping cannot convert refuses its row by kind, never by value.

import { InputError } from '../errors.ts';
import { notANumber, parseNumber, withComma } from './encoder.ts';
import { columnsUsed, daysSinceEpoch, requireMappingFits } from './mapping.ts';
import type { ColumnUse, DateRule, Mapping } from './mapping.ts';
import type { RowProblem, TableLine } from './records.ts';
import type { Table } from './types.ts';

/** A number is one that the file itself types as a number: neither decimal comma nor missing tokens are looked for. */
export type SourceCell = string | number;
export type SourceRow = { readonly line: number; readonly cells: readonly SourceCell[] };

type Place = ColumnUse & { readonly at: number; readonly convert: (cell: SourceCell) => string | Refused };
type Refused = { readonly problem: RowProblem['problem'] };

export class RowMapper {
  /** The contract's table as its encoder reads what `row` hands out. */
  readonly table: Table;
  /** Columns of the source that the contract does not read. */
  readonly dropped: readonly string[];
  /** Places in the source's rows that are read. */
  readonly wanted: ReadonlySet<number>;
  readonly #places: readonly Place[];
  readonly #count: number;

  /**
   * @param names columns of the source, in the order of its cells
   * @throws InputError `column-missing`, `column-twice`, and those of requireMappingFits.
   */
  constructor(table: Table, mapping: Mapping, names: readonly string[], labels = true) {
    requireMappingFits(mapping, table);
    const uses = columnsUsed(table, labels);
    const missing = new Set(['', ...table.missingTokens.map((token) => token.trim())]);
    this.#count = names.length;
    this.#places = uses.map((use) => ({
      ...use,
      at: placeOf(names, sourceName(mapping, use.column), use.column),
      convert: converter(mapping, use, missing),
    }));
    this.wanted = new Set(this.#places.map(({ at }) => at));
    this.dropped = names.filter((_, at) => !this.wanted.has(at)).map((name) => name.trim());
    this.table = { ...table, columnNames: uses.map((use) => use.column) };
  }

  /** @throws InputError `cells-count`. */
  row({ line, cells }: SourceRow): TableLine {
    if (cells.length !== this.#count)
      throw new InputError(
        'cells-count',
        `Line ${line} has ${cells.length} cells where ${this.#count} are expected. Mend the line or check the delimiter.`,
      );
    const out: string[] = [];
    const problems: RowProblem[] = [];
    for (const { at, column, convert } of this.#places) {
      const converted = convert(cells[at]!);
      if (typeof converted === 'string') out.push(converted);
      else {
        out.push('');
        problems.push({ line, column, problem: converted.problem });
      }
    }
    return problems.length === 0 ? { line, cells: out } : { line, cells: out, problems };
  }
}

export function sourceName(mapping: Mapping, column: string): string {
  return Object.hasOwn(mapping.rename, column) ? mapping.rename[column]! : column;
}

function placeOf(names: readonly string[], source: string, column: string): number {
  const wanted = source.trim();
  const at = names.findIndex((name) => name.trim() === wanted);
  const renamed = wanted === column ? '' : ` (the mapping's column for "${column}")`;
  if (at < 0)
    throw new InputError(
      'column-missing',
      `The file has no column "${wanted}"${renamed}, which the study needs. Rename or add it, or name it in a mapping.`,
    );
  if (names.findLastIndex((name) => name.trim() === wanted) !== at)
    throw new InputError(
      'column-twice',
      `The file has more than one column "${wanted}"${renamed}. Keep the one that is meant.`,
    );
  return at;
}

/** Codes first, and final; then what is missing stays missing; then the date; then decimal comma and unit. */
function converter(
  mapping: Mapping,
  { column, number }: ColumnUse,
  missing: ReadonlySet<string>,
): (cell: SourceCell) => string | Refused {
  const own = <Rule>(rules: { readonly [name: string]: Rule }): Rule | undefined =>
    Object.hasOwn(rules, column) ? rules[column] : undefined;
  const codes = new Map(Object.entries(own(mapping.codes) ?? {}).map(([from, to]) => [from.trim(), to]));
  const date = own(mapping.dates);
  const unit = own(mapping.units);
  return (cell) => {
    const text = typeof cell === 'number' ? String(cell) : cell.trim();
    const coded = codes.get(text);
    if (coded !== undefined) return coded;
    if (missing.has(text)) return text;
    if (date !== undefined) return dated(text, date);
    let plain = text;
    if (number && mapping.decimalComma && typeof cell === 'string') {
      if (withComma.test(text)) plain = text.replace(',', '.');
      else if (text.includes('.') && parseNumber(text) !== null) return { problem: pointInNumber };
    }
    if (unit === undefined) return plain;
    const value = parseNumber(plain);
    if (value === null) return { problem: notANumber(plain) };
    // 15 digits: 0.1 · 3 is 0.3, as the steward means it.
    return String(Number((value * unit.factor + unit.offset).toPrecision(15)));
  };
}

const pointInNumber = 'a point in a number where the mapping says decimal comma';

function dated(text: string, { from, to }: DateRule): string | Refused {
  const days = daysSinceEpoch(text, from);
  if (days === null) return { problem: 'not a date of the mapping’s form' };
  if (to.kind === 'days') return String(days - daysSinceEpoch(to.since, 'yyyy-mm-dd')!);
  const date = new Date(days * 86_400_000);
  if (to.kind === 'year') return String(date.getUTCFullYear());
  const at = new Date(daysSinceEpoch(to.at, 'yyyy-mm-dd')! * 86_400_000);
  const before =
    at.getUTCMonth() < date.getUTCMonth() ||
    (at.getUTCMonth() === date.getUTCMonth() && at.getUTCDate() < date.getUTCDate());
  const years = at.getUTCFullYear() - date.getUTCFullYear() - (before ? 1 : 0);
  return years < 0 ? { problem: 'after the day of the mapping' } : String(years);
}
