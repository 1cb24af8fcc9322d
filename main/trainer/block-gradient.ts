// The clipped gradient sum of one block of a batch (app/training/blocks.ts), of tables and of texts: the same code in the
// trainer and in its helper threads, so that the bits do not depend on who computes. Design 5.

import type { BlockSum } from '../../app/training/blocks.ts';
import { clippedGradientSum } from '../../app/training/clipped-sum.ts';
import { languageGradientSum } from '../../app/training/language/clipped-sum.ts';
import type { AdaptedLanguage } from '../../app/training/language/evaluate.ts';
import { objectiveOf } from '../../app/training/language/task.ts';
import { architectureOf } from '../../app/training/model.ts';
import type { Records } from '../../app/training/records.ts';
import type { Pause, PersonRule, TrainingTask } from '../../app/training/types.ts';

/** What gradients are taken of; the same for all blocks of a round. */
export type BlockSetup = {
  readonly task: TrainingTask;
  readonly records: Records;
  readonly units: readonly (readonly number[])[];
  readonly person: PersonRule | null;
  readonly clip: number | null;
  readonly counted: boolean;
  /** Texts alone, in simulation: empty slots are left out. */
  readonly skipEmpty?: boolean;
};

/** @param language of a language task; null for tables */
export function blockGradient(
  { task, skipEmpty = false, ...common }: BlockSetup,
  language: AdaptedLanguage | null,
  pause?: Pause,
): BlockSum {
  const paused = pause === undefined ? {} : { pause };
  if (language === null) {
    const architecture = architectureOf(task);
    return (slots, parameters) => clippedGradientSum({ ...common, ...paused, architecture, slots, parameters });
  }
  const { model, layout, shape, downs } = language;
  return (slots, parameters) =>
    languageGradientSum({
      ...common,
      ...paused,
      model,
      layout,
      shape,
      downs,
      slots,
      parameters,
      objective: objectiveOf(language.task),
      clipping: language.task.model.clipping ?? 'flat',
      skipEmpty,
    });
}

/** Tokens of a block of texts, at most, unless one unit has more. */
const blockTokens = 512;

/**
 * Slots of a block. The contract's microbatch; of texts fewer where these are many tokens, because their sums are small
 * beside their work, so that threads may share a batch whatever its microbatch. Follows from the terms alone.
 * @param unitTokens of a text task: tokens of one unit; null for tables
 */
export function blockUnits(microbatch: { readonly units: number }, unitTokens: number | null): number {
  if (unitTokens === null) return microbatch.units;
  return Math.min(microbatch.units, Math.max(1, Math.floor(blockTokens / unitTokens)));
}
