// Vectors as blobs, one a chunk: masked contributions by round and sender, opened sums by round. Design 6.

import type { Blobs } from './blobs.ts';

export type ChunkFiles = {
  writeMasked(round: number, sender: number, chunk: number, bytes: Uint8Array): Promise<void>;
  /** Null where there is no such chunk. */
  readMasked(round: number, sender: number, chunk: number): Promise<Uint8Array | null>;
  removeMasked(round: number, sender: number): Promise<void>;
  /** Masked contributions of every round but these. */
  keepMasked(rounds: ReadonlySet<number>): Promise<void>;
  writeSum(round: number, chunk: number, bytes: Uint8Array): Promise<void>;
  readSum(round: number, chunk: number): Promise<Uint8Array | null>;
};

export function chunkFiles(blobs: Blobs): ChunkFiles {
  const masked = (round: number, sender: number): string => `masked/${round}/${sender}`;
  return {
    writeMasked: (round, sender, chunk, bytes) => blobs.put(`${masked(round, sender)}/${chunk}`, bytes),
    readMasked: (round, sender, chunk) => blobs.get(`${masked(round, sender)}/${chunk}`),
    removeMasked: (round, sender) => blobs.removeAll(masked(round, sender)),
    async keepMasked(rounds) {
      for (const name of await blobs.names('masked'))
        if (!rounds.has(Number(name))) await blobs.removeAll(`masked/${name}`);
    },
    writeSum: (round, chunk, bytes) => blobs.put(`sums/${round}/${chunk}`, bytes),
    readSum: (round, chunk) => blobs.get(`sums/${round}/${chunk}`),
  };
}
