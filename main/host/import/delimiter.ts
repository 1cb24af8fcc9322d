// Which character separates the cells of a text table, from its first lines: the one that gives every line as many cells
// as the first. Pure; quotes are honoured as RFC 4180 has them.

export type Delimiter = ',' | ';' | '\t' | '|';
export const delimiters: readonly Delimiter[] = [';', '\t', ',', '|'];

export const delimiterNames: { readonly [Name in Delimiter]: string } = {
  ',': 'comma',
  ';': 'semicolon',
  '\t': 'tab',
  '|': 'vertical bar',
};

/**
 * @param sample first text of the file; its last line may be cut
 * @param usual taken where it finds all of `columns` in the first line, or where nothing separates the lines
 */
export function findDelimiter(
  sample: string,
  whole: boolean,
  usual: Delimiter,
  columns: readonly string[],
): { readonly delimiter: Delimiter; readonly because: string } {
  const lines = logicalLines(sample, whole).slice(0, 50);
  const first = lines[0] ?? '';
  const names = new Set(cellsOf(first, usual));
  if (columns.length > 0 && columns.every((column) => names.has(column)))
    return { delimiter: usual, because: 'the study’s columns stand in the first line' };
  let best: { readonly delimiter: Delimiter; readonly score: number } | null = null;
  for (const delimiter of delimiters) {
    const count = cellsOf(first, delimiter).length;
    if (count < 2) continue;
    const same = lines.filter((line) => cellsOf(line, delimiter).length === count).length / lines.length;
    // Agreement first; the number of cells only tells apart what agrees equally well.
    const score = same + Math.min(count, 1000) / 1e6;
    if (best === null || score > best.score) best = { delimiter, score };
  }
  return best === null
    ? { delimiter: usual, because: 'nothing else separates its lines' }
    : { delimiter: best.delimiter, because: 'it gives its lines the same number of cells' };
}

function logicalLines(text: string, whole: boolean): string[] {
  const lines: string[] = [];
  let from = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (letter === '"') quoted = !quoted;
    else if (!quoted && (letter === '\n' || letter === '\r')) {
      if (at > from) lines.push(text.slice(from, at));
      from = at + 1;
    }
  }
  if ((whole || lines.length === 0) && from < text.length) lines.push(text.slice(from));
  return lines;
}

function cellsOf(line: string, delimiter: Delimiter): string[] {
  const cells: string[] = [];
  let from = 0;
  let quoted = false;
  const cell = (end: number): string => {
    const text = line.slice(from, end).trim();
    return text.startsWith('"') && text.endsWith('"') && text.length > 1
      ? text.slice(1, -1).replaceAll('""', '"').trim()
      : text;
  };
  for (let at = 0; at < line.length; at++) {
    if (line[at] === '"') quoted = !quoted;
    else if (!quoted && line[at] === delimiter) {
      cells.push(cell(at));
      from = at + 1;
    }
  }
  cells.push(cell(line.length));
  return cells;
}
