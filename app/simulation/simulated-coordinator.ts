// The coordinator as a process that crashes and comes back: what it accepted is what its disk holds, an answer leaves only
// after that, and its clock jumps. The state, the checks and the bytes are the real ones (memory-coordinator.ts).

import { InputError, RefusalError, UnavailableError } from '../errors.ts';
import type { StudyEvent } from '../round/coordinator-study.ts';
import type { ModelChain } from '../round/model-chain.ts';
import type { Draws } from './draws.ts';
import { memoryCoordinator, memoryDisk } from './memory-coordinator.ts';
import type { MemoryCoordinator } from './memory-coordinator.ts';
import type { Server } from './simulated-network.ts';
import type { SmallStudy } from './small-study.ts';
import type { VirtualTime } from './virtual-time.ts';
import type { Witness } from './witness.ts';

class PowerCut extends Error {}

export type CoordinatorTerms = {
  /** Probability that the power goes at an accepted event: half of them before it is durable. */
  readonly crash: number;
  /** Milliseconds until it runs again, least and most. */
  readonly downtime: readonly [least: number, most: number];
  /** Probability, at each start, that the clock is set to another time, and by how much at most. */
  readonly clockJump: number;
  readonly clockJumpMs: number;
};

export type SimulatedCoordinator = Server & {
  readonly central: () => MemoryCoordinator;
  /** Ends the process; it starts again by itself. */
  crash(): void;
  /** From now on nothing fails. */
  heal(): void;
};

export function simulatedCoordinator(around: {
  readonly study: SmallStudy;
  readonly firstModel: ModelChain;
  readonly time: VirtualTime;
  readonly draws: Draws;
  readonly terms: CoordinatorTerms;
  readonly witness: Witness;
}): SimulatedCoordinator {
  const { study, time, draws, terms } = around;
  const { cipher, parameters } = study;
  let offset = 0;
  let up = true;
  let healed = false;
  let armed = Infinity;
  const clock = { now: () => time.now() + offset };
  const kept = memoryDisk();
  const disk = {
    ...kept,
    append(event: StudyEvent): void {
      const cut = !healed && draws.chance(terms.crash);
      const before = cut && draws.chance(0.5);
      if (before) throw new PowerCut();
      kept.append(event);
      if (cut) throw new PowerCut();
    },
  };
  const open = (): MemoryCoordinator =>
    memoryCoordinator({ cipher, parameters, signer: study.coordinator }, around.firstModel, clock, disk);
  let central = open();
  let closed = 0;

  function goDown(): void {
    if (!up) return;
    up = false;
    armed = Infinity;
    time.at(time.now() + draws.between(...terms.downtime), start);
  }

  function start(): void {
    if (!healed && draws.chance(terms.clockJump)) offset += draws.between(-terms.clockJumpMs, terms.clockJumpMs);
    central = open();
    up = true;
    server.serve(() => central.apply({ kind: 'resumed', now: clock.now() }));
  }

  /** The next moment at which something ends or begins by itself. */
  function arm(): void {
    const { round, opensAt } = central.study();
    const due = round === null ? opensAt : round.deadline;
    if (due === null) return;
    const when = Math.max(due - offset, time.now()) + 1;
    if (when >= armed) return;
    armed = when;
    time.at(when, () => {
      armed = Infinity;
      server.serve(() => central.apply({ kind: 'tick', now: clock.now() }));
    });
  }

  function lookAtSums(): void {
    const all = central.study().closed;
    for (; closed < all.length; closed++) {
      const { round, survivors } = all[closed]!;
      const [words] = kept.sums.get(round)!;
      around.witness.opened(round, survivors, words!);
    }
  }

  const server: SimulatedCoordinator = {
    central: () => central,
    serve(work) {
      if (!up) return null;
      try {
        const result = work();
        central.openIfDue();
        lookAtSums();
        arm();
        return () => result;
      } catch (error) {
        if (error instanceof PowerCut) {
          goDown();
          return null;
        }
        const spoken =
          error instanceof RefusalError || error instanceof InputError || error instanceof UnavailableError;
        if (!spoken) throw error;
        arm();
        return () => {
          throw error;
        };
      }
    },
    crash: () => {
      if (!healed) goDown();
    },
    heal() {
      healed = true;
      const wrong = offset;
      offset = 0;
      // A clock that is put right backwards makes deadlines lie ahead; the real one notices (main/coordinator/engine.ts).
      if (up && wrong > 0) server.serve(() => central.apply({ kind: 'resumed', now: clock.now() }));
    },
  };
  return server;
}
