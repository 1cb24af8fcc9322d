// What a column seems to hold, cell by cell, for a preview and a proposed mapping. Only counts are kept, no values. A
// guess for people to confirm: training reads by the contract and the mapping alone.

import type { SourceCell } from './row-mapper.ts';

export type CellKind =
  'number' | 'number with decimal comma' | 'date dd.mm.yyyy' | 'date with slashes' | 'date yyyy-mm-dd' | 'text';

export type ColumnSummary = {
  readonly column: string;
  /** The kind of nine tenths of the cells that are not missing; null where all are missing. */
  readonly kind: CellKind | null;
  readonly filled: number;
  readonly missing: number;
  readonly counts: { readonly [Kind in CellKind]?: number };
};

const tests: readonly (readonly [CellKind, RegExp])[] = [
  ['number', /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/],
  ['number with decimal comma', /^[+-]?\d*,\d+$/],
  ['date dd.mm.yyyy', /^\d{1,2}\.\d{1,2}\.\d{4}\b/],
  ['date with slashes', /^\d{1,2}\/\d{1,2}\/\d{4}\b/],
  ['date yyyy-mm-dd', /^\d{4}-\d\d-\d\d(?:[ T]|$)/],
];

export function cellKind(cell: SourceCell): CellKind {
  if (typeof cell === 'number') return 'number';
  const text = cell.trim();
  if (text.length > 40) return 'text';
  return tests.find(([, pattern]) => pattern.test(text))?.[0] ?? 'text';
}

export class ColumnCounter {
  readonly #names: readonly string[];
  readonly #missing: ReadonlySet<string>;
  readonly #counts: { filled: number; missing: number; kinds: Map<CellKind, number> }[];

  constructor(names: readonly string[], missingTokens: readonly string[]) {
    this.#names = names;
    this.#missing = new Set(['', ...missingTokens.map((token) => token.trim())]);
    this.#counts = names.map(() => ({ filled: 0, missing: 0, kinds: new Map() }));
  }

  row(cells: readonly SourceCell[]): void {
    for (const [at, count] of this.#counts.entries()) {
      const cell = cells[at] ?? '';
      if (typeof cell === 'string' && this.#missing.has(cell.trim())) {
        count.missing++;
        continue;
      }
      count.filled++;
      const kind = cellKind(cell);
      count.kinds.set(kind, (count.kinds.get(kind) ?? 0) + 1);
    }
  }

  summaries(): ColumnSummary[] {
    return this.#names.map((column, at) => {
      const { filled, missing, kinds } = this.#counts[at]!;
      return { column: column.trim(), kind: kindOf(kinds, filled), filled, missing, counts: Object.fromEntries(kinds) };
    });
  }
}

/** Whole numbers go with whichever other numbers there are. */
function kindOf(kinds: ReadonlyMap<CellKind, number>, filled: number): CellKind | null {
  if (filled === 0) return null;
  const plain = kinds.get('number') ?? 0;
  const comma = kinds.get('number with decimal comma') ?? 0;
  if (plain + comma >= 0.9 * filled) return comma > 0 ? 'number with decimal comma' : 'number';
  for (const [kind, count] of kinds) if (count >= 0.9 * filled) return kind;
  return 'text';
}
