// What both databases are asked in the same words. `guard` turns what a database says into the store's own errors.

import type { Kysely } from 'kysely';
import type { ChunkRow, StoredRow } from '../store.ts';
import { decodeEvent } from './stored-event.ts';
import type { Tables } from './tables.ts';

export type Guard = <Result>(work: () => Promise<Result>) => Promise<Result>;

const eventsAtOnce = 500;

export async function* eventsAfter(database: Kysely<Tables>, guard: Guard, seq: number): AsyncGenerator<StoredRow> {
  for (let after = seq; ;) {
    const page = await guard(() =>
      database.selectFrom('events').selectAll().where('seq', '>', after).orderBy('seq').limit(eventsAtOnce).execute(),
    );
    for (const row of page) {
      const event = decodeEvent(row.seq, row);
      const document = event.kind === 'message' || row.attachment === null ? null : new Uint8Array(row.attachment);
      yield { seq: row.seq, event, document };
      after = row.seq;
    }
    if (page.length < eventsAtOnce) return;
  }
}

export function chunkQueries(database: Kysely<Tables>, guard: Guard) {
  return {
    recordChunk: (round: number, sender: number, row: ChunkRow): Promise<void> =>
      guard(async () => {
        await database
          .insertInto('chunks')
          .values({ round, sender, ...row })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }),
    chunksOf: (round: number, sender: number): Promise<readonly ChunkRow[]> =>
      guard(() =>
        database
          .selectFrom('chunks')
          .where('round', '=', round)
          .where('sender', '=', sender)
          .select(['chunk', 'sha256', 'leaf'])
          .orderBy('chunk')
          .execute(),
      ),
    forgetChunks: (round: number, sender: number): Promise<void> =>
      guard(async () => {
        await database.deleteFrom('chunks').where('round', '=', round).where('sender', '=', sender).execute();
      }),
    keepRounds: (rounds: ReadonlySet<number>): Promise<void> =>
      guard(async () => {
        // No list may be empty in SQL; there is no round 0.
        const kept = [0, ...rounds];
        await database.deleteFrom('chunks').where('round', 'not in', kept).execute();
        await database.deleteFrom('opened').where('round', 'not in', kept).execute();
      }),
    openedChunks: (round: number): Promise<readonly number[]> =>
      guard(async () => {
        const rows = await database
          .selectFrom('opened')
          .where('round', '=', round)
          .select('chunk')
          .orderBy('chunk')
          .execute();
        return rows.map((row) => row.chunk);
      }),
    recordOpened: (round: number, chunk: number): Promise<void> =>
      guard(async () => {
        await database
          .insertInto('opened')
          .values({ round, chunk })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }),
  };
}
