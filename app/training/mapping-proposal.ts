// A mapping proposed from the likeness of column names and from what columns seem to hold. A proposal only: it is shown,
// edited and saved by a person before anything reads by it. Names are compared by Dice's coefficient on letter pairs.

import type { ColumnSummary } from './column-kinds.ts';
import { columnsUsed, plainMapping } from './mapping.ts';
import type { Mapping } from './mapping.ts';
import type { Table } from './types.ts';

export type ProposedColumn = {
  readonly column: string;
  /** Null: no column of the file is like it. */
  readonly source: string | null;
  /** 1: the same name. */
  readonly likeness: number;
};

export type MappingProposal = { readonly mapping: Mapping; readonly columns: readonly ProposedColumn[] };

const leastLikeness = 0.5;

export function proposeMapping(table: Table, summaries: readonly ColumnSummary[]): MappingProposal {
  const names = summaries.map(({ column }) => column);
  const uses = columnsUsed(table, true);
  const pairs = uses
    .flatMap(({ column }) => names.map((source) => ({ column, source, likeness: likenessOf(column, source) })))
    .filter(({ likeness }) => likeness >= leastLikeness)
    .sort((a, b) => b.likeness - a.likeness);
  const chosen = new Map<string, ProposedColumn>();
  const taken = new Set<string>();
  for (const pair of pairs) {
    if (chosen.has(pair.column) || taken.has(pair.source)) continue;
    chosen.set(pair.column, pair);
    taken.add(pair.source);
  }
  const columns = uses.map(({ column }) => chosen.get(column) ?? { column, source: null, likeness: 0 });
  const numbers = new Set(uses.filter(({ number }) => number).map(({ column }) => chosen.get(column)?.source));
  const rename: Record<string, string> = {};
  for (const { column, source } of columns) if (source !== null && source !== column) rename[column] = source;
  return {
    mapping: {
      ...plainMapping,
      rename,
      decimalComma: summaries.some(({ column, kind }) => kind === 'number with decimal comma' && numbers.has(column)),
    },
    columns,
  };
}

/** 1 for the same text; a little less for the same letters; else the share of letter pairs, or of a contained word. */
export function likenessOf(left: string, right: string): number {
  if (left.trim() === right.trim()) return 1;
  const [a, b] = [wordsOf(left), wordsOf(right)];
  const [joinedA, joinedB] = [a.join(''), b.join('')];
  if (joinedA === '' || joinedB === '') return 0;
  if (joinedA === joinedB) return 0.99;
  const contained = joinedA.length >= 3 && joinedB.length >= 3 && (a.includes(joinedB) || b.includes(joinedA));
  return Math.max(dice(joinedA, joinedB), contained ? 0.75 : 0);
}

function wordsOf(name: string): string[] {
  return name
    .replaceAll('ß', 'ss')
    .normalize('NFD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/(\p{Ll})(\p{Lu})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

function dice(left: string, right: string): number {
  const pairsOf = (text: string): Map<string, number> => {
    const pairs = new Map<string, number>();
    for (let at = 0; at + 1 < text.length; at++) {
      const pair = text.slice(at, at + 2);
      pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
    }
    return pairs;
  };
  const [a, b] = [pairsOf(left), pairsOf(right)];
  let shared = 0;
  for (const [pair, count] of a) shared += Math.min(count, b.get(pair) ?? 0);
  const total = left.length + right.length - 2;
  return total <= 0 ? 0 : (2 * shared) / total;
}
