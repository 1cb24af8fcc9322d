// The network between institutions and the coordinator: messages take time, are lost, come twice and out of order, and
// partitions cut institutions off. The caller hears an answer, a refusal, or nothing until its patience ends.

import { UnavailableError } from '../errors.ts';
import type { Draws } from './draws.ts';
import type { Process, VirtualTime } from './virtual-time.ts';

export type NetworkTerms = {
  /** Milliseconds one way, least and most. */
  readonly delay: readonly [least: number, most: number];
  /** Most milliseconds one way once nothing fails any more; absent: as before. */
  readonly calmDelay?: number;
  /** How many times longer everything takes from and to an institution; absent: as for the others. */
  readonly slow?: { readonly [index: number]: number };
  /** Probability that one way loses a message, and that a request arrives twice. */
  readonly loss: number;
  readonly duplication: number;
  /** When these institutions cannot be reached, ms after the start. */
  readonly partitions: readonly { readonly from: number; readonly to: number; readonly cut: readonly number[] }[];
};

/** How long a caller waits for an answer. */
export const patienceMs = 8000;

/** What answers requests: throws what the caller is to hear; null when it is down and nothing answers. */
export type Server = { serve<Result>(work: () => Result): (() => Result) | null };

export type SimulatedNetwork = {
  /** Calls `work` at the server. @throws UnavailableError `coordinator-unreachable`. */
  call<Result>(process: Process, index: number, work: () => Result): Promise<Result>;
  /** From now on nothing is lost, doubled, cut off or later than `calmDelay`. */
  heal(): void;
};

export function simulatedNetwork(
  time: VirtualTime,
  draws: Draws,
  terms: NetworkTerms,
  server: Server,
): SimulatedNetwork {
  let healed = false;
  const start = time.now();
  const isCut = (index: number): boolean =>
    !healed &&
    terms.partitions.some(
      ({ from, to, cut }) => cut.includes(index) && time.now() >= start + from && time.now() < start + to,
    );
  const arrives = (index: number): boolean => !isCut(index) && (healed || !draws.chance(terms.loss));
  const later = (index: number, work: () => void): void => {
    const [least, most] = terms.delay;
    const longest = healed ? Math.max(least, Math.min(most, terms.calmDelay ?? most)) : most;
    time.at(time.now() + (terms.slow?.[index] ?? 1) * draws.between(least, longest), work);
  };
  return {
    heal() {
      healed = true;
    },
    call: (process, index, work) =>
      process.wait((done) => {
        const given = time.now();
        time.at(given + patienceMs, () =>
          done(() => {
            throw new UnavailableError('coordinator-unreachable', 'The coordinator does not answer.');
          }),
        );
        const arrive = (): void => {
          if (!arrives(index)) return;
          const outcome = server.serve(work);
          if (outcome === null) return;
          later(index, () => {
            if (arrives(index)) done(outcome);
          });
        };
        later(index, arrive);
        if (!healed && draws.chance(terms.duplication)) later(index, arrive);
      }),
  };
}
