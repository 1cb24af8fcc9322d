// Texts as records: a row's features are its token ids, piece after piece, padded with `noToken`. So sampling, persons,
// exclusions and prints work on texts as they do on tables. Ids are below 2^24, where float32 is exact.

import type { Records } from '../records.ts';

/** Pads a piece, and fills pieces that a text does not have. */
export const noToken = -1;

export type TextShape = {
  /** Tokens of a piece. */
  readonly tokens: number;
  /** Pieces of a text: all of one document are sampled together and clipped as one. */
  readonly pieces: number;
};

/** Writes pieces to out[at … at + tokens · pieces). @throws RangeError for a piece too long or pieces too many. */
export function writePieces(
  pieces: readonly (readonly number[])[],
  shape: TextShape,
  out: Float32Array,
  at: number,
): void {
  if (pieces.length > shape.pieces) throw new RangeError(`pieces must be at most ${shape.pieces}`);
  out.fill(noToken, at, at + shape.tokens * shape.pieces);
  for (const [i, piece] of pieces.entries()) {
    if (piece.length > shape.tokens) throw new RangeError(`a piece must have at most ${shape.tokens} tokens`);
    out.set(piece, at + i * shape.tokens);
  }
}

/** Copies one piece of a row into `ids` (padding becomes 0) and says how many of its tokens are real. */
export function sequenceOf(records: Records, shape: TextShape, row: number, piece: number, ids: Int32Array): number {
  const start = row * records.width + piece * shape.tokens;
  let real = 0;
  while (real < shape.tokens && records.features[start + real] !== noToken) {
    ids[real] = records.features[start + real]!;
    real++;
  }
  return real;
}
