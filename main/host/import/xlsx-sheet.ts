// The cells of one worksheet from its XML events (ECMA-376 part 1, 18.3). Rows come out trimmed of empty cells at their
// end; rows without any value do not come out.

import type { SourceCell, SourceRow } from '../../../app/training/row-mapper.ts';
import { damaged } from './xlsx-parts.ts';
import type { XmlHandler } from './xlsx-parts.ts';

export type Workbook = {
  readonly strings: readonly string[];
  readonly dateStyles: ReadonlySet<number>;
  readonly epoch1904: boolean;
};

const mostColumns = 16_384;
const mostRows = 1_048_576;

/** @param out where finished rows go */
export function sheetRows(path: string, workbook: Workbook, out: SourceRow[]): XmlHandler {
  let line = 0;
  let cells: SourceCell[] = [];
  let place = -1;
  let kind = '';
  let style = 0;
  let value = '';
  return {
    open(name, attributes, open) {
      if (name === 'row' && open.at(-2) === 'sheetData') {
        line = attributes['r'] === undefined ? line + 1 : rowNumber(attributes['r'], line);
        if (line > mostRows) throw damaged(path);
        cells = [];
        place = -1;
      } else if (name === 'c' && open.at(-2) === 'row') {
        place = attributes['r'] === undefined ? place + 1 : placeOf(attributes['r']);
        if (place >= mostColumns || place < 0) throw damaged(path);
        kind = attributes['t'] ?? 'n';
        style = Number(attributes['s'] ?? 0);
        value = '';
      }
    },
    text(text, open) {
      const name = open.at(-1);
      if (name === 'v' || (name === 't' && open.includes('is') && !open.includes('rPh'))) value += text;
    },
    close(name, open) {
      if (name === 'c' && open.at(-2) === 'row') {
        const cell = cellOf();
        if (cell === '') return;
        while (cells.length < place) cells.push('');
        cells[place] = cell;
      } else if (name === 'row' && open.at(-2) === 'sheetData' && cells.length > 0) {
        out.push({ line, cells });
        cells = [];
      }
    },
  };

  function rowNumber(text: string, before: number): number {
    const number = Number(text);
    if (!Number.isInteger(number) || number <= before) throw damaged(path);
    return number;
  }

  function cellOf(): SourceCell {
    if (kind === 's') {
      if (value === '') return '';
      const shared = workbook.strings[Number(value)];
      if (shared === undefined) throw damaged(path);
      return shared;
    }
    if (kind === 'b') return value === '1' ? 'true' : value === '0' ? 'false' : value;
    if (kind !== 'n' || value.trim() === '') return value;
    const number = Number(value);
    if (!Number.isFinite(number)) throw damaged(path);
    return workbook.dateStyles.has(style) ? dayOf(number, workbook.epoch1904) : number;
  }
}

/** "BC12" → 54. */
function placeOf(reference: string): number {
  const letters = /^([A-Z]{1,3})\d{1,7}$/.exec(reference)?.[1];
  if (letters === undefined) return -1;
  let place = 0;
  for (const letter of letters) place = place * 26 + letter.charCodeAt(0) - 64;
  return place - 1;
}

/** ECMA-376 part 1, 18.17.4: day 60 of the 1900 system is 29 February 1900, which never was. */
function dayOf(serial: number, epoch1904: boolean): SourceCell {
  if (serial < 1 || serial >= 2_958_466) return serial;
  const first = epoch1904 ? Date.UTC(1904, 0, 1) : Date.UTC(1899, 11, serial < 60 ? 31 : 30);
  const time = new Date(Math.round((first + serial * 86_400_000) / 1000) * 1000).toISOString();
  return time.endsWith('T00:00:00.000Z') ? time.slice(0, 10) : time.slice(0, 19);
}
