// The coordinator as a process that crashes and comes back: what it accepted is what its disk holds, an answer leaves only
// after that, and its clock jumps. It may lose its key and come back under another. The state, the checks and the bytes are
// the real ones (memory-coordinator.ts).

import { toHex } from '../encoding/bytes.ts';
import { InputError, RefusalError, UnavailableError } from '../errors.ts';
import type { StudyEvent } from '../round/coordinator-study.ts';
import type { ModelChain } from '../round/model-chain.ts';
import { acceptKeyChange } from '../round/parameters.ts';
import { confirmKeyChange, signKeyChange } from '../study/coordinator-key.ts';
import type { SignedKeyChange } from '../study/coordinator-key.ts';
import type { Draws } from './draws.ts';
import { memoryCoordinator, memoryDisk } from './memory-coordinator.ts';
import type { MemoryCoordinator } from './memory-coordinator.ts';
import type { Server } from './simulated-network.ts';
import { successor } from './small-study.ts';
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

export type KeyLoss = {
  /** Lost so many milliseconds after so many accepted events. */
  readonly afterEvents: number;
  readonly afterMs: number;
  /** Milliseconds until the lead and the new key have signed and it runs again. */
  readonly downMs: number;
  /** Round numbers between the newest that was opened and the first under the new key. */
  readonly spare: number;
};

export type SimulatedCoordinator = Server & {
  readonly central: () => MemoryCoordinator;
  /** The lead's changes of its key so far. */
  readonly keyChanges: () => readonly SignedKeyChange[];
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
  readonly keyLoss: KeyLoss | null;
}): SimulatedCoordinator {
  const { study, time, draws, terms, keyLoss } = around;
  const { cipher, parameters } = study;
  const keyChanges: SignedKeyChange[] = [];
  let lost = false;
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
      if (kept.events.length === keyLoss?.afterEvents) time.at(time.now() + keyLoss.afterMs, loseKey);
      if (cut) throw new PowerCut();
    },
  };
  const open = (): MemoryCoordinator => {
    const [change] = keyChanges;
    const own =
      change === undefined
        ? { signer: study.coordinator }
        : { signer: successor(cipher), signsFrom: change.change.fromRound };
    return memoryCoordinator({ cipher, parameters, ...own }, around.firstModel, clock, disk);
  };
  let central = open();
  let closed = 0;

  function goDown(): void {
    if (!up) return;
    up = false;
    armed = Infinity;
    const downtime = lost && keyChanges.length === 0 ? keyLoss!.downMs : draws.between(...terms.downtime);
    time.at(time.now() + downtime, start);
  }

  function loseKey(): void {
    lost = true;
    goDown();
  }

  function start(): void {
    if (!healed && draws.chance(terms.clockJump)) offset += draws.between(-terms.clockJumpMs, terms.clockJumpMs);
    if (lost && keyChanges.length === 0) {
      const change = changeFrom(open().study().nextRound + keyLoss!.spare);
      acceptKeyChange(cipher, parameters, change);
      keyChanges.push(change);
    }
    central = open();
    up = true;
    server.serve(() => {
      central.apply({ kind: 'resumed', now: clock.now() });
      // As main/coordinator/engine.ts does: what was open under the old key is given up.
      const from = keyChanges[0]?.change.fromRound ?? 0;
      const { nextRound, round } = central.study();
      if (nextRound < from || (round !== null && round.round < from))
        central.apply({ kind: 'restored', skip: Math.max(0, from - nextRound), now: clock.now() });
    });
  }

  function changeFrom(fromRound: number): SignedKeyChange {
    const next = successor(cipher);
    const signed = signKeyChange(study.contract, study.lead, {
      format: 'consilience/coordinator-key/1',
      contract: toHex(parameters.study),
      fromRound,
      old: toHex(study.coordinator.publicKey),
      next: toHex(next.publicKey),
      given: new Date(time.now()).toISOString(),
    });
    return confirmKeyChange(signed, next);
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
    keyChanges: () => keyChanges,
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
