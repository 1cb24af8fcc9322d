// How far float32 can carry a sum of clipped gradients beyond C, and the pass that keeps it small. Apart from
// clipped-sum.ts, which subtracts it from C, so that the check of a contract reads it without tensors. Design 3
// "Quantisation".

import { architectureOf } from './model.ts';
import type { Architecture } from './model.ts';
import { isLanguageTask } from './types.ts';
import type { PersonRule, TrainingSpec, TrainingTask } from './types.ts';

/** Rows that pass through the device at once: bounds both memory and the float32 error of one pass's sum. */
export const mostRowsPerPass = 128;

/** Clips aim this share of C, so that rounding in the clip itself never reaches beyond C. Design 3, "Quantisation". */
export const clipMargin = 1 - 2 ** -12;

/**
 * What float32 may add to the sensitivity, in units of C: twice the rounding of one pass's matrix product of m rows,
 * (m + 3)·m·2^-24, because only one pass differs between neighbours, and the rounding of the norm itself. Higham 2002,
 * section 3.1. In the person unit sums and norms are in float64, and nothing is added.
 */
export function floatTerm(architecture: Architecture, person: PersonRule | null): number {
  if (person !== null) return 0;
  const widest = architecture.layers.reduce((most, { inputs, outputs }) => Math.max(most, inputs, outputs), 0);
  const rounding = 2 ** -24;
  return 2 * (mostRowsPerPass + 3) * mostRowsPerPass * rounding + (widest + architecture.layers.length + 8) * rounding;
}

/** `floatTerm` of a study's own steps; 0 in the mode `institution`, whose one update is clipped in float64. */
export function studyFloatTerm(task: TrainingTask, { mode, unit, person }: TrainingSpec): number {
  // A language model's units are added up and clipped in float64.
  if (mode === 'institution' || isLanguageTask(task)) return 0;
  return floatTerm(architectureOf(task), unit === 'person' ? person : null);
}
