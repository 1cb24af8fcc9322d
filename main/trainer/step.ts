// One participant's vector of one round: sample → clipped gradient sum on the current tensor backend → sealed-vector.ts.
// Pure but for the backend: randomness comes in, nothing is read or written. A failure of training inside a step becomes
// a sum of zeros, so that whether it failed is no release of its own. Design 2, "a walk"; design 4, "Modes".

import { ConsilienceError, InputError } from '../../app/errors.ts';
import type { Random } from '../../app/ports.ts';
import type { Contract } from '../../app/study/contract.ts';
import { sumOfBlocks } from '../../app/training/blocks.ts';
import type { BlockSum } from '../../app/training/blocks.ts';
import { clippedGradientSum } from '../../app/training/clipped-sum.ts';
import { architectureOf } from '../../app/training/model.ts';
import { sampledSlots } from '../../app/training/poisson.ts';
import { unitRows } from '../../app/training/records.ts';
import type { Records } from '../../app/training/records.ts';
import type { Pause } from '../../app/training/types.ts';
import type { helpersFor, HelperSetup } from './helpers.ts';
import { sealedVector } from './sealed-vector.ts';
import type { Checkpoint, GradientSum } from './sealed-vector.ts';

export type RoundVectorRequest = {
  readonly contract: Contract;
  readonly index: number;
  readonly parameters: Float32Array;
  readonly records: Records;
  readonly random: Random;
  readonly pause?: Pause;
  /** Gives helper threads for a job of this size; none by default. */
  readonly helpersOf?: HelpersOf;
  readonly resume?: Checkpoint | null;
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void;
};

export type HelpersOf = (work: Parameters<typeof helpersFor>[1], setup: HelperSetup) => readonly BlockSum[];

export type RoundVector = {
  /** q + e mod 2^32, d words: noised (unless the contract has no noise), not yet masked. */
  readonly words: Uint32Array;
  /** For this institution's own eyes: the code of the first failure that became zeros, or null. */
  readonly failure: string | null;
};

/** What a paused computation throws to stop: passed on, never turned into zeros. */
export class TrainingCancelled extends ConsilienceError {
  constructor() {
    super('training-cancelled', 'Training was cancelled. Nothing was sent.');
  }
}

/** @throws InputError `width-differs`; TrainingCancelled from `pause`; RefusalError of the quantisation. */
export async function roundVector(request: RoundVectorRequest): Promise<RoundVector> {
  const { contract, records, random, pause = () => {} } = request;
  const { training, task } = contract;
  const architecture = architectureOf(task);
  if (records.width !== architecture.layers[0]!.inputs)
    throw new InputError(
      'width-differs',
      'The records were prepared for another study. Import them again for this one.',
    );
  const person = training.unit === 'person' ? training.person : null;
  const units = unitRows(records, training.unit, person);
  const capacity = training.microbatch.units * training.microbatch.count;
  const clip = training.mode === 'institution' ? null : training.clippingNorm;
  const counted = clip !== null && training.adaptiveClipping !== undefined;
  const length = architecture.parameters + (counted ? 1 : 0);
  const { units: block, count: blocks } = training.microbatch;
  const work = { parameters: architecture.parameters, slots: capacity, blocks, steps: training.localSteps };
  const helpers = request.helpersOf?.(work, { task, records, units, person, clip, counted }) ?? [];
  const own: BlockSum = (slots, parameters) =>
    clippedGradientSum({
      architecture,
      parameters,
      records,
      units,
      slots,
      person,
      clip,
      counted,
      // Within a block too, so that a cancel is heard.
      pause: () => pauseAt(finished),
    });
  let failure: string | null = null;
  let [step, steps] = [0, 1];
  // Progress counts slots over all steps.
  let finished = 0;
  const pauseAt = (done: number): void | Promise<void> => {
    finished = done;
    return pause(step * capacity + done, steps * capacity);
  };
  const gradientSum: GradientSum = async (parameters) => {
    const slots = sampledSlots(random, units.length, training.samplingRate, capacity);
    try {
      const sum = await sumOfBlocks({ parameters, length, slots, block, own, helpers, pause: pauseAt });
      if (sum.every(Number.isFinite)) return sum;
      failure ??= 'gradient-not-finite';
    } catch (error) {
      if (error instanceof TrainingCancelled) throw error;
      failure ??= error instanceof ConsilienceError ? error.code : 'training-failed';
    }
    return new Float64Array(length);
  };
  const words = await sealedVector({
    ...request,
    gradientSum,
    pause: (at, of) => {
      [step, steps] = [at, of];
      return pauseAt(0);
    },
  });
  return { words, failure };
}
