// XLSX packages for tests, made by hand: a ZIP writer of thirty lines and the few parts that a workbook needs.

import { crc32, deflateRawSync } from 'node:zlib';

export type Part = {
  readonly name: string;
  readonly data: Uint8Array | string;
  /** A lie about the inflated size, for the directory. */
  readonly statedSize?: number;
};

/** PKWARE APPNOTE 4.3: local headers, then the central directory, then its end. */
export function zipOf(parts: readonly Part[]): Uint8Array {
  const out: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, statedSize } of parts) {
    const bytes = Buffer.from(data as string);
    const packed = deflateRawSync(bytes);
    const title = Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(statedSize ?? bytes.length, 18);
    common.writeUInt16LE(title.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, title, packed]);
    const central = Buffer.alloc(46);
    central.write('PK\x01\x02', 0, 'latin1');
    central.writeUInt16LE(20, 4);
    common.copy(central, 6);
    central.writeUInt32LE(offset, 42);
    directory.push(Buffer.concat([central, title]));
    out.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...out, central, end]);
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('\r', '&#13;');

export type WorkbookCell = string | number | boolean | null | { readonly date: number };

export type WorkbookOptions = {
  readonly inline?: boolean;
  readonly epoch1904?: boolean;
  /** Further sheets, by name; the first is "Data". */
  readonly more?: { readonly [name: string]: readonly (readonly WorkbookCell[])[] };
  readonly parts?: readonly Part[];
};

/** Parts of a workbook as Excel lays them out; cells without a value are not written. */
export function workbookParts(rows: readonly (readonly WorkbookCell[])[], options: WorkbookOptions = {}): Part[] {
  const shared: string[] = [];
  const sheets = Object.entries({ Data: rows, ...options.more });
  const sheetXml = (cells: readonly (readonly WorkbookCell[])[]): string =>
    `<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>${cells
      .map((row, at) => `<row r="${at + 1}">${row.map((cell, place) => cellXml(cell, at, place)).join('')}</row>`)
      .join('')}</sheetData></worksheet>`;
  const cellXml = (cell: WorkbookCell, row: number, place: number): string => {
    const reference = `r="${letters(place)}${row + 1}"`;
    if (cell === null) return '';
    if (typeof cell === 'number') return `<c ${reference}><v>${cell}</v></c>`;
    if (typeof cell === 'boolean') return `<c ${reference} t="b"><v>${cell ? 1 : 0}</v></c>`;
    if (typeof cell === 'object') return `<c ${reference} s="1"><v>${cell.date}</v></c>`;
    if (options.inline === true)
      return `<c ${reference} t="inlineStr"><is><t xml:space="preserve">${escaped(cell)}</t></is></c>`;
    shared.push(cell);
    return `<c ${reference} t="s"><v>${shared.length - 1}</v></c>`;
  };
  const relation = (id: string, type: string, target: string): string =>
    `<Relationship Id="${id}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/${type}" Target="${target}"/>`;
  const sheetParts = sheets.map(([, cells], at) => ({
    name: `xl/worksheets/sheet${at + 1}.xml`,
    data: sheetXml(cells),
  }));
  const parts: Part[] = [
    {
      name: 'xl/workbook.xml',
      data: `<workbook xmlns:r="x"><workbookPr date1904="${options.epoch1904 === true ? 1 : 0}"/><sheets>${sheets
        .map(([name], at) => `<sheet name="${escaped(name)}" sheetId="${at + 1}" r:id="rId${at + 1}"/>`)
        .join('')}</sheets></workbook>`,
    },
    {
      name: 'xl/_rels/workbook.xml.rels',
      data: `<Relationships>${sheets.map((_, at) => relation(`rId${at + 1}`, 'worksheet', `worksheets/sheet${at + 1}.xml`)).join('')}${relation('rId98', 'sharedStrings', 'sharedStrings.xml')}${relation('rId99', 'styles', '/xl/styles.xml')}</Relationships>`,
    },
    {
      name: 'xl/styles.xml',
      data: '<styleSheet><numFmts><numFmt numFmtId="164" formatCode="dd\\.mm\\.yyyy"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/></cellXfs></styleSheet>',
    },
    {
      name: 'xl/sharedStrings.xml',
      data: `<sst>${shared.map((text, at) => (at % 2 === 0 ? `<si><t xml:space="preserve">${escaped(text)}</t></si>` : `<si><r><t xml:space="preserve">${escaped([...text].slice(0, 1).join(''))}</t></r><r><t xml:space="preserve">${escaped([...text].slice(1).join(''))}</t></r><rPh sb="0" eb="1"><t>phonetic</t></rPh></si>`)).join('')}</sst>`,
    },
    ...sheetParts,
  ];
  const replaced = options.parts ?? [];
  return [...parts.filter(({ name }) => !replaced.some((one) => one.name === name)), ...replaced];
}

export const workbookOf = (rows: readonly (readonly WorkbookCell[])[], options?: WorkbookOptions): Uint8Array =>
  zipOf(workbookParts(rows, options));

function letters(place: number): string {
  return (place >= 26 ? letters(Math.floor(place / 26) - 1) : '') + String.fromCharCode(65 + (place % 26));
}
