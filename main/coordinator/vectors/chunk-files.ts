// Vectors as blobs, one a chunk: masked contributions by round and sender, opened sums by round. A chunk that came over a
// bad link lies in pieces until the last of them is there. Design 6.

import type { Blobs } from './blobs.ts';

export type ChunkFiles = {
  writeMasked(round: number, sender: number, chunk: number, bytes: Uint8Array): Promise<void>;
  /** Null where there is no such chunk. */
  readMasked(round: number, sender: number, chunk: number): Promise<Uint8Array | null>;
  removeMasked(round: number, sender: number): Promise<void>;
  writePiece(round: number, sender: number, chunk: number, piece: number, bytes: Uint8Array): Promise<void>;
  /** Numbers of the pieces that are there, in no order. */
  piecesOf(round: number, sender: number, chunk: number): Promise<readonly number[]>;
  readPiece(round: number, sender: number, chunk: number, piece: number): Promise<Uint8Array | null>;
  removePieces(round: number, sender: number, chunk: number): Promise<void>;
  /** Masked contributions of every round but these. */
  keepMasked(rounds: ReadonlySet<number>): Promise<void>;
  writeSum(round: number, chunk: number, bytes: Uint8Array): Promise<void>;
  readSum(round: number, chunk: number): Promise<Uint8Array | null>;
};

export function chunkFiles(blobs: Blobs): ChunkFiles {
  const masked = (round: number, sender: number): string => `masked/${round}/${sender}`;
  const pieces = (round: number, sender: number, chunk: number): string => `pieces/${round}/${sender}/${chunk}`;
  return {
    writeMasked: (round, sender, chunk, bytes) => blobs.put(`${masked(round, sender)}/${chunk}`, bytes),
    readMasked: (round, sender, chunk) => blobs.get(`${masked(round, sender)}/${chunk}`),
    removeMasked: (round, sender) => blobs.removeAll(masked(round, sender)),
    async keepMasked(rounds) {
      for (const folder of ['masked', 'pieces'])
        for (const name of await blobs.names(folder))
          if (!rounds.has(Number(name))) await blobs.removeAll(`${folder}/${name}`);
    },
    writePiece: (round, sender, chunk, piece, bytes) => blobs.put(`${pieces(round, sender, chunk)}/${piece}`, bytes),
    piecesOf: async (round, sender, chunk) =>
      (await blobs.names(pieces(round, sender, chunk))).map(Number).filter(Number.isSafeInteger),
    readPiece: (round, sender, chunk, piece) => blobs.get(`${pieces(round, sender, chunk)}/${piece}`),
    removePieces: (round, sender, chunk) => blobs.removeAll(pieces(round, sender, chunk)),
    writeSum: (round, chunk, bytes) => blobs.put(`sums/${round}/${chunk}`, bytes),
    readSum: (round, chunk) => blobs.get(`sums/${round}/${chunk}`),
  };
}
