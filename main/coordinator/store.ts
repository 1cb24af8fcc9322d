// The coordinator's durable store, one interface over two databases: SQLite in the study's folder (one process) or
// PostgreSQL (several replicas). Events are the only truth; the transaction that appends an event accepts it, before the
// reply. Nothing here is secret: every byte is signed, sealed or public. Design 6, "State".

import { openBlobs } from './vectors/blobs.ts';
import type { BlobPlace } from './vectors/blobs.ts';
import { chunkFiles } from './vectors/chunk-files.ts';
import type { ChunkFiles } from './vectors/chunk-files.ts';
import { namespaceOf, openPostgres } from './store/postgres.ts';
import { openSqlite } from './store/sqlite.ts';
import type { StoredEvent } from './store/stored-event.ts';

export type ChunkRow = { readonly chunk: number; readonly sha256: string; readonly leaf: string };

export type StoredRow = {
  /** From 1 without gaps. */
  readonly seq: number;
  readonly event: StoredEvent;
  readonly document: Uint8Array | null;
};

export type Turn = {
  /** What other replicas appended after event `seq`, in order. */
  newer(seq: number): AsyncIterable<StoredRow>;
  /** Once a turn. @returns the event's number. */
  append(event: StoredEvent, document: Uint8Array | null): Promise<number>;
};

/** Whatever fails here is UnavailableError `disk-…` or `database-…`; nothing was accepted then. */
export type EventStore = {
  /** Nobody else appends while `work` runs. What it appended is durable when this resolves, and is not there if it throws. */
  inTurn: <Result>(work: (turn: Turn) => Promise<Result>) => Promise<Result>;
  /** All events after `seq`, in order. @throws InvariantError `event-damaged`. */
  events(seq: number): AsyncIterable<StoredRow>;
  /** Whether another replica appended events after `seq`. */
  isBehind(seq: number): Promise<boolean>;
  /** Calls back when another replica may have appended, or when that may have been missed. */
  onNews(listener: () => void): void;
  /** No other replica served this study when this one was opened. */
  readonly alone: boolean;

  recordChunk(round: number, sender: number, row: ChunkRow): Promise<void>;
  /** Ascending by chunk. */
  chunksOf(round: number, sender: number): Promise<readonly ChunkRow[]>;
  forgetChunks(round: number, sender: number): Promise<void>;
  /** Forgets contributions and opened chunks of every round but these. */
  keepRounds(rounds: ReadonlySet<number>): Promise<void>;
  /** One at a time among all replicas for a round's sender. */
  withSender<Result>(round: number, sender: number, work: () => Promise<Result>): Promise<Result>;

  /** Chunks of the sum of a round that is being opened and that lie in `files`, ascending. */
  openedChunks(round: number): Promise<readonly number[]>;
  recordOpened(round: number, chunk: number): Promise<void>;

  /** False where a replica saw this nonce before. One process remembers its own nonces (admission.ts). */
  firstUse(nonce: string, now: number): Promise<boolean>;
  /** Throws where the database does not answer. */
  check(): Promise<void>;
  close(): Promise<void>;
};

export type CoordinatorStore = EventStore & {
  /** Where the vectors lie, for threads that open it themselves. */
  readonly blobs: BlobPlace;
  readonly files: ChunkFiles;
  /** The connection string where replicas share a PostgreSQL; null where this process is the only one. */
  readonly shared: { readonly database: string; readonly namespace: string } | null;
};

/**
 * Opens or creates the store of one study.
 * @param folder of this process: the SQLite file, and the vectors unless `blobs` says otherwise
 * @param study SHA-256 of the contract, hex
 * @param database postgres://… where several replicas share one; nothing: SQLite in the folder
 * @throws RefusalError `in-use`, `store-version`, `store-other-study`, `blobs-not-shared`; UnavailableError `disk-full`,
 * `disk-failed`, `database-unreachable`.
 */
export async function openCoordinatorStore(options: {
  readonly folder: string;
  readonly study: string;
  readonly database?: string;
  readonly blobs?: BlobPlace;
}): Promise<CoordinatorStore> {
  const { folder, study, database } = options;
  const place = options.blobs ?? { kind: 'folder', folder };
  const events = database === undefined ? await openSqlite(folder, study) : await openPostgres(database, study);
  try {
    const files = chunkFiles(await openBlobs(place));
    const shared = database === undefined ? null : { database, namespace: namespaceOf(study) };
    return { ...events, blobs: place, files, shared };
  } catch (error) {
    await events.close();
    throw error;
  }
}
