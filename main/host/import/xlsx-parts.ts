// Parts of an XLSX package (ECMA-376 parts 1 and 2) as XML events, in bounded memory: yauzl inflates and holds sizes to
// the archive's own directory, saxes parses as text comes. A part that inflates beyond measure is a bomb and ends the read.

import { openPromise } from 'yauzl';
import type { Entry, ZipFile } from 'yauzl';
import { SaxesParser } from 'saxes';
import { ConsilienceError, InputError } from '../../../app/errors.ts';
import { diskError } from '../disk/disk-error.ts';

export type XmlHandler = {
  /** `name` without prefix; attributes by their whole name. Path: the open elements' names, this one last. */
  open?(name: string, attributes: { readonly [name: string]: string }, path: readonly string[]): void;
  close?(name: string, path: readonly string[]): void;
  text?(text: string, path: readonly string[]): void;
};

export type XlsxPackage = {
  readonly path: string;
  has(part: string): boolean;
  /** Feeds the part to the handler; yields after each piece, so that what was gathered can be handed on. */
  read(
    part: string,
    handler: XmlHandler,
    mostBytes: number,
    onBytes?: (read: number) => void,
  ): AsyncGenerator<void, void>;
  /** Bytes of the part when inflated, as the archive says. */
  sizeOf(part: string): number;
  close(): void;
};

const mostParts = 10_000;
/** Excel's own sheets inflate about tenfold, repetitive ones a hundredfold. */
const mostInflation = 400;
const bombFrom = 1 << 23;
/** Excel allows 32,767 characters in a cell. */
const mostBetweenTags = 1 << 20;
const mostDepth = 64;

/** @throws InputError `table-malformed`, `table-format`; UnavailableError. */
export async function openPackage(path: string): Promise<XlsxPackage> {
  let zip: ZipFile;
  try {
    zip = await openPromise(path, { autoClose: false, lazyEntries: true, validateEntrySizes: true });
  } catch (error) {
    throw zipError(error, path);
  }
  try {
    const parts = new Map<string, Entry>();
    if (zip.entryCount > mostParts)
      throw new InputError('table-bomb', `The file ${path} has more than ${mostParts} parts. Save it anew.`);
    for await (const entry of zip.eachEntry()) parts.set(entry.fileName.toLowerCase(), entry);
    return {
      path,
      has: (part) => parts.has(part.toLowerCase()),
      read: (part, handler, mostBytes, onBytes) =>
        readPart(path, zip, parts.get(part.toLowerCase()), handler, mostBytes, onBytes),
      sizeOf: (part) => parts.get(part.toLowerCase())?.uncompressedSize ?? 0,
      close: () => zip.close(),
    };
  } catch (error) {
    zip.close();
    throw zipError(error, path);
  }
}

async function* readPart(
  path: string,
  zip: ZipFile,
  entry: Entry | undefined,
  handler: XmlHandler,
  mostBytes: number,
  onBytes: (read: number) => void = () => {},
): AsyncGenerator<void, void> {
  if (entry === undefined) throw damaged(path);
  const xml = xmlReader(path, handler);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let bytes = 0;
  try {
    if (entry.isEncrypted())
      throw new InputError('table-format', `The file ${path} is encrypted. Save it without a password.`);
    for await (const piece of await zip.openReadStreamPromise(entry)) {
      const chunk = piece as Uint8Array;
      bytes += chunk.length;
      if (bytes > bombFrom && bytes > mostInflation * entry.compressedSize) throw bomb(path);
      if (bytes > mostBytes) throw tooLarge(path);
      onBytes(bytes);
      for (let from = 0; from < chunk.length; from += 1 << 14) {
        xml.write(decoder.decode(chunk.subarray(from, from + (1 << 14)), { stream: true }));
        yield;
      }
    }
    xml.write(decoder.decode());
    xml.close();
    yield;
  } catch (error) {
    throw zipError(error, path);
  }
}

function xmlReader(path: string, handler: XmlHandler): { write(text: string): void; close(): void } {
  const parser = new SaxesParser({ xmlns: false, position: false });
  const open: string[] = [];
  const local = (name: string): string => name.slice(name.indexOf(':') + 1);
  let since = 0;
  parser.on('error', () => {
    throw damaged(path);
  });
  // No office program writes one; entities are the oldest XML bomb.
  parser.on('doctype', () => {
    throw damaged(path);
  });
  parser.on('opentag', (tag) => {
    since = 0;
    open.push(local(tag.name));
    if (open.length > mostDepth) throw damaged(path);
    handler.open?.(open.at(-1)!, tag.attributes, open);
  });
  parser.on('closetag', () => {
    since = 0;
    handler.close?.(open.at(-1)!, open);
    open.pop();
  });
  const text = (value: string): void => {
    since = 0;
    handler.text?.(value, open);
  };
  parser.on('text', text);
  parser.on('cdata', text);
  return {
    write(piece) {
      since += piece.length;
      if (since > mostBetweenTags) throw damaged(path);
      parser.write(piece);
    },
    close: () => void parser.close(),
  };
}

export const damaged = (path: string): InputError =>
  new InputError(
    'table-malformed',
    `The file ${path} is a damaged workbook, or not one. Save it as .xlsx or CSV anew.`,
  );

export const bomb = (path: string): InputError =>
  new InputError(
    'table-bomb',
    `The file ${path} unpacks to far more than a workbook would (a "ZIP bomb"). It was not read. Ask where it comes from.`,
  );

export const tooLarge = (path: string): InputError =>
  new InputError('table-too-large', `The workbook ${path} is larger than can be read. Save the sheet as CSV.`);

/** The libraries' messages may quote the file, so only a code of the system passes. */
function zipError(error: unknown, path: string): Error {
  if (error instanceof ConsilienceError) return error;
  const described = diskError(error, `The file ${path}`);
  return described instanceof ConsilienceError ? described : damaged(path);
}
