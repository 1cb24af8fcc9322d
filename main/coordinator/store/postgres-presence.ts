// One session a replica that listens for news and shows that the replica lives: it holds a shared advisory lock for as
// long as it is connected. Whoever gets that lock alone at the start is the only replica.

import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import type { ClientConfig } from 'pg';

export type Presence = {
  /** This replica's own name in its notifications. */
  readonly name: string;
  readonly alone: boolean;
  onNews(listener: () => void): void;
  close(): Promise<void>;
};

const againMs = 500;

export async function openPresence(config: ClientConfig, channel: string, lock: string): Promise<Presence> {
  const name = randomBytes(8).toString('hex');
  const listeners = new Set<() => void>();
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  const stopping = new AbortController();
  let client: Client | null = null;
  let returning: Promise<void> = Promise.resolve();

  async function join(): Promise<boolean> {
    const joined = new Client({ ...config, keepAlive: true });
    joined.on('notification', ({ payload }) => {
      if (payload !== name) tell();
    });
    let lost = false;
    const lose = (): void => {
      if (lost) return;
      lost = true;
      if (client === joined && !stopping.signal.aborted) returning = comeBack();
    };
    joined.on('error', lose);
    joined.on('end', lose);
    await joined.connect();
    try {
      const alone = await joined.query<{ got: boolean }>('SELECT pg_try_advisory_lock($1::bigint) AS got', [lock]);
      await joined.query('SELECT pg_advisory_lock_shared($1::bigint)', [lock]);
      const { got } = alone.rows[0]!;
      if (got) await joined.query('SELECT pg_advisory_unlock($1::bigint)', [lock]);
      await joined.query(`LISTEN "${channel}"`);
      client = joined;
      return got;
    } catch (error) {
      await joined.end().catch(() => undefined);
      throw error;
    }
  }

  async function comeBack(): Promise<void> {
    while (!stopping.signal.aborted) {
      await delay(againMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      try {
        await join();
        // What was said meanwhile was not heard.
        return tell();
      } catch {
        // The database is still away; every request says so until it is back.
      }
    }
  }

  const alone = await join();
  return {
    name,
    alone,
    onNews: (listener) => void listeners.add(listener),
    async close() {
      stopping.abort();
      await returning;
      await client?.end().catch(() => undefined);
    },
  };
}
