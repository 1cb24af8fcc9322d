// Time that moves only from event to event, and processes that live in it. Everything runs on one thread in one order, so
// a seed gives the same run, to the byte. A process that is killed never runs another line, as after `kill -9`.

import { InvariantError } from '../errors.ts';
import type { Clock } from '../ports.ts';

/** Work that begins now and tells later, in an event of its own, how it went. */
export type Begin<Result> = (done: (outcome: () => Result) => void) => void;

export type Process = {
  readonly alive: () => boolean;
  /** Waits for what `begin` tells. If the process is killed meanwhile, it never comes back. */
  wait<Result>(begin: Begin<Result>): Promise<Result>;
  sleep(milliseconds: number): Promise<void>;
  kill(): void;
  /** The process ends itself here: what this returns never resolves. */
  die(): Promise<never>;
};

export type VirtualTime = Clock & {
  /** Runs `work` at that moment, after everything that was put there before. */
  at(when: number, work: () => void): void;
  spawn(main: (process: Process) => Promise<void>): Process;
  /**
   * Runs event after event until none is left, `until` is reached or `afterEach` says enough. Errors of processes come
   * out of here.
   */
  run(until: number, afterEach: () => boolean): Promise<void>;
};

type Event = { readonly when: number; readonly order: number; readonly work: () => void };

/** Microtasks that one event may take: more is a process that never waits. */
const mostTurns = 1_000_000;

export function virtualTime(start: number): VirtualTime {
  let now = start;
  let order = 0;
  let running = 0;
  let failed: { readonly error: unknown } | null = null;
  const queue: Event[] = [];

  const time: VirtualTime = {
    now: () => now,
    at(when, work) {
      push(queue, { when: Math.max(now, when), order: order++, work });
    },
    spawn(main) {
      let alive = true;
      let awake = true;
      running++;
      const stop = (): void => {
        if (alive && awake) running--;
        alive = false;
      };
      const process: Process = {
        alive: () => alive,
        wait: (begin) =>
          new Promise((resolve, reject) => {
            if (!alive) return;
            awake = false;
            running--;
            let told = false;
            begin((outcome) => {
              if (told || !alive) return;
              told = true;
              awake = true;
              running++;
              try {
                resolve(outcome());
              } catch (error) {
                reject(error);
              }
            });
          }),
        sleep: (milliseconds) => process.wait((done) => time.at(now + milliseconds, () => done(() => undefined))),
        kill: stop,
        die() {
          stop();
          return new Promise<never>(() => undefined);
        },
      };
      main(process).then(stop, (error: unknown) => {
        failed ??= { error };
        stop();
      });
      return process;
    },
    async run(until, afterEach) {
      await settled();
      for (let next = pop(queue); next !== undefined && next.when <= until; next = pop(queue)) {
        now = next.when;
        next.work();
        await settled();
        if (failed !== null) throw failed.error;
        if (afterEach()) return;
      }
    },
  };

  /** Lets every process go on until it waits. */
  async function settled(): Promise<void> {
    const isBusy = (): boolean => running > 0;
    for (let turn = 0; isBusy(); turn++) {
      if (turn > mostTurns)
        throw new InvariantError('simulation-stuck', 'A simulated process goes on without ever waiting.');
      await Promise.resolve();
    }
  }
  return time;
}

const isBefore = (left: Event, right: Event): boolean =>
  left.when < right.when || (left.when === right.when && left.order < right.order);

/** A binary heap by time, then by order of arrival. */
function push(heap: Event[], event: Event): void {
  let at = heap.push(event) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
