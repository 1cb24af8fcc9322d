// Chunks of masked contributions: which may come, what is there, and whether they are what their sender signed. The
// quota is the contract's: one vector a round and member. Idempotent and resumable; one chunk at a time per member.

import { concat, fromHex, toHex } from '../../app/encoding/bytes.ts';
import { merkleRoot } from '../../app/encoding/merkle.ts';
import { InputError, RefusalError } from '../../app/errors.ts';
import type { Cipher } from '../../app/ports.ts';
import type { CoordinatorStudy } from '../../app/round/coordinator-study.ts';
import { roundOf } from '../../app/round/coordinator-study.ts';
import { contextOf, wordBits } from '../../app/round/parameters.ts';
import { relayRegion } from '../../app/round/regions.ts';
import { pieceBytes } from '../../app/round/request.ts';
import type { StudyParameters } from '../../app/round/parameters.ts';
import { chunkCount, chunkRange } from '../../app/sealed-sum/masks.ts';
import { packedLength } from '../../app/sealed-sum/packing.ts';
import { vectorLeafHash } from '../../app/sealed-sum/vector-root.ts';
import type { ChunkRow, CoordinatorStore } from './store.ts';

export type Uploads = {
  /**
   * Stores a chunk of the open round; completes the contribution when it is the last one.
   * @throws InputError `chunk-unknown`, `chunk-length`; RefusalError `no-round-open`, `old-round`, `stage-over`,
   * `sets-not-nested`, `chunk-differs`, `vector-off-root` (all its chunks are dropped and may be sent again).
   */
  accept(round: number, sender: number, chunk: number, bytes: Uint8Array): Promise<void>;
  /**
   * Stores a piece of a chunk; the last one makes the chunk.
   * @throws as `accept`, and InputError `piece-unknown`, `piece-length`.
   */
  acceptPiece(round: number, sender: number, chunk: number, piece: number, bytes: Uint8Array): Promise<void>;
  /** Pieces of a chunk that is not whole yet, ascending. */
  receivedPieces(round: number, sender: number, chunk: number): Promise<readonly number[]>;
  received(round: number, sender: number): Promise<readonly ChunkRow[]>;
  /** Holds the chunks against the signed root once both are there. @throws RefusalError `vector-off-root`. */
  completeIfWhole(round: number, sender: number): Promise<void>;
};

/** What the coordinator, or a relay, knows of a round's contributions. */
export type UploadView = {
  /** The open round's number; 0 where none is open. */
  round(): number;
  /** Whether `sender` may send chunks of that round now. @throws RefusalError. */
  requireOpen(round: number, sender: number): void;
  /** The signed root, hex, and whether all is there; null before the root was announced. */
  announced(round: number, sender: number): { readonly root: string; readonly complete: boolean } | null;
};

export function coordinatorView(parameters: StudyParameters, study: () => CoordinatorStudy): UploadView {
  return {
    round: () => study().round?.round ?? 0,
    requireOpen(round, sender) {
      const open = study().round;
      if (open === null)
        throw new RefusalError(
          'no-round-open',
          'No training round is open now. Wait for the next one; nothing was lost.',
        );
      if (open.round !== round)
        throw new RefusalError('old-round', `The chunk belongs to round ${round}; round ${open.round} is open.`);
      if (open.stage !== 'masked')
        throw new RefusalError(
          'stage-over',
          'The chunk came outside its stage. Wait for the next round; nothing was lost.',
        );
      if (relayRegion(parameters, sender) !== null) return;
      if (parameters.regions.length > 0)
        throw new RefusalError('through-relay', 'In this study contributions come through the region’s relay.');
      if (!open.sharers.includes(sender))
        throw new RefusalError('sets-not-nested', 'This institution is not in the second list of this round.');
    },
    announced(round, sender) {
      const open = roundOf(study(), round);
      const region = relayRegion(parameters, sender);
      const sum = region === null ? undefined : open?.regionSums.get(region.position);
      if (sum !== undefined) return { root: sum.message.body.sum, complete: sum.complete };
      const held = open?.masked.get(sender);
      return held === undefined ? null : { root: held.message.body.root, complete: held.complete };
    },
  };
}

export function uploadsOf(around: {
  readonly cipher: Cipher;
  readonly parameters: StudyParameters;
  readonly store: CoordinatorStore;
  readonly view: UploadView;
  /** Applies the event that the contribution is whole. */
  readonly uploaded: (round: number, sender: number) => Promise<void>;
}): Uploads {
  const { cipher, parameters, store, view } = around;
  const count = chunkCount(parameters.dimension);
  const turns = new Map<number, Promise<void>>();

  /** One at a time for each sender, in the order of arrival. */
  async function inTurn(sender: number, work: () => Promise<void>): Promise<void> {
    const round = view.round();
    const mine = (turns.get(sender) ?? Promise.resolve()).then(() => store.withSender(round, sender, work));
    const settled = mine.catch(() => undefined);
    turns.set(sender, settled);
    try {
      await mine;
    } finally {
      if (turns.get(sender) === settled) turns.delete(sender);
    }
  }

  async function complete(round: number, sender: number): Promise<void> {
    const held = view.announced(round, sender);
    if (held === null || held.complete) return;
    const rows = await store.chunksOf(round, sender);
    if (rows.length < count) return;
    const leaves = rows.map((row) => fromHex(row.leaf, 32));
    if (toHex(merkleRoot(cipher, leaves)) === held.root) return around.uploaded(round, sender);
    await store.forgetChunks(round, sender);
    await store.files.removeMasked(round, sender);
    throw new RefusalError(
      'vector-off-root',
      'The chunks do not give the root that was signed with them. They were dropped; send them again.',
    );
  }

  /** @returns the chunk's length in bytes. */
  function lengthOf(chunk: number): number {
    if (!Number.isSafeInteger(chunk) || chunk < 0 || chunk >= count)
      throw new InputError('chunk-unknown', `A contribution to this study has ${count} chunks, numbered from 0.`);
    const { from, to } = chunkRange(parameters.dimension, chunk);
    return packedLength(to - from, wordBits(parameters));
  }

  async function keep(round: number, sender: number, chunk: number, bytes: Uint8Array): Promise<void> {
    const sha256 = toHex(cipher.sha256(bytes));
    const there = (await store.chunksOf(round, sender)).find((row) => row.chunk === chunk);
    if (there?.sha256 === sha256) return complete(round, sender);
    view.requireOpen(round, sender);
    if (there !== undefined)
      throw new RefusalError('chunk-differs', 'Other bytes were accepted for this chunk; they are never replaced.');
    const leaf = toHex(vectorLeafHash(cipher, contextOf(parameters, round), sender, chunk, bytes));
    await store.files.writeMasked(round, sender, chunk, bytes);
    await store.recordChunk(round, sender, { chunk, sha256, leaf });
    await complete(round, sender);
  }

  return {
    async accept(round, sender, chunk, bytes) {
      const length = lengthOf(chunk);
      if (bytes.length !== length)
        throw new InputError('chunk-length', `Chunk ${chunk} has ${length} bytes, not ${bytes.length}.`);
      await inTurn(sender, () => keep(round, sender, chunk, bytes));
    },
    async acceptPiece(round, sender, chunk, piece, bytes) {
      const length = lengthOf(chunk);
      const pieces = Math.ceil(length / pieceBytes);
      if (!Number.isSafeInteger(piece) || piece < 0 || piece >= pieces)
        throw new InputError('piece-unknown', `Chunk ${chunk} has ${pieces} pieces, numbered from 0.`);
      const wanted = Math.min(pieceBytes, length - piece * pieceBytes);
      if (bytes.length !== wanted)
        throw new InputError(
          'piece-length',
          `Piece ${piece} of chunk ${chunk} has ${wanted} bytes, not ${bytes.length}.`,
        );
      await inTurn(sender, async () => {
        const whole = (await store.chunksOf(round, sender)).some((row) => row.chunk === chunk);
        // The last piece again, after its answer was lost.
        if (whole) return complete(round, sender);
        view.requireOpen(round, sender);
        await store.files.writePiece(round, sender, chunk, piece, bytes);
        if ((await store.files.piecesOf(round, sender, chunk)).length < pieces) return;
        const parts: Uint8Array[] = [];
        for (let at = 0; at < pieces; at++) {
          const part = await store.files.readPiece(round, sender, chunk, at);
          if (part === null) return;
          parts.push(part);
        }
        await keep(round, sender, chunk, concat(...parts));
        await store.files.removePieces(round, sender, chunk);
      });
    },
    async receivedPieces(round, sender, chunk) {
      lengthOf(chunk);
      return [...(await store.files.piecesOf(round, sender, chunk))].sort((left, right) => left - right);
    },
    received: (round, sender) => store.chunksOf(round, sender),
    completeIfWhole: (round, sender) => inTurn(sender, () => complete(round, sender)),
  };
}
