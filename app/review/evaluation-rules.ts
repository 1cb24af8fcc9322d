// Rules about the evaluation in sums: a unit is either trained on or tested on, so one vector carries both at the clip of
// one, and a round costs what it costs without; where an institution is the unit, the clip is divided between its update and
// its metrics. What does not fit that is refused. Design 5, "Evaluation".

import type { ContractDraft } from '../study/contract.ts';
import { refusal, shown, warning } from './finding.ts';
import type { Finding } from './finding.ts';
import { partsOfClip } from './round-event.ts';

/** Standard deviation of all noise in one round's number of tested units, in units. */
export function testedNoise(contract: ContractDraft): number {
  const { sealing, roster, training, evaluation } = contract;
  const longest = Math.sqrt(4 + 2 * (evaluation?.slices.length ?? 0));
  const steps = training.mode === 'local' ? training.localSteps : 1;
  const deviation = Math.sqrt(sealing.noiseVariance * Math.max(1, roster.length) * steps);
  return (deviation * longest) / (sealing.scale * partsOfClip(contract).metrics);
}

/** Units that are tested on in one round, on average: in `institution` each institution counts as one. */
function expectedTested({ training, roster, evaluation }: ContractDraft): number {
  if (training.mode === 'institution') return roster.length;
  const units = roster.reduce((sum, entry) => sum + entry.nominalUnits, 0);
  return units * training.samplingRate * (evaluation?.share ?? 0) * training.localSteps;
}

export function evaluationFindings(contract: ContractDraft): Finding[] {
  const { evaluation, training, task, roster, schedule } = contract;
  if (evaluation === undefined) return [];
  const findings: Finding[] = [];
  const add = (broken: boolean, code: string, reason: string, repair: string): void => {
    if (broken) findings.push(refusal(code, reason, repair));
  };
  add(
    training.adaptiveClipping !== undefined || contract.privacy.adaptiveNoise !== undefined,
    'evaluation-adapts',
    'Clip or noise adapt from the sums, which the evaluation’s numbers would disturb.',
    'Keep clip and noise fixed, or leave the evaluation out.',
  );
  add(
    evaluation.perClass === true && task.table.label.kind !== 'classes',
    'evaluation-classes',
    'Each class is to be told apart in the evaluation, and the label has no list of classes.',
    'Leave that out; two classes have their F1 from the bins.',
  );
  add(
    evaluation.perToken === true && task.kind !== 'causal-lm',
    'evaluation-tokens',
    'Each token is to count alike in the evaluation, and the study continues no texts.',
    'Leave that out.',
  );
  add(
    task.kind === 'tabular-regression' && evaluation.slices.length > 0,
    'evaluation-slices-of-number',
    'Columns are named to tell accuracies apart, and a number that is predicted has no accuracy.',
    'Name no columns; the error of all is told.',
  );
  const categories = task.table.features.filter(({ kind }) => kind === 'category').map(({ column }) => column);
  for (const slice of evaluation.slices)
    add(
      !categories.includes(slice),
      'evaluation-slice',
      `"${slice}" is to tell accuracies apart, and is no category column of the table.`,
      'Name category columns only.',
    );
  const expected = expectedTested(contract) * schedule.rounds;
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
