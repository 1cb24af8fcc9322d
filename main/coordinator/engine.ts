// The coordinator's engine: the study's state, made of its stored events and nothing else. Events are applied one after
// another, in one order for all replicas that share the store; each is durable before anybody is told of its effect.
// Deadlines, the opening of sums and the clearing away of old contributions happen here. Design 6, "State".

import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { InvariantError, RefusalError, UnavailableError } from '../../app/errors.ts';
import type { Cipher, Clock, Signer } from '../../app/ports.ts';
import type { Adaptation } from '../../app/round/adaptation.ts';
import { newStudy, reduceStudy } from '../../app/round/coordinator-study.ts';
import type { CoordinatorRound } from '../../app/round/coordinator-state.ts';
import type { CoordinatorStudy } from '../../app/round/coordinator-study.ts';
import { relaySender } from '../../app/round/messages.ts';
import { coordinatorUnder } from '../../app/round/coordinator.ts';
import type { MeasuredSum } from '../../app/round/model-chain.ts';
import type { StudyParameters } from '../../app/round/parameters.ts';
import type { SignedKeyChange } from '../../app/study/coordinator-key.ts';
import { createChanges, whatMatters } from './changes.ts';
import type { Changes } from './changes.ts';
import type { CoordinatorStore, StoredRow } from './store.ts';
import type { StoredEvent } from './store/stored-event.ts';
import { coordinatorView, uploadsOf } from './uploads.ts';
import type { Uploads } from './uploads.ts';
import { createAddingPool } from './vectors/adding-pool.ts';
import { DamagedChunkError } from './vectors/partial-sum.ts';
import { sharedOpener } from './vectors/shared-opening.ts';
import { localOpener, readSum, storedSum } from './vectors/sum-opening.ts';
import type { SumOpener } from './vectors/sum-opening.ts';

/** What an opened sum shows: how long it was, and the words of its evaluation. */
export type SeenSum = { readonly measured: MeasuredSum; readonly metrics: Float64Array };

/** Applies opened sums in order; app/round/model-chain.ts behind it. Never changed: each sum gives the next one. */
export type SumApplier = {
  /** H(model) here, hex. */
  readonly model: string;
  /** What the sums so far decide about the next round; absent where the contract adapts nothing. */
  readonly adaptation?: Adaptation;
  /** Of the newest applied sum, for whoever watches; absent before the first. */
  readonly seen?: SeenSum;
  apply(
    round: number,
    survivors: readonly number[],
    sum: Uint32Array,
  ): { readonly next: SumApplier; readonly spoiled: boolean };
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
  /** Signed changes of the coordinator's key, oldest first; their newest key is `signer`. */
  readonly keyChanges?: readonly SignedKeyChange[];
  /** Threads that add and unmask large sums; all cores unless said otherwise. */
  readonly threads?: number;
  readonly log?: (line: LogLine) => void;
  /** Is told of every change of the state, those of before the start included; `live`: whether it happens now. */
  readonly observe?: (change: {
    readonly before: CoordinatorStudy;
    readonly after: CoordinatorStudy;
    readonly now: number;
    readonly live: boolean;
    /** Of the newest applied sum; null before the first. */
    readonly seen: SeenSum | null;
  }) => void;
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
  /** Resolves when this replica knows everything that any replica accepted before the call. */
  fresh(): Promise<void>;
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
  const { cipher, clock, parameters, store } = options;
  const coordinator = coordinatorUnder(cipher, parameters, options.signer, options.keyChanges ?? []);
  const log = options.log ?? (() => undefined);
  const changes = createChanges();
  const consents = new Map<number, Uint8Array>();
  const replacements: Uint8Array[] = [];
  let applier = options.applier;
  /** After the opened sum of a round that is not closed yet: with regions, their members speak first. */
  let opened: SumApplier | null = null;
  let study = newStudy(applier.model);
  /** The newest event that is in the state. */
  let newest = 0;
  let cursor = 0;
  let live = false;
  let closed = false;
  /** The latest reading of the clock. */
  let latest = clock.now();
  let timer: NodeJS.Timeout | null = null;
  let queue: Promise<unknown> = Promise.resolve();
  let opening: Promise<void> | null = null;
  const stopping = new AbortController();

  /** What others appended, or what was appended before the start. */
  async function adoptAll(rows: AsyncIterable<StoredRow>): Promise<void> {
    for await (const { seq, event, document } of rows) {
      if (event.kind === 'summed') opened = await appliedAgain(event);
      adopt(reduceStudy(coordinator, study, event), seq, event, document);
    }
  }

  async function appliedAgain(event: StoredEvent & { readonly kind: 'summed' }): Promise<SumApplier> {
    const { round } = study;
    if (round === null) return applier;
    const record = { round: round.round, sum: event.sum, survivors: round.survivors };
    const sum = await storedSum(cipher, parameters, store, record);
    const { next } = applier.apply(round.round, round.survivors, sum);
    if (next.model !== event.model)
      throw new InvariantError(
        'model-differs',
        `Round ${round.round} gives another model now than when it was closed. Use the version of the program that began the study.`,
      );
    return next;
  }

  function adopt(next: CoordinatorStudy, seq: number, event: StoredEvent, document: Uint8Array | null): void {
    const before = study;
    study = next;
    newest = seq;
    if (opened !== null && next.pending === undefined) {
      if (opened.model === next.model) applier = opened;
      opened = null;
    }
    if (whatMatters(next) !== whatMatters(before)) cursor = seq;
    if (event.kind === 'consented' && document !== null) consents.set(event.index, document);
    if (event.kind === 'replaced' && document !== null) replacements.push(document);
    if (live) report(before, next);
    options.observe?.({ before, after: next, now: event.now, live, seen: applier.seen ?? null });
  }

  const inOrder = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const result = queue.then(() => {
      if (closed) throw new UnavailableError('stopping', 'The coordinator is stopping. Try again in a moment.');
      return work();
    });
    queue = result.catch(() => undefined);
    return result;
  };

  /** Wakes whoever waits and begins what is due, however the state came to move. */
  async function andGoOn<Result>(work: () => Promise<Result>): Promise<Result> {
    const before = study;
    const seen = cursor;
    try {
      return await work();
    } finally {
      if (cursor !== seen) changes.announce();
      if (study !== before) await goOn(before);
    }
  }

  /**
   * Appends one event behind everything that any replica appended before it.
   * @param still whether the event is still meant, asked once all others are known
   * @returns whether it changed anything.
   */
  const take = (
    event: StoredEvent,
    document: Uint8Array | null,
    still: () => boolean = () => true,
    applied: SumApplier | null = null,
  ): Promise<boolean> =>
    andGoOn(async () => {
      const taken = await store.inTurn(async (turn) => {
        await adoptAll(turn.newer(newest));
        if (!still()) return null;
        const next = reduceStudy(coordinator, study, event);
        return next === study ? null : { next, seq: await turn.append(event, document) };
      });
      if (taken === null) return false;
      opened = applied ?? opened;
      adopt(taken.next, taken.seq, event, document);
      return true;
    });

  const catchUp = (): Promise<void> => inOrder(() => andGoOn(() => adoptAll(store.events(newest))));

  const apply = (
    event: Unstamped,
    document: Uint8Array | null = null,
    still: () => boolean = () => true,
  ): Promise<void> =>
    inOrder(async () => {
      const now = clock.now();
      if (now < latest - backwardsMs) {
        // Deadlines would lie as far ahead as the clock was set back.
        log({ event: 'clock-went-back', seconds: Math.round((latest - now) / 1000) });
        latest = now;
        await take({ kind: 'resumed', now }, null);
      }
      latest = Math.max(latest, now);
      await take({ ...event, now }, document, still);
    });

  const uploads = uploadsOf({
    cipher,
    parameters,
    store,
    view: coordinatorView(parameters, () => study),
    uploaded: (round, sender) =>
      // A round that ended meanwhile must not take this for the next one's contribution.
      inOrder(async () => {
        await take({ kind: 'uploaded', sender, now: clock.now() }, null, () => study.round?.round === round);
      }),
  });

  /** After every change: what is now due, now or later. */
  async function goOn(before: CoordinatorStudy | null): Promise<void> {
    if (closed) return;
    arm(0);
    if (study.round?.stage === 'opening') opening ??= openNow(study.round).finally(() => (opening = null));
    if (before !== null && before.ended === study.ended) return;
    try {
      const kept = keptRounds();
      await store.keepRounds(kept);
      await store.files.keepMasked(kept);
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

  const isOpening = (number: number): boolean => study.round?.round === number && study.round.stage === 'opening';

  async function openNow(round: CoordinatorRound): Promise<void> {
    const number = round.round;
    while (isOpening(number)) {
      try {
        await opener.open(round);
        if (closed || !isOpening(number)) return;
        const { sum, hash } = await readSum(cipher, parameters, store, round);
        await inOrder(async () => {
          // Another replica may have closed the round and moved the model on since.
          if (!isOpening(number)) return;
          const { next, spoiled } = applier.apply(number, round.survivors, sum);
          const { model, adaptation } = next;
          const adapted = adaptation === undefined ? {} : { adaptation };
          const event = { kind: 'summed', sum: hash, model, ...adapted, spoiled, now: clock.now() } as const;
          await take(event, null, () => isOpening(number), next);
        });
      } catch (error) {
        if (closed) return;
        log({ event: 'opening-failed', round: number, code: codeOf(error) });
        if (error instanceof UnavailableError)
          await delay(retryMs, undefined, { signal: stopping.signal }).catch(() => undefined);
        else {
          const reason = error instanceof DamagedChunkError ? error.code : 'opening-failed';
          await apply({ kind: 'abandoned', reason }, null, () => isOpening(number)).catch((failure: unknown) =>
            log({ event: 'store-failed', code: codeOf(failure) }),
          );
          return;
        }
      }
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
    // While other replicas served, no stage lost any time.
    if (store.alone) await apply({ kind: 'resumed' });
    // What was open under the old key is given up, and the numbers up to the change are passed over.
    const from = parameters.keyChanges.at(-1)?.fromRound ?? 0;
    if (study.nextRound < from || (study.round !== null && study.round.round < from))
      await apply({ kind: 'restored', skip: Math.max(0, from - study.nextRound) });
    const { round } = study;
    const senders = round === null ? [] : [...round.masked, ...relaysOf(round)];
    if (round?.stage === 'masked')
      for (const [sender, { complete }] of senders)
        if (!complete) await uploads.completeIfWhole(round.round, sender).catch(tolerateOffRoot);
    await inOrder(() => goOn(null));
    if (study.round === null) await tick();
  }

  /** Rounds that the old key opened do not replay as the new one's. */
  async function underAnotherKey(error: unknown): Promise<unknown> {
    const { signsFrom } = coordinator;
    if (signsFrom === undefined || !(error instanceof RefusalError)) return error;
    let last = 0;
    for await (const { event } of store.events(0))
      if (event.kind === 'message') last = Math.max(last, event.message.round);
    return new RefusalError(
      'coordinator-key-round-used',
      `The new key is to sign from round ${signsFrom} on, but rounds up to ${last} were opened under the old one. Take coordinator-keys.json out of the study’s folder and ask the lead for a statement with --from-round ${last + 1} or more.`,
      { cause: error },
    );
  }

  async function openerFor(): Promise<SumOpener> {
    const threads = options.threads ?? availableParallelism();
    const pool = createAddingPool({ cipher, parameters, store, threads });
    if (store.shared === null) return localOpener(parameters, store, pool);
    return sharedOpener({
      parameters,
      store,
      pool,
      async roundNow(number) {
        await engine.fresh();
        return isOpening(number) ? study.round : null;
      },
      log: (code) => log({ event: 'jobs', code }),
    });
  }

  const engine: Engine = {
    options,
    uploads,
    changes,
    study: () => study,
    cursor: () => cursor,
    consents: () => consents,
    replacements: () => replacements,
    apply: (event, document) => apply(event, document),
    async fresh() {
      if (await store.isBehind(newest)) await catchUp();
    },
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
      await opener.close();
      await opening?.catch(() => undefined);
      await queue;
      await store.close();
    },
  };

  await adoptAll(store.events(0)).catch(async (error: unknown) => {
    throw await underAnotherKey(error);
  });
  live = true;
  const opener = await openerFor();
  store.onNews(() => {
    if (!closed) void catchUp().catch((error: unknown) => log({ event: 'catching-up-failed', code: codeOf(error) }));
  });
  try {
    await recover();
  } catch (error) {
    await opener.close();
    throw error;
  }
  return engine;
}

const relaysOf = ({ regionSums }: CoordinatorRound) =>
  [...regionSums].map(([position, held]) => [relaySender(position), held] as const);

/** Dropped chunks are sent again by their owner. */
function tolerateOffRoot(error: unknown): void {
  if (codeOf(error) !== 'vector-off-root') throw error;
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unexpected';
}
