// Lines of a file as bytes, in pieces of 1 MiB, so that a ledger of any length is read in constant memory; other work of
// the process gets its turn between them.

import type { FileHandle } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** `complete`: a newline followed. `last`: nothing follows in the file. */
export type FileLine = { readonly bytes: Uint8Array; readonly complete: boolean; readonly last: boolean };

/** Lines between two turns of the loop: reading and checking one takes some tens of microseconds. */
const linesAtOnce = 50;

/**
 * @param end where to stop reading, in bytes; the end of the file if omitted
 */
export async function* linesOf(handle: FileHandle, end = Infinity): AsyncGenerator<FileLine> {
  const piece = new Uint8Array(1 << 20);
  const parts: Uint8Array[] = [];
  let before: Uint8Array | null = null;
  let position = 0;
  let lines = 0;
  while (position < end) {
    const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, end - position), position);
    if (bytesRead === 0) break;
    position += bytesRead;
    const read = piece.subarray(0, bytesRead);
    let from = 0;
    for (let at = read.indexOf(0x0a); at >= 0; at = read.indexOf(0x0a, from)) {
      if (before !== null) yield { bytes: before, complete: true, last: false };
      if (++lines % linesAtOnce === 0) await nextTurn();
      before = joined(parts, read.slice(from, at));
      from = at + 1;
    }
    if (from < read.length) parts.push(read.slice(from));
  }
  if (before !== null) yield { bytes: before, complete: true, last: parts.length === 0 };
  if (parts.length > 0) yield { bytes: joined(parts, new Uint8Array(0)), complete: false, last: true };
}

function joined(parts: Uint8Array[], end: Uint8Array): Uint8Array {
  if (parts.length === 0) return end;
  const whole = new Uint8Array(Buffer.concat([...parts, end]));
  parts.length = 0;
  return whole;
}
