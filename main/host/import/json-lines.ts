// JSON Lines as a table source, the form in which texts usually come: an object in each line, its names the columns. The
// file is read through once for the names of all lines; a name that a line lacks is an empty cell. Errors carry line numbers
// and names, never content.

import { InputError } from '../../../app/errors.ts';
import type { SourceRow } from '../../../app/training/row-mapper.ts';
import type { SourceOptions, TableSource } from './table-source.ts';
import { decodedText, encodingInWords, findEncoding } from './text-encoding.ts';
import type { FoundEncoding, TextEncoding } from './text-encoding.ts';

/** Names that one file may have: more is no table. */
const mostNames = 10_000;

/** Whether the first bytes are those of an object in JSON: a brace and a quotation mark, with blanks between. */
export function beginsAsJsonLines(start: Uint8Array): boolean {
  const text = Buffer.from(start.subarray(0, 1024)).toString('latin1').replaceAll('\0', '');
  return /^(\u00EF\u00BB\u00BF|\u00FF\u00FE|\u00FE\u00FF)?\s*\{\s*"/.test(text);
}

/** @throws InputError `table-malformed`, `table-encoding`, `table-line-too-long`; UnavailableError. */
export async function openJsonLines(
  path: string,
  start: Uint8Array,
  { source }: Pick<SourceOptions, 'source'>,
): Promise<TableSource> {
  const found: FoundEncoding =
    source.encoding === 'auto'
      ? await findEncoding(path, start)
      : { encoding: source.encoding, because: 'as the mapping says' };
  const places = new Map<string, number>();
  let rowCount = 0;
  for await (const { line, value } of objects(path, found.encoding)) {
    rowCount++;
    for (const name of Object.keys(value)) if (!places.has(name)) places.set(name, places.size);
    if (places.size > mostNames) throw malformed(path, line, `the file has more than ${mostNames} different names`);
  }
  const rows = rowsOf(path, found.encoding, places);
  return {
    format: 'json-lines',
    said: [`JSON Lines in ${encodingInWords(found.encoding)} (${found.because}).`],
    names: [...places.keys()],
    rowCount,
    rows: () => rows,
    async close() {
      await rows.return();
    },
  };
}

async function* rowsOf(
  path: string,
  encoding: TextEncoding,
  places: ReadonlyMap<string, number>,
): AsyncGenerator<SourceRow, void> {
  for await (const { line, value } of objects(path, encoding)) {
    const cells = Array.from({ length: places.size }, () => '');
    for (const [name, cell] of Object.entries(value)) {
      const place = places.get(name);
      if (place === undefined) throw malformed(path, line, 'the file changed while it was read');
      cells[place] = cellOf(cell, () =>
        malformed(path, line, `"${name}" holds a list or an object; give a text or a number`),
      );
    }
    yield { line, cells };
  }
}

function cellOf(value: unknown, refused: () => InputError): string {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'boolean':
      return String(value);
    default:
      if (value === null) return '';
      throw refused();
  }
}

async function* objects(
  path: string,
  encoding: TextEncoding,
): AsyncGenerator<{ readonly line: number; readonly value: { readonly [name: string]: unknown } }, void> {
  let [line, rest] = [0, ''];
  const parsed = (text: string) => {
    line++;
    if (text.trim() === '') return null;
    const value = objectOf(text);
    if (value === null) throw malformed(path, line, 'it is no object in JSON');
    return { line, value };
  };
  for await (const text of decodedText(path, encoding)) {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const one of lines) {
      const row = parsed(one);
      if (row !== null) yield row;
    }
  }
  const last = parsed(rest);
  if (last !== null) yield last;
}

/** null for what is no object; the parser's own message would quote the text. */
function objectOf(text: string): { readonly [name: string]: unknown } | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

const malformed = (path: string, line: number, why: string): InputError =>
  new InputError('table-malformed', `Line ${line} of the file ${path} cannot be read: ${why}. Mend the line.`);
