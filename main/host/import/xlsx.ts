// XLSX as a table source (ECMA-376 part 1, SpreadsheetML): one worksheet, row by row; shared strings are held, nothing
// else grows with the sheet. Numbers stay numbers, cells with a date's format become ISO days, formulas their last value.

import { InputError } from '../../../app/errors.ts';
import type { SourceRow } from '../../../app/training/row-mapper.ts';
import { numberedNames } from './table-source.ts';
import type { SourceOptions, TableSource } from './table-source.ts';
import { bomb, damaged, openPackage, tooLarge } from './xlsx-parts.ts';
import type { XlsxPackage } from './xlsx-parts.ts';
import { sheetRows } from './xlsx-sheet.ts';
import type { Workbook } from './xlsx-sheet.ts';

const mostSmallPart = 1 << 24;
const mostStringBytes = 1 << 28;
const mostStringCharacters = 1 << 26;
const mostStrings = 1 << 22;
const mostSheetBytes = 2 ** 31;

/** @throws InputError `table-malformed`, `table-bomb`, `table-too-large`, `table-empty`, `sheet-missing`. */
export async function openXlsx(path: string, { source, header }: SourceOptions): Promise<TableSource> {
  const parts = await openPackage(path);
  try {
    if (!parts.has('xl/workbook.xml'))
      throw new InputError('table-format', `The file ${path} is a ZIP archive, but no workbook. Unpack it first.`);
    const targets = await relations(parts);
    const { sheets, epoch1904 } = await workbookOf(parts);
    const sheet = source.sheet === null ? sheets[0] : sheets.find(({ name }) => name === source.sheet);
    if (sheet === undefined)
      throw new InputError(
        'sheet-missing',
        source.sheet === null
          ? `The workbook ${path} has no worksheet.`
          : `The workbook ${path} has no worksheet "${source.sheet}". Mend the mapping's "sheet".`,
      );
    const part = targets.get(sheet.relation);
    if (part === undefined) throw damaged(path);
    const workbook: Workbook = {
      strings: await sharedStrings(parts, targets),
      dateStyles: await dateStyles(parts, targets),
      epoch1904,
    };
    const gathered: SourceRow[] = [];
    const rows = sheetRows(path, workbook, gathered);
    let bytes = 0;
    async function* read(): AsyncGenerator<SourceRow, void> {
      for await (const _ of parts.read(part!, rows, mostSheetBytes, (count) => (bytes = count))) {
        yield* gathered;
        gathered.length = 0;
      }
    }
    const lines = read();
    const first = await lines.next();
    if (first.done === true)
      throw new InputError('table-empty', `The worksheet "${sheet.name}" of ${path} is empty: not even column names.`);
    const names =
      header === 'first-line' ? first.value.cells.map(String) : (header ?? numberedNames(first.value.cells.length));
    const others = sheets.length === 1 ? '' : ` of ${sheets.length}`;
    return {
      format: 'xlsx',
      said: [`Workbook, sheet "${sheet.name}"${others}${source.sheet === null ? ' (the first)' : ''}.`],
      names,
      pace: () => ({ done: bytes, total: parts.sizeOf(part) }),
      async *rows() {
        if (header !== 'first-line') yield padded(first.value, names.length);
        for await (const row of lines) yield padded(row, names.length);
      },
      async close() {
        await lines.return();
        parts.close();
      },
    };
  } catch (error) {
    parts.close();
    throw error;
  }
}

/** Empty cells at a row's end are not written into the file. */
function padded({ line, cells }: SourceRow, count: number): SourceRow {
  if (cells.length >= count) return { line, cells };
  return { line, cells: [...cells, ...Array.from({ length: count - cells.length }, () => '')] };
}

async function finish(reading: AsyncGenerator<void, void>): Promise<void> {
  for await (const _ of reading);
}

/** Relation id, and relation type, → part. */
async function relations(parts: XlsxPackage): Promise<ReadonlyMap<string, string>> {
  const targets = new Map<string, string>();
  const handler = {
    open(name: string, attributes: { readonly [name: string]: string }): void {
      const { Id: id, Type: type, Target: target } = attributes as { Id?: string; Type?: string; Target?: string };
      if (name !== 'Relationship' || id === undefined || target === undefined) return;
      const part = target.startsWith('/') ? target.slice(1) : `xl/${target.replace(/^\.\//, '')}`;
      targets.set(id, part);
      if (type !== undefined) targets.set(type.slice(type.lastIndexOf('/') + 1), part);
    },
  };
  await finish(parts.read('xl/_rels/workbook.xml.rels', handler, mostSmallPart));
  return targets;
}

type Sheet = { readonly name: string; readonly relation: string };

async function workbookOf(parts: XlsxPackage): Promise<{ sheets: readonly Sheet[]; epoch1904: boolean }> {
  const sheets: Sheet[] = [];
  let epoch1904 = false;
  const handler = {
    open(name: string, attributes: { readonly [name: string]: string }): void {
      if (name === 'workbookPr') epoch1904 = /^(?:1|true|on)$/.test(attributes['date1904'] ?? '');
      if (name !== 'sheet') return;
      const relation = Object.entries(attributes).find(([key]) => key.endsWith(':id'))?.[1];
      if (relation !== undefined) sheets.push({ name: attributes['name'] ?? '', relation });
    },
  };
  await finish(parts.read('xl/workbook.xml', handler, mostSmallPart));
  return { sheets, epoch1904 };
}

async function sharedStrings(parts: XlsxPackage, targets: ReadonlyMap<string, string>): Promise<readonly string[]> {
  const strings: string[] = [];
  const part = targets.get('sharedStrings');
  if (part === undefined || !parts.has(part)) return strings;
  let current = '';
  let characters = 0;
  const handler = {
    open(name: string): void {
      if (name === 'si') current = '';
    },
    text(text: string, path: readonly string[]): void {
      // Phonetic guides (rPh) are no part of the cell's text.
      if (path.at(-1) === 't' && !path.includes('rPh')) current += text;
    },
    close(name: string): void {
      if (name !== 'si') return;
      characters += current.length;
      if (strings.length >= mostStrings || characters > mostStringCharacters) throw tooLarge(parts.path);
      strings.push(current);
    },
  };
  await finish(parts.read(part, handler, mostStringBytes));
  return strings;
}

/** Places in cellXfs whose number format shows a day. */
async function dateStyles(parts: XlsxPackage, targets: ReadonlyMap<string, string>): Promise<ReadonlySet<number>> {
  const dates = new Set<number>();
  const part = targets.get('styles');
  if (part === undefined || !parts.has(part)) return dates;
  const custom = new Set<number>();
  let styles = 0;
  const handler = {
    open(name: string, attributes: { readonly [name: string]: string }, path: readonly string[]): void {
      const format = Number(attributes['numFmtId']);
      if (name === 'numFmt' && showsDay(attributes['formatCode'] ?? '')) custom.add(format);
      if (name !== 'xf' || path.at(-2) !== 'cellXfs') return;
      if ((format >= 14 && format <= 17) || format === 22 || custom.has(format)) dates.add(styles);
      if (++styles > 1 << 16) throw bomb(parts.path);
    },
  };
  await finish(parts.read(part, handler, mostSmallPart));
  return dates;
}

/** A letter of day or year outside quotes, escapes and brackets; ECMA-376 part 1, 18.8.31. */
function showsDay(code: string): boolean {
  return /[dy]/i.test(code.replaceAll(/"[^"]*"|\\.|\[[^\]]*\]|_./g, ''));
}
