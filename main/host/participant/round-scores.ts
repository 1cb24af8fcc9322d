// What the totals of a study say of its model, round by round, on persons who never trained: noted when a round closes, for
// the Rounds screen. It is inside the study's ε; read off an opened total, it needs no records. Design 5, "Evaluation".

import { z } from 'zod';
import type { Contract } from '../../../app/study/contract.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { readTextIfThere, studyPaths } from './home.ts';
import { sealedEvaluation } from '../sealing/sealed-evaluation.ts';
import { join } from 'node:path';

const scoreSchema = z.strictObject({
  round: z.number().int().min(1),
  /** Of the model that the round began with; null where too few were tested on. */
  accuracy: z.number().nullable(),
  /** Where texts are continued; null where too few were tested on, absent elsewhere. */
  perplexity: z.number().nullable().optional(),
  /** Units tested on, with noise of this standard deviation. */
  tested: z.number(),
  noise: z.number(),
});
const fileSchema = z.strictObject({ format: z.literal('consilience/scores/1'), scores: z.array(scoreSchema) });
export type RoundScore = z.infer<typeof scoreSchema>;

const pathOf = (home: string, study: string): string => join(studyPaths(home, study).folder, 'scores.json');

/** Empty where the study tests nothing, nothing closed yet, or the file cannot be read: it is a convenience. */
export async function readScores(home: string, study: string): Promise<readonly RoundScore[]> {
  const text = await readTextIfThere(pathOf(home, study));
  if (text === null) return [];
  try {
    return fileSchema.parse(JSON.parse(text)).scores;
  } catch {
    return [];
  }
}

/** @param metrics words of the closed round's total (model-chain.ts); empty where the study tests nothing. */
export async function noteScore(
  home: string,
  at: { readonly study: string; readonly contract: Contract; readonly round: number },
  metrics: Float64Array,
): Promise<void> {
  const found = sealedEvaluation(at.contract, [metrics])?.rounds[0];
  if (found === undefined) return;
  const { accuracy, loss, count: tested, noise } = found;
  const perplexity = loss === null ? null : Math.exp(loss);
  const own = at.contract.task.kind === 'causal-lm' ? { accuracy, perplexity } : { accuracy };
  const before = (await readScores(home, at.study)).filter(({ round }) => round !== at.round);
  const scores = [...before, { round: at.round, ...own, tested, noise }].sort((one, other) => one.round - other.round);
  await writeFileAtomically(pathOf(home, at.study), `${JSON.stringify({ format: 'consilience/scores/1', scores })}\n`);
}
