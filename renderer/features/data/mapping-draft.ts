// A mapping while a person edits it: one column of the study at a time, never changed in place. What it means, and what
// contradicts itself, is the host's to say (app/training/mapping.ts).

import type { InputOf, OutputOf } from '../../../app/bridge.ts';

export type Mapping = NonNullable<InputOf<'data.preview'>['mapping']>;
export type StudyColumn = OutputOf<'study.review'>['columns'][number];
export type DateRule = Mapping['dates'][string];

export const noMapping: Mapping = {
  format: 'consilience/mapping/1',
  source: { encoding: 'auto', delimiter: 'auto', sheet: null, header: null },
  rename: {},
  decimalComma: false,
  units: {},
  codes: {},
  dates: {},
};

/** Column of the file that a column of the study comes from; null: none has that name. */
export function sourceOf(mapping: Mapping, column: string, names: readonly string[]): string | null {
  const wanted = mapping.rename[column] ?? column;
  return names.includes(wanted) ? wanted : null;
}

export function withSource(mapping: Mapping, column: string, source: string): Mapping {
  const { [column]: _before, ...others } = mapping.rename;
  return { ...mapping, rename: source === column ? others : { ...others, [column]: source } };
}

export type Change = 'none' | 'unit' | 'codes' | 'date';

export function changeOf(mapping: Mapping, column: string): Change {
  if (Object.hasOwn(mapping.units, column)) return 'unit';
  if (Object.hasOwn(mapping.dates, column)) return 'date';
  return Object.hasOwn(mapping.codes, column) ? 'codes' : 'none';
}

/** The column with one kind of change, at its beginning; the others are taken off. */
export function withChange(mapping: Mapping, column: string, change: Change, today: string): Mapping {
  const { [column]: _unit, ...units } = mapping.units;
  const { [column]: _codes, ...codes } = mapping.codes;
  const { [column]: _date, ...dates } = mapping.dates;
  const bare = { ...mapping, units, codes, dates };
  switch (change) {
    case 'none':
      return bare;
    case 'unit':
      return { ...bare, units: { ...units, [column]: { factor: 1, offset: 0 } } };
    case 'codes':
      return { ...bare, codes: { ...codes, [column]: {} } };
    case 'date':
      return {
        ...bare,
        dates: { ...dates, [column]: { from: 'dd.mm.yyyy', to: { kind: 'years', at: today } } },
      };
  }
}

export const withUnit = (mapping: Mapping, column: string, unit: { factor: number; offset: number }): Mapping => ({
  ...mapping,
  units: { ...mapping.units, [column]: unit },
});

export const withDate = (mapping: Mapping, column: string, rule: DateRule): Mapping => ({
  ...mapping,
  dates: { ...mapping.dates, [column]: rule },
});

/** One code a line, "text in the file = the study's code"; nothing behind the sign means missing. */
export function codesText(mapping: Mapping, column: string): string {
  return Object.entries(mapping.codes[column] ?? {})
    .map(([from, to]) => `${from} = ${to}`)
    .join('\n');
}

/** Lines without a sign are left out until they have one. */
export function withCodes(mapping: Mapping, column: string, text: string): Mapping {
  const codes: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const at = line.lastIndexOf('=');
    const from = line.slice(0, Math.max(0, at)).trim();
    if (at >= 0 && from !== '') codes[from] = line.slice(at + 1).trim();
  }
  return { ...mapping, codes: { ...mapping.codes, [column]: codes } };
}

/** Whether the mapping says anything at all; a file with the study's own columns needs none. */
export const isPlain = (mapping: Mapping): boolean => JSON.stringify(mapping) === JSON.stringify(noMapping);
