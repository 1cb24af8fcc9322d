// Which encoding a text file is in, and its text piece by piece, strictly: a byte that has no meaning in the encoding ends
// the read. A byte order mark decides; else zero bytes (UTF-16), else whether all of it is UTF-8, else Windows-1252 as in
// the WHATWG Encoding Standard, except that its five bytes without a character are refused.

import { createReadStream } from 'node:fs';
import { InputError } from '../../../app/errors.ts';
import { diskError } from '../disk/disk-error.ts';

export type TextEncoding = 'utf-8' | 'windows-1252' | 'utf-16le' | 'utf-16be';

export type FoundEncoding = { readonly encoding: TextEncoding; readonly because: string };

/**
 * Reads the whole file where the first bytes do not decide.
 * @param start its first bytes, 64 KiB or all
 * @throws InputError `table-binary`; UnavailableError.
 */
export async function findEncoding(path: string, start: Uint8Array): Promise<FoundEncoding> {
  if (isUtf32(start))
    throw new InputError('table-encoding', `The file ${path} is UTF-32 text. Save it as UTF-8 and try again.`);
  const marked = byteOrderMark(start);
  if (marked !== null) return { encoding: marked, because: 'by its byte order mark' };
  const zeros = [0, 0];
  const sample = start.subarray(0, 4096);
  for (const [at, byte] of sample.entries()) if (byte === 0) zeros[at % 2]!++;
  const half = sample.length / 2;
  if (zeros[1]! > 0.3 * half && zeros[0]! < 0.05 * half) return { encoding: 'utf-16le', because: 'by its zero bytes' };
  if (zeros[0]! > 0.3 * half && zeros[1]! < 0.05 * half) return { encoding: 'utf-16be', because: 'by its zero bytes' };
  requireText(path, start);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let length = 0;
  try {
    for await (const piece of createReadStream(path) as AsyncIterable<Uint8Array>) {
      requireText(path, piece);
      const end = Math.max(piece.lastIndexOf(0x0a), piece.lastIndexOf(0x0d));
      length = end < 0 ? length + piece.length : piece.length - end - 1;
      // It cannot be read in any encoding, so the rest need not be seen; decodedText says where.
      if (length > 4 * longestLine) break;
      decoder.decode(piece, { stream: true });
    }
    if (length <= 4 * longestLine) decoder.decode();
    return { encoding: 'utf-8', because: 'all of it is valid UTF-8' };
  } catch (error) {
    if (isDecodingError(error)) return { encoding: 'windows-1252', because: 'it is not valid UTF-8' };
    throw diskError(error, `The file ${path}`);
  }
}

function byteOrderMark(start: Uint8Array): TextEncoding | null {
  if (start[0] === 0xef && start[1] === 0xbb && start[2] === 0xbf) return 'utf-8';
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le';
  return start[0] === 0xfe && start[1] === 0xff ? 'utf-16be' : null;
}

/** Its little-endian mark begins as that of UTF-16 does, which would read a NUL behind every letter. */
function isUtf32(start: Uint8Array): boolean {
  const mark = Buffer.from(start.subarray(0, 4)).toString('hex');
  return mark === 'fffe0000' || mark === '0000feff';
}

/** No text of one byte per letter holds these. */
function requireText(path: string, bytes: Uint8Array): void {
  for (const byte of bytes)
    if (byte < 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09 && byte !== 0x0c && byte !== 0x1a)
      throw notText(path);
}

function notText(path: string): InputError {
  return new InputError(
    'table-binary',
    `The file ${path} is not text: it holds control bytes. Give a table as CSV, XLSX or Parquet.`,
  );
}

/**
 * The text without byte order mark, and never more of it than a piece of the stream.
 * @throws InputError `table-encoding`, `table-line-too-long`; UnavailableError.
 */
export async function* decodedText(path: string, encoding: TextEncoding): AsyncGenerator<string> {
  const decode = decoderOf(encoding);
  let line = 1;
  let length = 0;
  try {
    for await (const piece of createReadStream(path)) {
      const text = decode(piece as Uint8Array);
      if (text.includes('\0')) throw notText(path);
      let from = 0;
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', from)) {
        line++;
        length = 0;
        from = at + 1;
      }
      const end = Math.max(from, text.lastIndexOf('\r') + 1);
      length = end > from ? text.length - end : length + text.length - from;
      if (length > longestLine) throw lineTooLong(path, line);
      if (text !== '') yield text;
    }
    const rest = decode(null);
    if (rest !== '') yield rest;
  } catch (error) {
    if (isDecodingError(error)) throw encodingError(path, encoding, line);
    throw diskError(error, `The file ${path}`);
  }
}

/** Characters; ten thousand columns with names of two hundred letters fit four times. */
export const longestLine = 1 << 23;

export function lineTooLong(path: string, line: number): InputError {
  return new InputError(
    'table-line-too-long',
    `Line ${line} of the file ${path} is longer than ${longestLine} characters. Check its quotes and line ends.`,
  );
}

const encodingNames = {
  'utf-8': 'UTF-8',
  'windows-1252': 'Windows-1252',
  'utf-16le': 'UTF-16 (little-endian)',
  'utf-16be': 'UTF-16 (big-endian)',
} as const;

export const encodingInWords = (encoding: TextEncoding): string => encodingNames[encoding];

function encodingError(path: string, encoding: TextEncoding, line: number): InputError {
  return new InputError(
    'table-encoding',
    `The file ${path} is not ${encodingNames[encoding]} text from about line ${line} on. Save it as UTF-8, or name its encoding in the mapping.`,
  );
}

class ByteWithoutCharacter extends Error {}

const isDecodingError = (error: unknown): boolean =>
  error instanceof ByteWithoutCharacter ||
  (error instanceof TypeError && (error as { code?: unknown }).code === 'ERR_ENCODING_INVALID_ENCODED_DATA');

/** Takes pieces, then null for the end. */
function decoderOf(encoding: TextEncoding): (piece: Uint8Array | null) => string {
  if (encoding === 'windows-1252') return (piece) => (piece === null ? '' : windows1252(piece));
  const decoder = new TextDecoder(encoding, { fatal: true });
  return (piece) => (piece === null ? decoder.decode() : decoder.decode(piece, { stream: true }));
}

/** 0x80 … 0x9f; the other bytes are their own code points. A space marks a byte without a character. */
const upperControls = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ';

function windows1252(bytes: Uint8Array): string {
  let special = false;
  for (const byte of bytes) if (byte >= 0x80 && byte < 0xa0) special = true;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  if (!special) return text;
  return text.replaceAll(/[\u0080-\u009f]/g, (control) => {
    const character = upperControls[control.charCodeAt(0) - 0x80]!;
    if (character === ' ') throw new ByteWithoutCharacter();
    return character;
  });
}
