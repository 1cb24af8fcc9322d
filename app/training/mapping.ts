// How an institution's own table becomes the contract's: which column is which, units, codes, dates, decimal comma. Chosen
// by the data steward, never by the contract; its hash goes into the ledger (design 1, journey 2). It changes cells, never
// rows: what no rule of it names goes to the contract's encoder as it stands. FROZEN with consilience/mapping/1.

import { z } from 'zod';
import { toHex } from '../encoding/bytes.ts';
import { canonicalBytes } from '../encoding/canonical-json.ts';
import { InputError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { labelColumn } from './types.ts';
import type { Table } from './types.ts';

const column = z
  .string()
  .min(1)
  .max(200)
  .refine((value) => value.isWellFormed() && !/\p{Cc}/u.test(value), { message: 'must not hold control characters' });
const day = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d$/, 'must be a day such as 2026-11-23')
  .refine((value) => daysSinceEpoch(value, 'yyyy-mm-dd') !== null, { message: 'must be a day that exists' });

export const dateFormats = ['dd.mm.yyyy', 'dd/mm/yyyy', 'mm/dd/yyyy', 'yyyy-mm-dd'] as const;
export type DateFormat = (typeof dateFormats)[number];

const dateRule = z.strictObject({
  /** Never guessed: 03/04/2020 has two meanings. Days that a file types as dates are read as such. */
  from: z.enum(dateFormats),
  to: z.discriminatedUnion('kind', [
    /** Completed years at a fixed day: an age. */
    z.strictObject({ kind: z.literal('years'), at: day }),
    /** Days from a fixed day on; negative before it. */
    z.strictObject({ kind: z.literal('days'), since: day }),
    z.strictObject({ kind: z.literal('year') }),
  ]),
});
export type DateRule = z.infer<typeof dateRule>;

/** All keys but `source` are columns of the contract. */
export const mappingSchema = z.strictObject({
  format: z.literal('consilience/mapping/1'),
  /** How the file is read where it does not say so itself. */
  source: z
    .strictObject({
      encoding: z.enum(['auto', 'utf-8', 'windows-1252', 'utf-16le', 'utf-16be']).default('auto'),
      delimiter: z.enum(['auto', ',', ';', '\t', '|']).default('auto'),
      /** Worksheet of an XLSX file; null: the first. */
      sheet: column.nullable().default(null),
      /** Whether the first line names the columns; null: as the contract says. */
      header: z.boolean().nullable().default(null),
    })
    .prefault({}),
  /** Column of the contract → column of the file. Those not named are looked for under the contract's name. */
  rename: z.record(column, column).default({}),
  /** True: in number columns "1,5" is one and a half, and "1.5" is refused because it may be a thousand. */
  decimalComma: z.boolean().default(false),
  /** value · factor + offset is in the contract's unit. */
  units: z.record(column, z.strictObject({ factor: z.number(), offset: z.number().default(0) })).default({}),
  /** Text of a cell, trimmed → text in the contract's terms, final; an empty text means missing. */
  codes: z.record(column, z.record(z.string().max(200), z.string().max(200))).default({}),
  dates: z.record(column, dateRule).default({}),
});
export type Mapping = z.infer<typeof mappingSchema>;

/** Nothing is changed; the file is read as it says itself. */
export const plainMapping: Mapping = mappingSchema.parse({ format: 'consilience/mapping/1' });

/** @throws InputError `mapping-not-json`, `mapping-malformed`: naming the member, never its content. */
export function parseMapping(text: string): Mapping {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    throw new InputError('mapping-not-json', 'The mapping is not JSON text. Write it with "participant preview".');
  }
  const parsed = mappingSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const member = issue.path[0] === undefined ? '' : `, at "${String(issue.path[0]).slice(0, 20)}"`;
  const what = issue.code === 'unrecognized_keys' ? 'it has a member that does not belong there' : issue.message;
  throw new InputError('mapping-malformed', `The mapping cannot be used${member}: ${what}.`);
}

/** SHA-256 of the canonical JSON with every default written out, hex: equal meanings have equal hashes. */
export function mappingHash(cipher: Cipher, mapping: Mapping): string {
  return toHex(cipher.sha256(canonicalBytes(mapping)));
}

export type ColumnUse = { readonly column: string; readonly number: boolean };

/** Columns of the contract that are read, in the encoder's order; `number`: their cells are compared as numbers. */
export function columnsUsed(table: Table, labels: boolean): ColumnUse[] {
  const { label, personColumn } = table;
  const uses = table.features.map(({ column, kind }) => ({ column, number: kind === 'number' }));
  const numeric =
    label.kind === 'number' || (label.kind === 'binary' && Number.isFinite(Number.parseFloat(String(label.value))));
  const learned = labelColumn(table);
  if (labels && learned !== null) uses.push({ column: learned, number: numeric });
  if (personColumn !== null) uses.push({ column: personColumn, number: false });
  const seen = new Map<string, ColumnUse>();
  for (const use of uses) if (!seen.has(use.column) || use.number) seen.set(use.column, use);
  return [...seen.values()];
}

/**
 * @throws InputError `mapping-column-unknown`: a rule for a column that the contract does not read;
 * `mapping-contradiction`: rules that cannot hold together, or a rule for numbers on a column of text.
 */
export function requireMappingFits(mapping: Mapping, table: Table): void {
  const uses = new Map(columnsUsed(table, true).map((use) => [use.column, use]));
  const rules: readonly (readonly [string, readonly string[], boolean])[] = [
    ['rename', Object.keys(mapping.rename), false],
    ['units', Object.keys(mapping.units), true],
    ['codes', Object.keys(mapping.codes), false],
    ['dates', Object.keys(mapping.dates), true],
  ];
  for (const [member, columns, numbers] of rules)
    for (const name of columns) {
      const use = uses.get(name);
      if (use === undefined)
        throw new InputError(
          'mapping-column-unknown',
          `The mapping's "${member}" names the column "${name}", which the study does not read. Take it out or mend its name.`,
        );
      if (numbers && !use.number)
        throw new InputError(
          'mapping-contradiction',
          `The mapping's "${member}" turns the column "${name}" into numbers, but the study reads it as text. Use "codes".`,
        );
    }
  for (const [name, { factor }] of Object.entries(mapping.units)) {
    if (factor === 0)
      throw new InputError('mapping-contradiction', `The mapping's factor of column "${name}" must not be 0.`);
    if (Object.hasOwn(mapping.dates, name))
      throw new InputError('mapping-contradiction', `The mapping has both a date rule and a unit for "${name}".`);
  }
}

const patterns: { readonly [Format in DateFormat]: RegExp } = {
  'dd.mm.yyyy': /^(?<day>\d{1,2})\.(?<month>\d{1,2})\.(?<year>\d{4})/,
  'dd/mm/yyyy': /^(?<day>\d{1,2})\/(?<month>\d{1,2})\/(?<year>\d{4})/,
  'mm/dd/yyyy': /^(?<month>\d{1,2})\/(?<day>\d{1,2})\/(?<year>\d{4})/,
  'yyyy-mm-dd': /^(?<year>\d{4})-(?<month>\d{1,2})-(?<day>\d{1,2})/,
};
const timeOfDay = /^(?:[ T]\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?Z?)?$/;

/** Whole days since 1970-01-01, a time of day cut off; null where the text is no such day. Years from 1000 on. */
export function daysSinceEpoch(text: string, format: DateFormat): number | null {
  const found = patterns[format].exec(text);
  if (found === null || !timeOfDay.test(text.slice(found[0].length))) return null;
  const { year, month, day: dayOfMonth } = found.groups!;
  const [y, m, d] = [Number(year), Number(month), Number(dayOfMonth)];
  const date = new Date(Date.UTC(y, m - 1, d));
  const exists = date.getUTCFullYear() === y && date.getUTCMonth() === m - 1 && date.getUTCDate() === d;
  return y >= 1000 && exists ? date.getTime() / 86_400_000 : null;
}
