// Lines of cells → records in memory: named columns are found, the contract's rules applied, everything else dropped.
// Splitting files into cells is main/host/import/. Problems name line and column, never a value. Design 5.

import { InputError } from '../errors.ts';
import { cellEncoder, labelReader } from './encoder.ts';
import type { CellEncoder, CellProblem, LabelReader, Tokenise } from './encoder.ts';
import { labelColumn } from './types.ts';
import { normalisedPerson } from './person-identifier.ts';
import type { PersonRule, Table } from './types.ts';

/** Records ready for training: row r is features[r·width … (r + 1)·width) with labels[r]. */
export type Records = {
  readonly rows: number;
  readonly width: number;
  readonly features: Float32Array;
  /** 0 or 1, a class's place, or a number scaled to [−1, 1]; empty where labels were not read. */
  readonly labels: Float32Array;
  /** Person of each row, trimmed; null where the contract names no person column. */
  readonly persons: readonly string[] | null;
};

/** What a mapping cannot convert: app/training/row-mapper.ts. */
export type MappingProblem =
  | 'not a number'
  | 'not a date of the mapping’s form'
  | 'after the day of the mapping'
  | 'a point in a number where the mapping says decimal comma';

export type RowProblem = {
  readonly line: number;
  readonly column: string;
  readonly problem: CellProblem | MappingProblem;
};

export type EncodedTable = Records & {
  /** Rows that the contract's rules refuse. They are in no feature; `requireAccepted` throws for them. */
  readonly problems: readonly RowProblem[];
  /** Rows left out by rule `drop-row`. */
  readonly dropped: number;
};

/** Line numbers count from 1, the header included. `problems` refuse the line before its cells are looked at. */
export type TableLine = {
  readonly line: number;
  readonly cells: readonly string[];
  readonly problems?: readonly RowProblem[];
};

export type EncodeOptions = {
  /** False: the label column may be absent and is not read (prediction). */
  readonly labels: boolean;
  /** For a table of texts. */
  readonly tokenise?: Tokenise | null;
};

/** Feed `line` in file order, then `finish`. Memory: the kept rows. */
export class TableEncoder {
  readonly #table: Table;
  readonly #encoders: readonly CellEncoder[];
  readonly #label: LabelReader | null;
  readonly #missing: ReadonlySet<string>;
  readonly #width: number;
  #columns: Columns | null = null;
  #features: Float32Array;
  #labels: number[] = [];
  #persons: string[] | null;
  #rows = 0;
  #dropped = 0;
  readonly #problems: RowProblem[] = [];

  constructor(table: Table, options: EncodeOptions = { labels: true }) {
    this.#table = table;
    this.#encoders = table.features.map((feature) => cellEncoder(feature, options.tokenise ?? null));
    this.#label = options.labels ? labelReader(table.label) : null;
    this.#missing = new Set(['', ...table.missingTokens.map((token) => token.trim())]);
    this.#width = this.#encoders.reduce((width, encoder) => width + encoder.width, 0);
    this.#features = new Float32Array(64 * this.#width);
    this.#persons = table.personColumn === null ? null : [];
    if (table.columnNames !== null) this.#columns = this.#locate(table.columnNames);
  }

  /** @throws InputError `column-missing`, `column-twice`, `cells-count`. */
  line({ line, cells, problems = [] }: TableLine): void {
    if (this.#columns === null) {
      this.#columns = this.#locate(cells);
      return;
    }
    if (cells.length !== this.#columns.count)
      throw new InputError(
        'cells-count',
        `Line ${line} has ${cells.length} cells where ${this.#columns.count} are expected. Mend the line or check the delimiter.`,
      );
    if (problems.length > 0) this.#problems.push(...problems);
    else this.#row(line, cells, this.#columns);
  }

  /** @throws InputError `table-empty` where not even a header was seen. */
  finish(): EncodedTable {
    if (this.#columns === null)
      throw new InputError('table-empty', 'The file is empty: not even a line of column names.');
    return {
      rows: this.#rows,
      width: this.#width,
      features: this.#features.slice(0, this.#rows * this.#width),
      labels: Float32Array.from(this.#labels),
      persons: this.#persons,
      problems: this.#problems,
      dropped: this.#dropped,
    };
  }

  #locate(names: readonly string[]): Columns {
    const places = new Map<string, number>();
    const twice = new Set<string>();
    for (const [place, name] of names.entries()) {
      if (places.has(name.trim())) twice.add(name.trim());
      places.set(name.trim(), place);
    }
    const find = (name: string): number => {
      const place = places.get(name);
      if (place === undefined)
        throw new InputError(
          'column-missing',
          `The file has no column "${name}", which the study needs. Rename or add it.`,
        );
      if (twice.has(name))
        throw new InputError(
          'column-twice',
          `The file has more than one column "${name}". Keep the one that is meant.`,
        );
      return place;
    };
    return {
      count: names.length,
      features: this.#encoders.map((encoder) => find(encoder.column)),
      label: this.#label === null || labelColumn(this.#table) === null ? -1 : find(labelColumn(this.#table)!),
      person: this.#table.personColumn === null ? -1 : find(this.#table.personColumn),
    };
  }

  #row(line: number, cells: readonly string[], columns: Columns): void {
    const cellAt = (place: number): string | null => {
      const cell = cells[place]!.trim();
      return this.#missing.has(cell) ? null : cell;
    };
    const start = this.#rows * this.#width;
    this.#makeRoom(start + this.#width);
    let at = start;
    let dropped = false;
    let refused = false;
    const refuse = (column: string, problem: CellProblem): void => {
      refused = true;
      this.#problems.push({ line, column, problem });
    };
    for (const [i, encoder] of this.#encoders.entries()) {
      const outcome = encoder.encode(cellAt(columns.features[i]!), this.#features, at);
      at += encoder.width;
      if (outcome === 'dropped') dropped = true;
      else if (outcome !== 'written') refuse(encoder.column, outcome);
    }
    const label = this.#label === null ? 0 : this.#label(columns.label < 0 ? null : cellAt(columns.label));
    if (typeof label === 'string') refuse(labelColumn(this.#table) ?? '', label);
    const person = columns.person < 0 ? '' : cellAt(columns.person);
    if (person === null) refuse(this.#table.personColumn!, 'missing');
    // A row that a rule drops is gone whatever else is wrong with it only if nothing is refused in it.
    if (refused) return;
    if (dropped) {
      this.#dropped++;
      return;
    }
    this.#rows++;
    if (this.#label !== null) this.#labels.push(label as number);
    this.#persons?.push(person!);
  }

  #makeRoom(length: number): void {
    if (length <= this.#features.length) return;
    const larger = new Float32Array(Math.max(length, 2 * this.#features.length));
    larger.set(this.#features);
    this.#features = larger;
  }
}

type Columns = {
  readonly count: number;
  readonly features: readonly number[];
  readonly label: number;
  readonly person: number;
};

export function encodeTable(table: Table, lines: Iterable<TableLine>, options?: EncodeOptions): EncodedTable {
  const encoder = new TableEncoder(table, options);
  for (const line of lines) encoder.line(line);
  return encoder.finish();
}

/** @throws InputError `rows-refused` naming the first lines and columns; `table-empty` where no row is left. */
export function requireAccepted(encoded: EncodedTable): Records {
  const { problems, rows } = encoded;
  if (problems.length > 0) {
    const shown = problems
      .slice(0, 5)
      .map(({ line, column, problem }) => `line ${line}, column "${column}": ${problem}`);
    const more = problems.length > shown.length ? `; and ${problems.length - shown.length} more` : '';
    throw new InputError(
      'rows-refused',
      `The study's rules refuse some rows (${shown.join('; ')}${more}). Mend them in the file.`,
    );
  }
  if (rows === 0) throw new InputError('table-empty', 'The file has no row that the study can use.');
  return encoded;
}

/** The rows that are named, in their order. */
export function selectRows(records: Records, rows: readonly number[]): Records {
  const { width, labels, persons } = records;
  const features = new Float32Array(rows.length * width);
  for (const [to, row] of rows.entries())
    features.set(records.features.subarray(row * width, (row + 1) * width), to * width);
  return {
    rows: rows.length,
    width,
    features,
    labels: labels.length === 0 ? labels : Float32Array.from(rows, (row) => labels[row]!),
    persons: persons === null ? null : rows.map((row) => persons[row]!),
  };
}

/**
 * Rows of each unit. Record and institution: one row each. Person: the rows of one person in file order, cut after
 * rowCap. @throws InputError `persons-missing` where the person unit has no person column.
 */
export function unitRows(
  records: Records,
  unit: 'record' | 'person' | 'institution',
  person: PersonRule | null,
): number[][] {
  if (unit !== 'person') return Array.from({ length: records.rows }, (_, row) => [row]);
  if (records.persons === null || person === null)
    throw new InputError('persons-missing', 'The study protects persons, but no column names the person of a row.');
  const rowsOf = new Map<string, number[]>();
  for (const [row, name] of records.persons.entries()) {
    const who = normalisedPerson(name);
    const rows = rowsOf.get(who);
    if (rows === undefined) rowsOf.set(who, [row]);
    else if (rows.length < person.rowCap) rows.push(row);
  }
  return [...rowsOf.values()];
}

/**
 * The contract bounds how many units an institution brings: batch caps, and with them a part of δ, rest on it.
 * @throws InputError `units-above-agreed`, without the true number.
 */
export function requireAgreedUnits(units: number, nominalUnits: number): void {
  if (units > nominalUnits)
    throw new InputError(
      'units-above-agreed',
      `The file holds more than the ${nominalUnits} units that the study terms name for this institution. Ask the lead to agree on more, or give a file with fewer.`,
    );
}
