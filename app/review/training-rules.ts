// Rules about how training goes: mode and unit fit each other, what each mode needs is there, the schedule can be kept,
// the coordinator can be reached. Design 4, "Units" and "Modes".

import { subsetSize } from '../sealed-sum/subset.ts';
import { parseAddress } from '../study/address.ts';
import type { ContractDraft } from '../study/contract.ts';
import { refusal, shown, warning } from './finding.ts';
import type { Finding } from './finding.ts';
import { evaluationFindings } from './evaluation-rules.ts';
import { furtherWords } from './round-event.ts';

export function trainingFindings(contract: ContractDraft, modelDimension: number): Finding[] {
  return [
    ...unitFindings(contract),
    ...modeFindings(contract),
    ...dimensionFindings(contract, modelDimension),
    ...evaluationFindings(contract),
  ];
}

function unitFindings({ training, task }: ContractDraft): Finding[] {
  const findings: Finding[] = [];
  const { mode, unit, person, institutionsPerPerson } = training;
  const { personColumn } = task.table;
  if ((unit === 'institution') !== (mode === 'institution'))
    findings.push(
      refusal(
        'unit-and-mode',
        `The unit "${unit}" does not go with the mode "${mode}": institutions are protected in the mode institution, and only there.`,
        unit === 'institution'
          ? 'Set the mode to institution.'
          : 'Use the unit institution, or the mode union or local.',
      ),
    );
  if (unit === 'person' && personColumn === null)
    findings.push(
      refusal(
        'person-column-missing',
        'Each person is to be protected, but no column names the person.',
        'Name the person column in the table, or protect each record.',
      ),
    );
  if (unit === 'person' && person === null)
    findings.push(
      refusal(
        'person-rule-missing',
        'Each person is to be protected, but nothing says how many rows of one count and how they combine.',
        'State row cap and combination.',
      ),
    );
  if (unit !== 'person' && person !== null)
    findings.push(
      refusal(
        'person-rule-unused',
        `A rule about the rows of one person is stated, but the unit is "${unit}".`,
        'Set the unit to person, or the rule to null.',
      ),
    );
  if (unit === 'record' && personColumn !== null)
    findings.push(
      warning(
        'record-unit-with-persons',
        'The table names persons, but each row is protected alone: somebody with many rows is protected less.',
        'Set the unit to person.',
      ),
    );
  if (unit === 'institution' && institutionsPerPerson !== 1)
    findings.push(
      refusal(
        'institution-with-persons',
        'Where a whole institution is the unit, the number of institutions per person has no meaning.',
        'Set institutions per person to 1.',
      ),
    );
  return findings;
}

function modeFindings({ training, sealing, schedule, roster }: ContractDraft): Finding[] {
  const findings: Finding[] = [];
  const add = (broken: boolean, code: string, reason: string, repair: string): void => {
    if (broken) findings.push(refusal(code, reason, repair));
  };
  const { mode, localSteps, localLearningRate } = training;
  const union = mode === 'union';
  add(
    union && localSteps !== 1,
    'union-steps',
    'In the mode union there is one step between two sums.',
    'Set local steps to 1.',
  );
  add(
    union && localLearningRate !== null,
    'union-learning-rate',
    'In the mode union no institution takes steps of its own, so it has no local learning rate.',
    'Set the local learning rate to null; the server optimiser has its own.',
  );
  add(
    !union && localLearningRate === null,
    'local-learning-rate-missing',
    `The mode "${mode}" takes steps inside the institution, but states no local learning rate.`,
    'State the local learning rate.',
  );
  add(
    mode === 'local' && sealing.updateScale === null,
    'update-scale-missing',
    'In the mode local the sum has a grid of its own, and its scale is missing.',
    'State the update scale.',
  );
  add(
    mode !== 'local' && sealing.updateScale !== null,
    'update-scale-unused',
    `The update scale is for the mode local only; this contract has the mode "${mode}".`,
    'Set the update scale to null.',
  );
  add(
    training.averageFromRound !== null && training.averageFromRound > schedule.rounds,
    'average-after-end',
    `Averaging is to start with round ${training.averageFromRound}, after the last of ${schedule.rounds}.`,
    'Start it earlier, or set it to null.',
  );
  add(
    training.institutionsPerPerson > roster.length && roster.length > 0,
    'more-institutions-than-roster',
    `One person is said to appear in up to ${training.institutionsPerPerson} institutions; the roster has ${roster.length}.`,
    `Set it to ${roster.length} or fewer.`,
  );
  const smallest = Math.min(...roster.map((one) => one.nominalUnits * training.samplingRate));
  if (roster.length > 0 && smallest < 1)
    findings.push(
      warning(
        'batches-often-empty',
        'The smallest institution samples less than one unit a step on average, so most of its steps are noise alone.',
        'Raise the sampling rate.',
      ),
    );
  return findings;
}

function dimensionFindings(contract: ContractDraft, modelDimension: number): Finding[] {
  const { dimension, subset } = contract.sealing;
  if (subset !== undefined) return subsetFindings(contract, modelDimension);
  const counted = furtherWords(contract);
  if (dimension === modelDimension + counted) return [];
  const count = counted === 0 ? '' : ` and ${counted} ${counted === 1 ? 'count' : 'numbers'} beside them`;
  return [
    refusal(
      'dimension-differs',
      `The contract seals vectors of ${dimension} numbers, but its model has ${modelDimension} parameters${count}.`,
      `Set the dimension to ${modelDimension + counted}.`,
    ),
  ];
}

/** A part of the parameters travels, chosen by a public seed: sizes that fit, and what it costs. */
function subsetFindings(contract: ContractDraft, modelDimension: number): Finding[] {
  const { dimension, subset } = contract.sealing;
  const { share, parameters } = subset!;
  const sent = subsetSize(modelDimension, share);
  const wanted = sent + furtherWords(contract);
  if (parameters !== modelDimension || dimension !== wanted)
    return [
      refusal(
        'subset-differs',
        `The contract seals vectors of ${dimension} numbers for a model of ${parameters} parameters; a share of ${share} of this model’s ${modelDimension} takes ${wanted}.`,
        `Set the parameters to ${modelDimension} and the dimension to ${wanted}.`,
      ),
    ];
  return [
    warning(
      'subset-moves-few',
      `In each round ${sent} of ${modelDimension} parameters travel, the same ones for everybody, and each of them moves ${shown(modelDimension / sent)} times as far, noise included. ε is what it would be without that.`,
      'Expect more rounds or a smaller learning rate of the server; or let all parameters travel.',
    ),
  ];
}

export function scheduleFindings(contract: ContractDraft, now: number): Finding[] {
  const findings: Finding[] = [];
  const { schedule, created, expires, coordinator } = contract;
  const from = Date.parse(created);
  const until = Date.parse(expires);
  if (until <= from)
    findings.push(refusal('expires-before-created', 'The study ends before it was made.', 'Choose a later end.'));
  else if (now >= until)
    findings.push(refusal('contract-expired', `The study ended on ${expires}.`, 'Ask the lead for a new contract.'));
  if (now < from - 86_400_000)
    findings.push(
      warning('created-in-future', `The contract is dated ${created}, in the future.`, 'Check this machine’s clock.'),
    );
  if (schedule.attempts < schedule.rounds)
    findings.push(
      refusal(
        'attempts-below-rounds',
        `${schedule.rounds} rounds are wanted, but only ${schedule.attempts} may be tried.`,
        `Allow ${schedule.rounds} attempts or more.`,
      ),
    );
  else if (schedule.attempts === schedule.rounds)
    findings.push(
      warning(
        'no-spare-attempts',
        'Every attempt must succeed: one round that breaks off costs the study its last round.',
        `Allow about ${Math.ceil(schedule.rounds * 1.1)} attempts; each is charged in the worst case.`,
      ),
    );
  if (until > from && schedule.rounds * schedule.intervalSeconds * 1000 > until - from)
    findings.push(
      warning(
        'schedule-does-not-fit',
        'The pauses between the rounds alone are longer than the study runs.',
        'Shorten the pauses or choose a later end.',
      ),
    );
  const address = parseAddress(coordinator.address);
  if (address === null)
    findings.push(
      refusal(
        'address-unusable',
        'The coordinator’s address is no plain http or https address.',
        'Give it as https://host or https://host:port.',
      ),
    );
  else if (!address.secure && !address.loopback)
    findings.push(
      warning(
        'address-not-secure',
        'The coordinator is reached without TLS: contents stay sealed and signed, but who takes part can be watched.',
        'Give the coordinator a certificate and use https.',
      ),
    );
  return findings;
}
