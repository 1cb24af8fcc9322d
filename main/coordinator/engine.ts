// The coordinator's engine: the study's state, made of its stored events and nothing else. Events are applied one after
// another; each is durable before anybody is told of its effect. Deadlines, the opening of sums and the clearing away of
// old contributions happen here. Design 6, "State".

import { setTimeout as delay } from 'node:timers/promises';
import { InvariantError, UnavailableError } from '../../app/errors.ts';
import type { Cipher, Clock, Signer } from '../../app/ports.ts';
import { newStudy, reduceStudy } from '../../app/round/coordinator-study.ts';
import type { CoordinatorStudy } from '../../app/round/coordinator-study.ts';
import type { StudyParameters } from '../../app/round/parameters.ts';
import { createChanges, whatMatters } from './changes.ts';
import type { Changes } from './changes.ts';
import { DamagedChunkError, openSum, storedSum } from './sum-opening.ts';
import type { CoordinatorStore } from './store.ts';
import type { StoredEvent } from './stored-event.ts';
import { uploadsOf } from './uploads.ts';
import type { Uploads } from './uploads.ts';

/** Applies opened sums in order; app/round/model-chain.ts behind it. */
export type SumApplier = {
  /** H(model) before the first round, hex. */
  readonly initial: string;
  apply(
    round: number,
    survivors: readonly number[],
    sum: Uint32Array,
  ): { readonly model: string; readonly spoiled: boolean };
};

/** One line of the log: numbers and words of the program, never content. */
export type LogLine = { readonly event: string; readonly [name: string]: string | number | boolean | null };

export type EngineOptions = {
  readonly cipher: Cipher;
  readonly clock: Clock;
  readonly parameters: StudyParameters;
  readonly signer: Signer;
  readonly store: CoordinatorStore;
  readonly applier: SumApplier;
  readonly log?: (line: LogLine) => void;
};

export type Engine = {
  readonly options: EngineOptions;
  readonly uploads: Uploads;
  readonly changes: Changes;
  readonly study: () => CoordinatorStudy;
  /** Number of the last event that changed what participants act on; 0 before the first. */
  readonly cursor: () => number;
  /** Signed consents that were accepted, by roster position. */
  readonly consents: () => ReadonlyMap<number, Uint8Array>;
  /** Signed device replacements that were accepted, oldest first. */
  readonly replacements: () => readonly Uint8Array[];
  /**
   * Durable when it resolves. `document`: signed bytes to keep with it.
   * @throws RefusalError of the reducers, UnavailableError of the disk; nothing was changed.
   */
  apply(event: Unstamped, document?: Uint8Array): Promise<void>;
  /** What the clock makes due; the engine's own timer calls it. */
  tick(): Promise<void>;
  /** Resolves when no sum is being opened. */
  settled(): Promise<void>;
  /** Stops, finishes what is begun, closes the store. */
  close(): Promise<void>;
};

type WithoutNow<Event> = Event extends unknown ? Omit<Event, 'now'> : never;
export type Unstamped = WithoutNow<StoredEvent>;

const retryMs = 5000;
/** A clock may be corrected by this much without a word. */
const backwardsMs = 5000;
/** setTimeout takes no longer waits than 2^31 − 1 ms. */
const longestTimerMs = 2 ** 31 - 1;

/** Replays the store and goes on where it ends. @throws InvariantError `event-damaged`, `sum-damaged`, `model-differs`. */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const { cipher, clock, parameters, store, applier } = options;
  const coordinator = { cipher, parameters, signer: options.signer };
  const log = options.log ?? (() => undefined);
  const changes = createChanges();
  const consents = new Map<number, Uint8Array>();
  const replacements: Uint8Array[] = [];
  let study = newStudy(applier.initial);
  let cursor = 0;
  let closed = false;
  /** The latest reading of the clock. */
  let latest = clock.now();
  let timer: NodeJS.Timeout | null = null;
  let queue: Promise<unknown> = Promise.resolve();
  let opening: Promise<void> | null = null;
  const stopping = new AbortController();

  for await (const { seq, event, document } of store.events()) await replay(seq, event, document);

  async function replay(seq: number, event: StoredEvent, document: Uint8Array | null): Promise<void> {
    const { round } = study;
    if (event.kind === 'summed' && round !== null) {
      const record = { round: round.round, sum: event.sum, survivors: round.survivors };
      const sum = await storedSum(cipher, parameters, store, record);
      if (applier.apply(round.round, round.survivors, sum).model !== event.model)
        throw new InvariantError(
          'model-differs',
          `Round ${round.round} gives another model now than when it was closed. Use the version of the program that began the study.`,
        );
    }
    adopt(reduceStudy(coordinator, study, event), seq, event, document);
  }

  function adopt(next: CoordinatorStudy, seq: number, event: StoredEvent, document: Uint8Array | null): void {
    const moved = whatMatters(next) !== whatMatters(study);
    study = next;
    if (moved) cursor = seq;
    if (event.kind === 'consented' && document !== null) consents.set(event.index, document);
    if (event.kind === 'replaced' && document !== null) replacements.push(document);
  }

  const inOrder = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const result = queue.then(() => {
      if (closed) throw new UnavailableError('stopping', 'The coordinator is stopping. Try again in a moment.');
      return work();
    });
    queue = result.catch(() => undefined);
    return result;
  };

  async function take(event: StoredEvent, document: Uint8Array | null): Promise<void> {
    const before = study;
    const next = reduceStudy(coordinator, study, event);
    if (next === study) return;
    const seq = await store.append(event, document);
    adopt(next, seq, event, document);
    report(before, next);
    if (cursor === seq) changes.announce();
    await goOn(before);
  }

  const apply = (event: Unstamped, document: Uint8Array | null = null): Promise<void> =>
    inOrder(async () => {
      const now = clock.now();
      if (now < latest - backwardsMs) {
        // Deadlines would lie as far ahead as the clock was set back.
        log({ event: 'clock-went-back', seconds: Math.round((latest - now) / 1000) });
        latest = now;
        await take({ kind: 'resumed', now }, null);
      }
      latest = Math.max(latest, now);
      await take({ ...event, now }, document);
    });

  const uploads = uploadsOf({
    cipher,
    parameters,
    store,
    study: () => study,
    uploaded: (round, sender) =>
      inOrder(async () => {
        // A round that ended meanwhile must not take this for the next one's contribution.
        if (study.round?.round === round) await take({ kind: 'uploaded', sender, now: clock.now() }, null);
      }),
  });

  /** After every change: what is now due, now or later. */
  async function goOn(before: CoordinatorStudy | null): Promise<void> {
    arm(0);
    if (study.round?.stage === 'opening') opening ??= openNow().finally(() => (opening = null));
    if (before !== null && before.ended === study.ended) return;
    try {
      await store.keepChunks(keptRounds());
    } catch (error) {
      // The event is stored and stands; what was not cleared away now is cleared after the next round.
      log({ event: 'clearing-failed', code: codeOf(error) });
    }
  }

  function keptRounds(): Set<number> {
    const kept = new Set(study.ended.map((round) => round.round));
    if (study.round !== null) kept.add(study.round.round);
    return kept;
  }

  function arm(leastMs: number): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const due = study.round === null ? study.opensAt : study.round.deadline;
    if (due === null || closed) return;
    timer = setTimeout(() => void onTimer(), Math.min(Math.max(due - clock.now(), leastMs) + 1, longestTimerMs));
  }

  async function onTimer(): Promise<void> {
    try {
      await tick();
    } catch (error) {
      if (closed) return;
      log({ event: 'tick-failed', code: codeOf(error) });
      timer = setTimeout(() => void onTimer(), retryMs);
    }
  }

  async function tick(): Promise<void> {
    const before = study;
    await apply({ kind: 'tick' });
    if (study === before) arm(1000);
  }

  async function openNow(): Promise<void> {
    for (;;) {
      const round = study.round!;
      try {
        const { sum, hash } = await openSum(cipher, parameters, store, round);
        await inOrder(async () => {
          const { model, spoiled } = applier.apply(round.round, round.survivors, sum);
          await takeSummed({ kind: 'summed', sum: hash, model, spoiled, now: clock.now() });
        });
        return;
      } catch (error) {
        if (closed) return;
        log({ event: 'opening-failed', round: round.round, code: codeOf(error) });
        if (!(error instanceof UnavailableError)) {
          const reason = error instanceof DamagedChunkError ? error.code : 'opening-failed';
          return apply({ kind: 'abandoned', reason }).catch((failure) =>
            log({ event: 'store-failed', code: codeOf(failure) }),
          );
        }
        await delay(retryMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
  }

  /** The applier has moved on and cannot go back: the event is tried until the disk takes it. */
  async function takeSummed(event: StoredEvent): Promise<void> {
    for (;;)
      try {
        return await take(event, null);
      } catch (error) {
        if (closed || !(error instanceof UnavailableError)) throw error;
        log({ event: 'store-failed', code: error.code });
        await delay(retryMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
  }

  function report(before: CoordinatorStudy, after: CoordinatorStudy): void {
    const { round } = after;
    if (round !== null && (before.round?.round !== round.round || before.round.stage !== round.stage))
      log({ event: 'stage', round: round.round, stage: round.stage });
    const ended = after.ended.at(-1);
    if (ended !== undefined && after.ended !== before.ended) {
      const reason = ended.aborted?.body.reason ?? null;
      log({ event: 'round-ended', round: ended.round, cohort: ended.survivors.length, reason });
    }
    if (after.outcome !== before.outcome) log({ event: 'study-ended', outcome: after.outcome });
  }

  /** What a crash may have left half done: a contribution that is whole but not noted, a deadline that passed. */
  async function recover(): Promise<void> {
    await apply({ kind: 'resumed' });
    const { round } = study;
    if (round?.stage === 'masked')
      for (const [sender, { complete }] of round.masked)
        if (!complete) await uploads.completeIfWhole(round.round, sender).catch(tolerateOffRoot);
    await inOrder(() => goOn(null));
    if (study.round === null) await tick();
  }

  const engine: Engine = {
    options,
    uploads,
    changes,
    study: () => study,
    cursor: () => cursor,
    consents: () => consents,
    replacements: () => replacements,
    apply,
    tick,
    settled: async () => {
      await opening;
    },
    async close() {
      if (closed) return;
      closed = true;
      stopping.abort();
      if (timer !== null) clearTimeout(timer);
      changes.announce();
      await opening?.catch(() => undefined);
      await queue;
      await store.close();
    },
  };
  await recover();
  return engine;
}

/** Dropped chunks are sent again by their owner. */
function tolerateOffRoot(error: unknown): void {
  if (codeOf(error) !== 'vector-off-root') throw error;
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unexpected';
}
