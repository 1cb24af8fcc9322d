// Chooses the tensor backend: the first in order that is here, passes the self-test and is no slower than wasm. What may
// end the process that loads it is tried in a process of its own first. What was refused, and why, is told, never hidden.
// Design 5, "Backends".

import { getBackend, setBackend } from '@tensorflow/tfjs-core';
import { InvariantError } from '../../app/errors.ts';
import { findingOf, measureSpeed, selfTest } from './self-test.ts';
import type { SelfTest, Speed } from './self-test.ts';

export type Candidate = {
  readonly name: string;
  /** Native code that a bad driver can bring down: tried in a process of its own first. */
  readonly risky: boolean;
  /** A quick look without loading anything: why this machine cannot have it, or null. */
  readonly look?: () => string | null;
  /**
   * Makes the backend the current one and names what computes, or null where the backend's name says it all.
   * @throws NotHere where this machine does not have it; Error where it has and does not work
   */
  readonly start: () => Promise<string | null>;
};

/** The machine does not have what a backend needs: nothing is wrong. */
export class NotHere extends Error {}

export type BackendReason = { readonly name: string; readonly reason: string };

export type BackendChoice = {
  readonly name: string;
  /** What computes, as it calls itself; null where the backend's name says it all. */
  readonly device: string | null;
  readonly speed: Speed;
  /** Here, and not taken. */
  readonly refused: readonly BackendReason[];
  /** Not on this machine. */
  readonly absent: readonly BackendReason[];
};

/** What one backend is found to be. */
export type Works = { readonly state: 'works'; readonly device: string | null; readonly speed: Speed };
export type Trial =
  | Works
  | { readonly state: 'refused'; readonly reason: string }
  | { readonly state: 'absent'; readonly reason: string };

/** Tries a risky candidate elsewhere (probe.ts). */
export type TryApart = (candidate: Candidate) => Promise<Trial>;

export type ChooseOptions = {
  readonly order: readonly Candidate[];
  /** The oracle. */
  readonly reference: Candidate;
  readonly tryApart: TryApart;
};

/**
 * Leaves the chosen backend as the current one.
 * @throws InvariantError `no-backend` where none of them works, with each reason
 */
export async function chooseFrom({ order, reference, tryApart }: ChooseOptions): Promise<BackendChoice> {
  const refused: BackendReason[] = [];
  const absent: BackendReason[] = [];
  const plain = order.find(({ risky }) => !risky);
  let plainTrial: Trial | null = null;
  for (const candidate of order) {
    const { name } = candidate;
    let trial: Trial;
    const missing = candidate.look?.() ?? null;
    if (missing !== null) trial = { state: 'absent', reason: missing };
    else if (candidate.risky) {
      trial = await tryApart(candidate);
      if (trial.state === 'works' && plain !== undefined) {
        plainTrial ??= await tryHere(plain, reference);
        const slower = slowerThan(trial.speed, plain.name, plainTrial);
        trial = slower === null ? await tryHere(candidate, reference) : { state: 'refused', reason: slower };
      }
    } else {
      trial = candidate === plain && plainTrial !== null ? plainTrial : await tryHere(candidate, reference);
      if (trial.state === 'works' && plainTrial === trial) await candidate.start();
    }
    if (trial.state === 'works') return { name, device: trial.device, speed: trial.speed, refused, absent };
    (trial.state === 'absent' ? absent : refused).push({ name, reason: trial.reason });
  }
  const reasons = [...refused, ...absent].map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  throw new InvariantError('no-backend', `No way to compute works on this machine (${reasons}). Please report this.`);
}

/** Measured speeds waver on a busy machine: only what is clearly slower is refused for it. */
export const clearlySlower = 0.8;

function slowerThan({ gigaflops }: Speed, name: string, other: Trial): string | null {
  if (other.state !== 'works' || gigaflops >= clearlySlower * other.speed.gigaflops) return null;
  const rounded = (value: number): string => value.toPrecision(2);
  return `it is slower here (${rounded(gigaflops)} GFLOP/s) than ${name} (${rounded(other.speed.gigaflops)})`;
}

/** Self-test and speed in this process; the candidate is the current backend afterwards if it works. */
export async function tryHere(candidate: Candidate, reference: Candidate): Promise<Trial> {
  try {
    const device = await candidate.start();
    const backend = getBackend();
    await reference.start();
    const expected = await referenceOf();
    if (!(await setBackend(backend))) throw new Error(`backend ${backend} did not start again`);
    const found = findingOf(await selfTest(), expected);
    if (found !== null) return { state: 'refused', reason: device === null ? found : `${device}: ${found}` };
    return { state: 'works', device, speed: await measureSpeed() };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return error instanceof NotHere
      ? { state: 'absent', reason }
      : { state: 'refused', reason: `it did not start (${reason})` };
  }
}

const references = new Map<string, Promise<SelfTest>>();

/** The oracle's results, computed once in a process. */
function referenceOf(): Promise<SelfTest> {
  const name = getBackend();
  const known = references.get(name) ?? selfTest();
  references.set(name, known);
  return known;
}
