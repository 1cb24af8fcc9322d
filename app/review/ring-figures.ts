// How much room the ring of 2^w leaves: the clamp B, what it means beside one contribution, and the largest sum there can
// be. Wrap harms utility, never ε. Design 3, "Quantisation".

import { RefusalError } from '../errors.ts';
import { clampBound, noiseMargin } from '../sealed-sum/quantise.ts';
import type { ContractDraft } from '../study/contract.ts';
import { noisedLength } from './round-event.ts';

export type RingFigures = {
  /** B, in steps. */
  readonly clampBound: number;
  /** n·B + ⌈8√(n v)⌉, which stays below 2^(w−2). */
  readonly wrapBound: number;
  readonly wrapLimit: number;
  /** B/sC (`local`: B over the update scale and the largest plain update). */
  readonly room: number;
  /** What `room` counts, in words. */
  readonly measure: string;
  /** Room below which even one contribution is cut. */
  readonly smallest: number;
  /** Room that a large batch needs. */
  readonly wanted: number;
  /** `local`: standard deviation of the noise in the update of the institution that has least of it; else 0. */
  readonly finestNoise: number;
};

/** null where the ring leaves no room at all, or `local` lacks its update scale. */
export function ringFigures(contract: ContractDraft): RingFigures | null {
  const { training, sealing, roster } = contract;
  const local = training.mode === 'local';
  const variance = local ? 0 : sealing.noiseVariance;
  const institutions = Math.max(1, roster.length);
  let bound: number;
  try {
    bound = clampBound({ institutions, variance, ringBits: sealing.ringBits });
  } catch (error) {
    if (error instanceof RefusalError) return null;
    throw error;
  }
  const fixed = {
    clampBound: bound,
    wrapBound: institutions * bound + noiseMargin(institutions, variance),
    wrapLimit: 2 ** (sealing.ringBits - 2),
  };
  const batches = roster.map((one) => Math.max(1, training.samplingRate * one.nominalUnits));
  // Of a batch this share is tested on; what is trained on is divided by what is left.
  const trained = batches.map((batch) => batch * (1 - (contract.evaluation?.share ?? 0)));
  if (local) return sealing.updateScale === null ? null : { ...fixed, ...localRoom(contract, bound, trained) };
  const room = bound / (sealing.scale * noisedLength(training));
  // A batch whose gradients all lean on few coordinates adds up there; the more parameters, the less of it on one.
  const spread = Math.min(1, 16 / Math.sqrt(sealing.dimension));
  const wanted = training.mode === 'institution' ? 1 : Math.max(1, spread * Math.max(1, ...batches));
  return { ...fixed, room, measure: 'the clipping norm', smallest: 1, wanted, finestNoise: 0 };
}

function localRoom(
  { training, sealing }: ContractDraft,
  bound: number,
  batches: readonly number[],
): Pick<RingFigures, 'room' | 'measure' | 'smallest' | 'wanted' | 'finestNoise'> {
  const rate = training.localLearningRate ?? 1;
  const steps = training.localSteps;
  const { adaptiveClipping } = training;
  // K steps of length at most rate × C each, before noise, at the largest C there may be.
  const plain = rate * steps * (adaptiveClipping?.most ?? training.clippingNorm);
  const noise = (batch: number): number =>
    (rate * Math.sqrt(steps) * Math.sqrt(sealing.noiseVariance)) / (sealing.scale * batch);
  const largest = Math.max(0, ...batches.map(noise)) * (adaptiveClipping?.most ?? 1);
  return {
    room: bound / sealing.updateScale! / plain,
    measure: 'the largest update without noise',
    smallest: Math.min(1, 1 / Math.sqrt(sealing.dimension)),
    wanted: 1 + (8 * largest) / plain,
    finestNoise: Math.min(Number.MAX_VALUE, ...batches.map(noise)) * (adaptiveClipping?.least ?? 1),
  };
}
