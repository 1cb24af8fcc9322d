// The host of one institution's home: runs its studies, answers windows, and is the only one of its kind for that home.
// It works with or without a window. What it may write, sign or send is decided by the participant's own code; here is
// only who is asked and in which order. Design 2, "Processes" (host).

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventName, Handlers, Session } from '../../../app/bridge.ts';
import type { Policy } from '../../../app/study/policy.ts';
import { dispatcher } from './dispatch.ts';
import { serveSocket, socketPath } from './socket.ts';
import type { Connect, HostConnection } from './socket.ts';
import { auditHandlers } from './audit.ts';
import { budgetBook } from './budget-book.ts';
import type { BudgetBook } from './budget-book.ts';
import { ledgerView } from './ledger-view.ts';
import type { LedgerView } from './ledger-view.ts';
import { dataHandlers } from './data.ts';
import { roundHandlers } from './rounds.ts';
import { openRuns } from './runs.ts';
import type { Runs } from './runs.ts';
import { knownStudies } from './studies.ts';
import type { KnownStudies } from './studies.ts';
import { studyHandlers } from './study-calls.ts';
import { sessionHandlers } from './sessions.ts';
import { systemHandlers } from './system.ts';
import type { Demonstration } from './system.ts';
import { openWorks } from './work.ts';
import type { Works } from './work.ts';
import { diskError } from '../disk/disk-error.ts';
import { homeThread, plainKeys } from '../home/thread.ts';
import type { HomeThread } from '../home/thread.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import { readStatus } from '../participant/status.ts';
import { readPolicyFile } from '../policy-file.ts';
import { lockForThisProcess } from '../disk/process-lock.ts';

export type HostOptions = {
  readonly home: string;
  /** A prompt of its own or a stand-in for the keyring cannot be told to the home's thread. */
  readonly keys: KeySourceOptions;
  /** IT's policy; null where there is none. */
  readonly policyPath: string | null;
  readonly version: string;
  /** null where none can be tried from this home. */
  readonly demonstration: ((events: DemonstrationEvents) => Demonstration) | null;
  /** Starts a demonstration in a folder of its own; absent where none can be started. */
  readonly openDemonstration?: () => Promise<{ address: string }>;
  /** Ends this program when a window asks for it; absent where no window may. */
  readonly onStopAsked?: () => void;
  /** Hears of defects; they hold no record content. */
  readonly onDefect: (where: string, error: unknown) => void;
  /** How long a study keeps the floor between rounds while another waits, milliseconds. */
  readonly turnMs?: number;
  /** Between two looks at the log and at the status file, milliseconds. */
  readonly lookEveryMs?: number;
};

export type DemonstrationEvents = {
  readonly onChange: () => void;
  /** The demonstration has enrolled this home and its terms can be had. */
  readonly onReady: () => void;
};

/** Events that say nothing but that they happened. */
type Plain = Exclude<EventName, 'ledger.changed'>;

/** What the handlers share. */
export type HostParts = {
  readonly options: HostOptions;
  readonly policy: () => Promise<Policy | null>;
  readonly view: LedgerView;
  readonly book: BudgetBook;
  readonly studies: KnownStudies;
  readonly runs: Runs;
  /** Does whatever opens keys or writes the log; the rounds are in it. */
  readonly thread: HomeThread;
  /** Another one, for what only reads and takes long: no round waits for a verification. */
  readonly reader: HomeThread;
  readonly works: Works;
  readonly demonstration: Demonstration | null;
  readonly windows: () => number;
  /** Told to every window; the log is read on first. */
  readonly changed: (...events: Plain[]) => Promise<void>;
};

export type Host = {
  readonly connect: Connect;
  readonly demonstration: Demonstration | null;
  readonly socket: string;
  close(): Promise<void>;
};

const termsEveryMs = 5000;
const longestFirstLookMs = 500;
/** Windows hear of a status that keeps changing, as while training, no more often than this. */
const statusEveryMs = 100;

/**
 * @throws RefusalError `in-use` where another host has this home: attach to it instead; those of the policy file;
 * UnavailableError where folder or socket cannot be made.
 */
export async function openHost(options: HostOptions): Promise<Host> {
  const { home, onDefect } = options;
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskError(error, `The folder ${home}`);
  }
  const lock = lockForThisProcess(join(home, 'host.lock'), `The folder ${home}`);
  const closers: (() => void | Promise<void>)[] = [() => lock.release()];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).reverse()) await one();
  };
  try {
    const policy = async (): Promise<Policy | null> =>
      options.policyPath === null ? null : readPolicyFile(options.policyPath, true);
    await policy();
    const windows = new Set<(event: EventName, data: unknown) => void>();
    const emit = (event: EventName, data: unknown): void => {
      for (const tell of windows) tell(event, data);
    };
    const view = ledgerView(home);
    const look = async (): Promise<void> => {
      if (await view.refresh()) emit('ledger.changed', { entries: view.entries().length });
    };
    // Windows need not wait for a very long log: what is read later shows as it comes.
    let opening = true;
    const first = look().catch((error: unknown) => {
      if (opening) throw error;
      onDefect('look', error);
    });
    await Promise.race([first, sleep(longestFirstLookMs, undefined, { ref: false })]);
    opening = false;
    const studies = knownStudies(home);
    const changed: HostParts['changed'] = async (...events) => {
      if (events.includes('study.changed')) studies.forget();
      await look();
      for (const event of events) emit(event, {});
    };
    const soon = (...events: Plain[]): void =>
      void changed(...events).catch((error: unknown) => onDefect('look', error));

    /** What a study stands at changes with its rounds, and when one may not begin. */
    let studyMoved = false;
    let telling: NodeJS.Timeout | null = null;
    closers.push(() => {
      if (telling !== null) clearTimeout(telling);
    });
    const statusWritten = (): void => {
      telling ??= setTimeout(() => {
        telling = null;
        soon('round.changed', ...(studyMoved ? (['study.changed'] as const) : []));
        studyMoved = false;
      }, statusEveryMs);
    };
    const surroundings = { home, keys: plainKeys(options.keys), policyPath: options.policyPath };
    const [thread, reader] = [homeThread(surroundings), homeThread(surroundings)];
    for (const one of [thread, reader]) closers.push(() => one.close());
    const runs = await openRuns({
      home,
      ...(options.turnMs === undefined ? {} : { turnMs: options.turnMs }),
      onDefect,
      onChange: () => soon('round.changed', 'study.changed'),
      betweenRounds: async (study) => {
        const status = await readStatus(home, study);
        return status === null || status.stage === null;
      },
      run: (study, signal, onClosed) =>
        thread.ask(
          'run',
          { study },
          {
            signal,
            news(what) {
              if (what === 'status') return statusWritten();
              if (what === 'closed') onClosed();
              studyMoved = true;
            },
          },
        ),
    });
    closers.push(() => runs.close());
    const lookForTerms = async (): Promise<void> => {
      if (await studies.lookForTerms()) await changed('study.changed');
    };
    const demonstration =
      options.demonstration?.({
        onChange: () => soon('demo.changed'),
        onReady: () =>
          void lookForTerms()
            .then(() => changed('study.changed', 'demo.changed'))
            .catch((error: unknown) => onDefect('demonstration', error)),
      }) ?? null;
    if (demonstration !== null) closers.push(() => demonstration.close());

    for (const { terms, consent, withdrawn } of await studies.list())
      if (terms !== null && consent !== null && !withdrawn) runs.want(terms.hash);

    const parts: HostParts = {
      options,
      policy,
      view,
      book: budgetBook(() => view.entries()),
      studies,
      runs,
      thread,
      reader,
      works: openWorks(() => emit('work.changed', {})),
      demonstration,
      windows: () => windows.size,
      changed,
    };
    const handlers: Handlers = {
      ...systemHandlers(parts),
      ...studyHandlers(parts),
      ...dataHandlers(parts),
      ...sessionHandlers(parts),
      ...roundHandlers(parts),
      ...auditHandlers(parts),
    };
    const dispatch = dispatcher(handlers, onDefect);
    const closing = new Set<() => void>();
    const connect: Connect = (session: Session): HostConnection => {
      const listeners: ((event: EventName, data: unknown) => void)[] = [];
      const tell = (event: EventName, data: unknown): void => {
        for (const listener of listeners) listener(event, data);
      };
      const ends: (() => void)[] = [];
      windows.add(tell);
      return {
        call: (name, input) => dispatch(session, name, input),
        onEvent: (listener) => void listeners.push(listener),
        onClose(listener) {
          ends.push(listener);
          closing.add(listener);
        },
        close() {
          windows.delete(tell);
          for (const listener of ends) closing.delete(listener);
        },
      };
    };
    const socket = socketPath(home);
    const stopServing = await serveSocket(socket, connect);
    closers.push(async () => {
      for (const listener of closing) listener();
      await stopServing();
    });
    const looking = setInterval(
      () => void look().catch((error: unknown) => onDefect('look', error)),
      options.lookEveryMs ?? 500,
    );
    const asking = setInterval(
      () => void lookForTerms().catch((error: unknown) => onDefect('terms', error)),
      termsEveryMs,
    );
    closers.push(() => {
      clearInterval(looking);
      clearInterval(asking);
    });
    await lookForTerms();
    return { connect, demonstration, socket, close };
  } catch (error) {
    await close();
    throw error;
  }
}
