// Rules about the evaluation in sums: a unit is either trained on or tested on, so one vector carries both at the clip of
// one, and a round costs what it costs without. What does not fit that is refused. Design 5, "Evaluation".

import type { ContractDraft } from '../study/contract.ts';
import { refusal, shown, warning } from './finding.ts';
import type { Finding } from './finding.ts';

/** Standard deviation of all noise in one round's number of tested units, in units. */
export function testedNoise({ sealing, roster, training, evaluation }: ContractDraft): number {
  const longest = Math.sqrt(4 + 2 * (evaluation?.slices.length ?? 0));
  return (
    (Math.sqrt(sealing.noiseVariance * Math.max(1, roster.length)) * longest) / (sealing.scale * training.clippingNorm)
  );
}

export function evaluationFindings(contract: ContractDraft): Finding[] {
  const { evaluation, training, task, roster, schedule } = contract;
  if (evaluation === undefined) return [];
  const findings: Finding[] = [];
  const add = (broken: boolean, code: string, reason: string, repair: string): void => {
    if (broken) findings.push(refusal(code, reason, repair));
  };
  add(
    training.mode !== 'union',
    'evaluation-mode',
    `The evaluation stands in the vector of a step, which the mode "${training.mode}" does not send.`,
    'Use the mode union, or leave the evaluation out.',
  );
  add(
    training.adaptiveClipping !== undefined || contract.privacy.adaptiveNoise !== undefined,
    'evaluation-adapts',
    'Clip or noise adapt from the sums, which the evaluation’s numbers would disturb.',
    'Keep clip and noise fixed, or leave the evaluation out.',
  );
  add(
    task.kind === 'tabular-regression',
    'evaluation-task',
    'A regression is not evaluated in sums.',
    'Leave the evaluation out; each institution sees its own error.',
  );
  const categories = task.table.features.filter(({ kind }) => kind === 'category').map(({ column }) => column);
  for (const slice of evaluation.slices)
    add(
      !categories.includes(slice),
      'evaluation-slice',
      `"${slice}" is to tell accuracies apart, and is no category column of the table.`,
      'Name category columns only.',
    );
  const units = roster.reduce((sum, entry) => sum + entry.nominalUnits, 0);
  const expected = units * training.samplingRate * evaluation.share * schedule.rounds;
  const noise = testedNoise(contract) * Math.sqrt(schedule.rounds);
  if (findings.length === 0 && roster.length > 0 && noise > expected / 4)
    findings.push(
      warning(
        'evaluation-drowned',
        `Over all rounds about ${shown(expected)} units are tested on, with noise of ${shown(noise)}: the metrics say little.`,
        'Test on a larger share, or read them with their noise.',
      ),
    );
  return findings;
}
