// One participant's vector of one round: sample → clipped gradient sum on the current tensor backend → sealed-vector.ts.
// Pure but for the backend: randomness comes in, nothing is read or written. A failure of training inside a step becomes
// a sum of zeros, so that whether it failed is no release of its own. Design 2, "a walk"; design 4, "Modes".

import { ConsilienceError, InputError } from '../../app/errors.ts';
import type { Random } from '../../app/ports.ts';
import { partsOfClip } from '../../app/review/round-event.ts';
import type { Contract } from '../../app/study/contract.ts';
import { sumOfBlocks } from '../../app/training/blocks.ts';
import type { BlockSum } from '../../app/training/blocks.ts';
import { featureWidth } from '../../app/training/encoder.ts';
import {
  metricLayout,
  metricSum,
  slotsWhere,
  tableOutcomes,
  testedUnits,
} from '../../app/training/evaluation-vector.ts';
import type { MetricLayout } from '../../app/training/evaluation-vector.ts';
import { textOutcomes } from '../../app/training/language/evaluate.ts';
import type { AdaptedLanguage } from '../../app/training/language/evaluate.ts';
import { architectureOf, parameterCount } from '../../app/training/model.ts';
import { emptySlot, sampledSlots } from '../../app/training/poisson.ts';
import { requireAgreedUnits, unitRows } from '../../app/training/records.ts';
import type { Records } from '../../app/training/records.ts';
import { isLanguageTask } from '../../app/training/types.ts';
import type { Pause } from '../../app/training/types.ts';
import { nodeCipher } from '../host/machine.ts';
import { blockGradient, blockUnits } from './block-gradient.ts';
import type { BlockSetup } from './block-gradient.ts';
import type { HelperWork } from './helper-count.ts';
import type { DrawNoise } from './noise-threads.ts';
import { joined, sealedVector } from './sealed-vector.ts';
import type { Checkpoint, GradientSum } from './sealed-vector.ts';

export type RoundVectorRequest = {
  readonly contract: Contract;
  readonly index: number;
  readonly parameters: Float32Array;
  readonly subset?: string | null;
  readonly records: Records;
  readonly random: Random;
  readonly pause?: Pause;
  /** A language task's model; null or absent for tables. */
  readonly language?: AdaptedLanguage | null;
  /** Simulation only: leaves empty slots out, so that time tells how many units were sampled. */
  readonly skipEmpty?: boolean;
  /** Gives helper threads for a job of this size; none by default. */
  readonly helpersOf?: HelpersOf;
  /** Draws noise shares on several cores (noise-threads.ts); from `random`, here, by default. */
  readonly drawNoise?: DrawNoise | undefined;
  readonly resume?: Checkpoint | null;
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void;
};

export type HelpersOf = (work: HelperWork, setup: BlockSetup) => readonly BlockSum[];

export type RoundVector = {
  /** q + e mod 2^32, d words: noised (unless the contract has no noise), not yet masked. */
  readonly words: Uint32Array;
  /** For this institution's own eyes: the code of the first failure that became zeros, or null. */
  readonly failure: string | null;
};

type Held = { readonly tested: readonly boolean[]; readonly layout: MetricLayout };

/** What a paused computation throws to stop: passed on, never turned into zeros. */
export class TrainingCancelled extends ConsilienceError {
  constructor() {
    super('training-cancelled', 'Training was cancelled. Nothing was sent.');
  }
}

/** @throws InputError `width-differs`, `units-above-agreed`; TrainingCancelled from `pause`; RefusalError of the quantisation. */
export async function roundVector(request: RoundVectorRequest): Promise<RoundVector> {
  const { contract, records, random, pause = () => {} } = request;
  const { training, task } = contract;
  const language = request.language ?? null;
  if (isLanguageTask(task) !== (language !== null))
    throw new InputError('checkpoint-missing', 'The study trains a language model, whose checkpoint is not open here.');
  const dimension = parameterCount(task);
  if (records.width !== featureWidth(task.table))
    throw new InputError(
      'width-differs',
      'The records were prepared for another study. Import them again for this one.',
    );
  const person = training.unit === 'person' ? training.person : null;
  const units = unitRows(records, training.unit, person);
  // Whatever the import made sure of: δ's part for batches cut at their cap rests on it.
  requireAgreedUnits(units.length, contract.roster[request.index]!.nominalUnits);
  const capacity = training.microbatch.units * training.microbatch.count;
  const clip = training.mode === 'institution' ? null : training.clippingNorm;
  const counted = clip !== null && training.adaptiveClipping !== undefined;
  const length = dimension + (counted ? 1 : 0);
  const { evaluation } = contract;
  const held =
    evaluation === undefined
      ? null
      : {
          tested: testedUnits(nodeCipher, evaluation, records, units),
          layout: metricLayout(task.table, evaluation, person),
        };
  const unitTokens = language === null ? null : (person?.rowCap ?? 1) * language.shape.pieces * language.shape.tokens;
  const block = blockUnits(training.microbatch, unitTokens);
  const work = {
    parameters: dimension,
    slots: capacity,
    blocks: Math.ceil(capacity / block),
    steps: training.localSteps,
    language: language === null ? null : { configuration: language.model.configuration, unitTokens: unitTokens! },
  };
  const setup = { task, records, units, person, clip, counted, skipEmpty: request.skipEmpty ?? false };
  const helpers = request.helpersOf?.(work, setup) ?? [];
  // Within a block too, so that a cancel is heard.
  const own = blockGradient(setup, language, () => pauseAt(finished));
  let failure: string | null = null;
  let [step, steps] = [0, 1];
  // Progress counts slots over all steps.
  let finished = 0;
  const pauseAt = (done: number): void | Promise<void> => {
    finished = done;
    return pause(step * capacity + done, steps * capacity);
  };
  /** What the model that the round starts from does on the tested ones of these units, in the words after the model's. */
  const metricsOf = async (of: Int32Array, held: Held): Promise<Float64Array> => {
    const { parameters } = request;
    const slots = slotsWhere(of, held.tested, true);
    const rows = [...slots].flatMap((unit) => (unit === emptySlot ? [] : units[unit]!));
    const outcomes =
      language === null
        ? tableOutcomes(architectureOf(task), parameters, records)
        : await textOutcomes(language, parameters, records, rows, () => pauseAt(finished));
    return metricSum({ outcomes, records, units, slots, layout: held.layout, clip: partsOfClip(contract).metrics });
  };
  const inStep = training.mode === 'institution' ? null : held;
  /** In `institution`, where one vector carries update and metrics: the mean over all tested units. */
  const meanMetrics = async (held: Held): Promise<Float64Array> => {
    const count = held.tested.filter(Boolean).length;
    try {
      const sum = await metricsOf(Int32Array.from(units.keys()), held);
      return sum.map((value) => value / Math.max(1, count));
    } catch (error) {
      if (error instanceof TrainingCancelled) throw error;
      failure ??= error instanceof ConsilienceError ? error.code : 'training-failed';
      return new Float64Array(held.layout.words);
    }
  };
  const gradientSum: GradientSum = async (parameters) => {
    const sampled = sampledSlots(random, units.length, training.samplingRate, capacity);
    const slots = held === null ? sampled : slotsWhere(sampled, held.tested, false);
    try {
      const sum = await sumOfBlocks({ parameters, length, slots, block, own, helpers, pause: pauseAt });
      if (sum.every(Number.isFinite)) return inStep === null ? sum : joined(sum, await metricsOf(sampled, inStep));
      failure ??= 'gradient-not-finite';
    } catch (error) {
      if (error instanceof TrainingCancelled) throw error;
      failure ??= error instanceof ConsilienceError ? error.code : 'training-failed';
    }
    return new Float64Array(length + (inStep?.layout.words ?? 0));
  };
  const words = await sealedVector({
    ...request,
    gradientSum,
    metrics: held === null ? null : () => meanMetrics(held),
    pause: (at, of) => {
      [step, steps] = [at, of];
      return pauseAt(0);
    },
  });
  return { words, failure };
}
