// What the participant's engine asks of its surroundings: the coordinator, the ledger, the trainer, the disk. The same
// engine runs in the host's process over HTTP and in simulation in memory. Design 2, "Processes".

import type { PrivacyEvent } from '../privacy/events.ts';
import type { Contract } from '../study/contract.ts';
import type { ClosedRecord } from './catch-up.ts';
import type { CoordinatorStage } from './coordinator-state.ts';
import type { AnyMessage, Message } from './messages.ts';
import type { Masking } from './participant.ts';

/** What the coordinator says is going on. Nothing in it is believed without the signed lists. */
export type StudyStatus = {
  readonly outcome: string | null;
  /** Closed rounds, and the newest of them (round 0 before the first). */
  readonly closed: number;
  readonly lastClosed: { readonly round: number; readonly sum: string };
  readonly round: {
    readonly number: number;
    readonly stage: CoordinatorStage;
    /** Whether this institution may take part in it. */
    readonly eligible: boolean;
  } | null;
  /** Unanswered complaints about boxes that this institution dealt in the open round. */
  readonly complaints: readonly Message<16>[];
  /** The newest Ready of this institution that the coordinator holds. */
  readonly witness: { readonly counter: number; readonly head: string } | null;
};

export type ChunkSupply = { readonly count: number; readonly read: (chunk: number) => Promise<Uint8Array> };

export type CoordinatorPort = {
  send(message: AnyMessage): Promise<void>;
  sendShares(message: Message<1>, bundle: Uint8Array): Promise<void>;
  /**
   * The broadcast that ended stage 0–3 or R0b (5), the signed result (4) or, with regions, the list that closed the round
   * (6); null where the coordinator no longer has it.
   */
  broadcast(round: number, stage: 0 | 1 | 2 | 3 | 4 | 5 | 6): Promise<Uint8Array | null>;
  boxes(round: number): Promise<Uint8Array>;
  /** Idempotent and resumable: chunks that are there already are not sent again. */
  upload(round: number, chunks: readonly Uint8Array[]): Promise<void>;
  /** The same for chunks that are read one by one, so that no more than one is in memory. */
  uploadFrom?(round: number, supply: ChunkSupply): Promise<void>;
  maskedChunk(round: number, index: number, chunk: number): Promise<Uint8Array>;
  sumChunk(round: number, chunk: number): Promise<Uint32Array>;
  /** With regions: the relays' signed sums, as decodeRegionSums reads them, and their chunks. */
  regionSums(round: number): Promise<Uint8Array>;
  regionChunk(round: number, position: number, chunk: number): Promise<Uint8Array>;
  closedAfter(round: number): Promise<ClosedRecord[]>;
};

/** Writes that resolve only when they are on disk. */
export type LedgerPort = {
  /** Records that Ready number `counter` is about to be signed. @returns the keyed head for it, 32 bytes. */
  readySigned(round: number, counter: number): Promise<Uint8Array>;
  /** The worst case, before anything leaves. @throws RefusalError `budget-exceeded`, `no-consent`, `consent-…`. */
  reserve(round: number, event: PrivacyEvent, outbox: string): Promise<void>;
  /** Whether a round's charge is in the ledger already (after a crash between disk and wire). */
  isReserved(round: number): boolean;
  settle(round: number, event: PrivacyEvent, transcript: string): Promise<void>;
  /** Writes it once: the same note again, as after a crash, changes nothing. */
  note(
    kind: 'round-stage-reached' | 'round-closed' | 'round-aborted' | 'model-pinned',
    body: LedgerNote,
  ): Promise<void>;
  /** Rounds of this study whose closing is in the ledger. */
  closedRounds(): number;
  /** Why this institution may not begin a round now (consent ended, allowance used up, attempts spent); else null. */
  whyNot(event: PrivacyEvent): { readonly code: string; readonly sentence: string } | null;
};

export type LedgerNote = { readonly [name: string]: string | number | boolean | null | readonly number[] };

export type SealerPort = {
  /**
   * Adds every mask to the chunk's words mod 2^32, in other threads; `words` stay as they are, and what comes back is what
   * `Masks.applyAll` gives. @throws UnavailableError `sealing-stopped` where the threads end early.
   */
  readonly mask: Masking;
};

export type TrainedVector = {
  /** d ring words: quantised and noised. */
  readonly words: Uint32Array;
  /** False where training failed or came too late and the vector is zero plus its noise. */
  readonly trained: boolean;
  /** Why not, in words without content; null where it was trained. */
  readonly reason: string | null;
};

export type TrainerPort = {
  /**
   * Begins round `round` from the present parameters; an earlier round that is still running is dropped.
   * @param terms the contract as it stands for this round
   * @param subset seed of the parameters that travel, hex; null where all do
   */
  begin(round: number, parameters: Float32Array, terms: Contract, subset: string | null): void;
  /** The vector of that round; begins it if it was not begun. Never rejects for a training failure. */
  vector(round: number, parameters: Float32Array, terms: Contract, subset: string | null): Promise<TrainedVector>;
  /**
   * Why nothing can be trained here now, for reasons that have nothing to do with records (a checkpoint that changed on
   * disk); asked before a round begins and before its vector is charged. null or absent: nothing stands against it.
   */
  whyNot?(): Promise<{ readonly code: string; readonly sentence: string } | null>;
};
