// One cell of a table → its places in the feature vector, by the contract's public ranges and categories alone: nothing
// is learned from the data. A problem is said by its kind, never by the value. Design 5, "Tasks and models".

import { InputError } from '../errors.ts';
import { writePieces } from './language/sequences.ts';
import type { CategoryFeature, Feature, Label, NumberFeature, Table, TextFeature, WhenMissing } from './types.ts';

export type CellProblem =
  | 'missing'
  | 'not a number'
  | typeof unexpectedComma
  | 'outside the range of the contract'
  | 'in no category of the contract';

const unexpectedComma = 'a decimal comma: say so in the mapping ("decimalComma": true); its own codes take a point';

/** `written`: the places are filled. `dropped`: the contract leaves such rows out. Otherwise the row is refused. */
export type CellOutcome = 'written' | 'dropped' | CellProblem;

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A decimal number, or null: no hexadecimal, no words, nothing infinite. */
export function parseNumber(cell: string): number | null {
  if (!decimal.test(cell)) return null;
  const value = Number(cell);
  return Number.isFinite(value) ? value : null;
}

/** A number in a form that some countries write: 1,5 is one and a half. */
export const withComma = /^[+-]?(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?$/;

/** Why a cell is no number; the value is not said. */
export const notANumber = (cell: string): 'not a number' | typeof unexpectedComma =>
  cell.includes(',') && withComma.test(cell) ? unexpectedComma : 'not a number';

/** As numbers where both sides are numbers ("1" is "1.0"), else as the trimmed text. */
export function sameValue(left: string, right: string): boolean {
  const [a, b] = [parseNumber(left), parseNumber(right)];
  return a !== null && b !== null ? a === b : left === right;
}

/** Looks values up among categories; the first match counts. */
function finder(categories: readonly string[]): (cell: string) => number {
  const keyOf = (value: string): string => {
    const number = parseNumber(value);
    return number === null ? `text ${value}` : `number ${number === 0 ? 0 : number}`;
  };
  const places = new Map<string, number>();
  for (const [place, category] of categories.entries()) {
    const key = keyOf(category.trim());
    if (!places.has(key)) places.set(key, place);
  }
  return (cell) => places.get(keyOf(cell)) ?? -1;
}

export type CellEncoder = {
  readonly column: string;
  readonly width: number;
  /** `cell` is trimmed; null means missing. Writes to out[at … at + width), which may hold anything before. */
  encode(cell: string | null, out: Float32Array, at: number): CellOutcome;
};

/** Token ids of a text: at most `pieces` of at most `tokens`, by the checkpoint's tokenizer. */
export type Tokenise = (text: string, tokens: number, pieces: number) => readonly (readonly number[])[];

/**
 * @param tokenise needed to encode texts, not to know their width
 * @throws InputError `missing-value-unusable`, `range-empty`: the contract contradicts itself.
 */
export function cellEncoder(feature: Feature, tokenise: Tokenise | null = null): CellEncoder {
  switch (feature.kind) {
    case 'number':
      return numberEncoder(feature);
    case 'category':
      return categoryEncoder(feature);
    case 'text':
      return textEncoder(feature, tokenise);
  }
}

function textEncoder(feature: TextFeature, tokenise: Tokenise | null): CellEncoder {
  const { column, tokens, pieces, whenMissing } = feature;
  return {
    column,
    width: tokens * pieces,
    encode(cell, out, at) {
      if (tokenise === null)
        throw new InputError(
          'tokenizer-missing',
          'The study reads texts, and its checkpoint, whose tokenizer turns them into tokens, is not given.',
        );
      if (cell === null) return missingOutcome(whenMissing.rule);
      writePieces(tokenise(cell, tokens, pieces), feature, out, at);
      return 'written';
    },
  };
}

function requireRange({ column, least, most }: { column: string; least: number; most: number }): void {
  if (!(least < most))
    throw new InputError(
      'range-empty',
      `The range of column "${column}" is empty: its least value must be below its most.`,
    );
}

/** [least, most] → [−1, 1]. */
function scaled(value: number, least: number, most: number): number {
  return (2 * (value - least)) / (most - least) - 1;
}

function substituteUnusable(column: string): InputError {
  return new InputError(
    'missing-value-unusable',
    `The value that stands in for a missing "${column}" is not one the contract allows in that column. Choose one inside its range or categories.`,
  );
}

function missingOutcome(rule: 'refuse' | 'drop-row'): CellOutcome {
  return rule === 'refuse' ? 'missing' : 'dropped';
}

const hasSubstitute = (when: WhenMissing): when is Extract<WhenMissing, { value: number | string }> =>
  when.rule === 'value' || when.rule === 'indicator';

function numberEncoder(feature: NumberFeature): CellEncoder {
  const { column, least, most, outside, whenMissing } = feature;
  requireRange(feature);
  let substitute = 0;
  if (hasSubstitute(whenMissing)) {
    const value = parseNumber(String(whenMissing.value));
    if (value === null || value < least || value > most) throw substituteUnusable(column);
    substitute = scaled(value, least, most);
  }
  const indicator = whenMissing.rule === 'indicator';
  const missing = (out: Float32Array, at: number): CellOutcome => {
    if (!hasSubstitute(whenMissing)) return missingOutcome(whenMissing.rule);
    out[at] = substitute;
    if (indicator) out[at + 1] = 1;
    return 'written';
  };
  return {
    column,
    width: indicator ? 2 : 1,
    encode(cell, out, at) {
      if (cell === null) return missing(out, at);
      let value = parseNumber(cell);
      if (value === null) return notANumber(cell);
      if (value < least || value > most) {
        if (outside === 'refuse') return 'outside the range of the contract';
        if (outside === 'missing') return missing(out, at);
        value = value < least ? least : most;
      }
      out[at] = scaled(value, least, most);
      if (indicator) out[at + 1] = 0;
      return 'written';
    },
  };
}

function categoryEncoder(feature: CategoryFeature): CellEncoder {
  const { column, categories, encoding, unknown, whenMissing } = feature;
  const place = finder(categories);
  const first = encoding === 'one-hot-drop-first' ? 1 : 0;
  const otherPlace = categories.length;
  const places = categories.length - first + (unknown === 'other' ? 1 : 0);
  const indicator = whenMissing.rule === 'indicator';
  let substitute = -1;
  if (hasSubstitute(whenMissing)) {
    substitute = place(String(whenMissing.value).trim());
    if (substitute < 0) throw substituteUnusable(column);
  }
  const write = (category: number, wasMissing: boolean, out: Float32Array, at: number): CellOutcome => {
    out.fill(0, at, at + places);
    if (category >= first) out[at + category - first] = 1;
    if (indicator) out[at + places] = wasMissing ? 1 : 0;
    return 'written';
  };
  const missing = (out: Float32Array, at: number): CellOutcome =>
    hasSubstitute(whenMissing) ? write(substitute, true, out, at) : missingOutcome(whenMissing.rule);
  return {
    column,
    width: places + (indicator ? 1 : 0),
    encode(cell, out, at) {
      if (cell === null) return missing(out, at);
      const category = place(cell);
      if (category >= 0) return write(category, false, out, at);
      if (unknown === 'other') return write(otherPlace, false, out, at);
      return unknown === 'missing' ? missing(out, at) : 'in no category of the contract';
    },
  };
}

/** Features of one row after encoding. @throws InputError as cellEncoder. */
export function featureWidth(table: Pick<Table, 'features'>): number {
  return table.features.reduce((width, feature) => width + cellEncoder(feature).width, 0);
}

/** The label of one row: 0 or 1, a class's place, or the scaled number; or what is wrong with the cell. */
export type LabelReader = (cell: string | null) => number | CellProblem;

export function labelReader(label: Label): LabelReader {
  switch (label.kind) {
    case 'none':
      return () => 0;
    case 'classes': {
      const place = finder(label.classes);
      return (cell) => {
        if (cell === null) return 'missing';
        const found = place(cell);
        return found < 0 ? 'in no category of the contract' : found;
      };
    }
    case 'number': {
      const { least, most } = label;
      requireRange(label);
      return (cell) => {
        if (cell === null) return 'missing';
        const value = parseNumber(cell);
        return value === null ? notANumber(cell) : scaled(Math.min(Math.max(value, least), most), least, most);
      };
    }
    case 'binary':
      return binaryReader(label.comparison, String(label.value).trim());
  }
}

function binaryReader(comparison: '>' | '>=' | '<' | '<=' | '=' | '!=', value: string): LabelReader {
  const asBit = (yes: boolean): number => (yes ? 1 : 0);
  if (comparison === '=') return (cell) => (cell === null ? 'missing' : asBit(sameValue(cell, value)));
  if (comparison === '!=') return (cell) => (cell === null ? 'missing' : asBit(!sameValue(cell, value)));
  const limit = parseNumber(value);
  if (limit === null)
    throw new InputError(
      'label-rule-unusable',
      `The label rule compares with ${comparison}, so its value must be a number.`,
    );
  return (cell) => {
    if (cell === null) return 'missing';
    const number = parseNumber(cell);
    if (number === null) return notANumber(cell);
    if (comparison === '>') return asBit(number > limit);
    if (comparison === '>=') return asBit(number >= limit);
    return asBit(comparison === '<' ? number < limit : number <= limit);
  };
}
