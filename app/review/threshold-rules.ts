// Rules about how many: roster, quorum t, colluders c, cohort floor, and, without noise, the batches that may be opened.
// Design 3, "Parameters" and the last line of "Quantisation".

import { InputError, InvariantError, RefusalError } from '../errors.ts';
import { honestMinimum, mostColluders, requireSafeThresholds, survivableLosses } from '../sealed-sum/thresholds.ts';
import type { ContractDraft } from '../study/contract.ts';
import { requireDistinctParties } from '../study/signed-contract.ts';
import { askedIn } from '../study/selection.ts';
import { refusal, warning } from './finding.ts';
import type { Finding } from './finding.ts';

export function thresholdFindings(contract: ContractDraft): Finding[] {
  return [...rosterFindings(contract), ...quorumFindings(contract), ...batchFindings(contract)];
}

function rosterFindings(contract: ContractDraft): Finding[] {
  const { roster, training, sealing, lead, coordinator } = contract;
  const findings: Finding[] = [];
  const n = roster.length;
  if (n < 3)
    findings.push(
      refusal(
        'roster-too-small',
        `The roster has ${n} institutions; below 3 a sum would show an institution's own update.`,
        'Invite more institutions and add their enrolments.',
      ),
    );
  try {
    requireDistinctParties(contract);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    findings.push(refusal(error.code, error.message, 'Give every party a name and a key of its own.'));
  }
  const named = [contract.title, lead.organisation, coordinator.operator, ...roster.map((one) => one.organisation)];
  if (named.some((name) => /[\u0080-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/.test(name)))
    findings.push(
      refusal(
        'name-with-invisible-characters',
        'A name holds invisible characters, which can make it look like another.',
        'Write the name again without them.',
      ),
    );
  const operators = [coordinator.operator, ...(contract.regions?.relays ?? []).map((relay) => relay.operator)];
  const controlled = roster.filter(
    ({ organisation }) => organisation === lead.organisation || operators.includes(organisation),
  ).length;
  if (controlled > sealing.colluders)
    findings.push(
      refusal(
        'controlled-exceed-colluders',
        `${controlled} institutions belong to the lead or an operator of a coordinator, more than the colluders assumed (${sealing.colluders}).`,
        `Assume ${controlled} colluders or more.`,
      ),
    );
  if (training.mode === 'union' && n >= 3 && n < 5)
    findings.push(
      warning(
        'union-below-five',
        `With ${n} institutions the mode "union" needs nearly all of them to be present and honest.`,
        'Use the mode "local", whose guarantee needs nobody’s honesty, or invite more institutions.',
      ),
    );
  if (training.mode === 'institution' && n < 100)
    findings.push(
      warning(
        'institution-unit-costly',
        `Hiding a whole institution among ${n} takes so much noise that little is learned; it is credible from about 100 institutions with a small model.`,
        'Use the unit person or record, or invite many more institutions.',
      ),
    );
  return findings;
}

function quorumFindings(contract: ContractDraft): Finding[] {
  const { sealing } = contract;
  const findings: Finding[] = [];
  // Every cohort is within those who are asked in its round; every client refuses others.
  const n = askedIn(contract);
  // Said already, and everything below would only repeat it.
  if (n < 3) return findings;
  const { threshold: t, colluders: c, cohortFloor } = sealing;
  const most = mostColluders(n, t);
  const add = (broken: boolean, code: string, reason: string, repair: string): void => {
    if (broken) findings.push(refusal(code, reason, repair));
  };
  add(
    t > n,
    'quorum-above-roster',
    `The quorum ${t} is larger than the roster of ${n}.`,
    'Lower it or invite more institutions.',
  );
  add(
    2 * t <= n + c,
    'quorum-too-small',
    `With ${n} institutions and ${c} colluders a quorum of ${t} would let two disjoint groups be opened.`,
    `Set the quorum to ${Math.floor((n + c) / 2) + 1} or more${most >= 1 ? `, or the colluders to ${most} or fewer` : ''}.`,
  );
  add(
    honestMinimum({ quorum: t, colluders: c }) < 2,
    'too-few-honest',
    `A quorum of ${t} with ${c} colluders leaves fewer than two honest institutions in a sum, so one's update could be read.`,
    `Set the quorum to ${c + 2} or more.`,
  );
  add(
    cohortFloor > n,
    'cohort-floor-above-roster',
    `The cohort floor ${cohortFloor} is larger than the roster of ${n}, so no round could start.`,
    `Set it to ${Math.min(n, Math.max(3, t))}.`,
  );
  if (cohortFloor < t)
    findings.push(
      warning(
        'cohort-floor-without-effect',
        `The cohort floor ${cohortFloor} is below the quorum ${t}, which decides instead.`,
        `Set the cohort floor to ${t}, so that the contract says what happens.`,
      ),
    );
  const losses = survivableLosses({ institutions: n, quorum: Math.max(t, cohortFloor) });
  if (losses === 0)
    findings.push(
      warning(
        'no-dropout-survived',
        `All ${n} institutions must finish every round: one that is away stops it.`,
        n === 3 ? 'Invite a fourth institution.' : 'Lower the quorum or the cohort floor, if the colluders allow it.',
      ),
    );
  // The round itself asks sealed-sum; whatever it would refuse must have been said above.
  if (findings.every((one) => one.level !== 'refuse')) requireAgreement(n, t, c);
  return findings;
}

function requireAgreement(institutions: number, quorum: number, colluders: number): void {
  try {
    requireSafeThresholds({ institutions, quorum, colluders });
  } catch (error) {
    if (error instanceof RefusalError)
      throw new InvariantError(
        'check-missed-a-rule',
        `The contract check missed a rule of the round (${error.code}). Please report this.`,
      );
    throw error;
  }
}

function batchFindings({ roster, privacy, sealing }: ContractDraft): Finding[] {
  const findings: Finding[] = [];
  const { openableBatches: batches, colluders: c, cohortFloor, threshold } = sealing;
  if (privacy.noise !== 'none') {
    if (batches.length > 0)
      findings.push(
        refusal(
          'batches-with-noise',
          'Fixed batches are named although the contract adds noise, where they mean nothing.',
          'Leave the list of openable batches empty.',
        ),
      );
    return findings;
  }
  if (batches.length === 0)
    findings.push(
      refusal(
        'batches-missing',
        'Without noise only unions of fixed batches may be opened, and the contract names none.',
        `Name batches of ${c + 2} or more institutions; one batch of all is the safest.`,
      ),
    );
  batches.forEach((batch, at) => {
    if (new Set(batch).size < c + 2)
      findings.push(
        refusal(
          'batch-too-small',
          `Openable batch ${at + 1} has ${new Set(batch).size} institutions; ${c + 2} are needed, or ${c} colluders could work out one update.`,
          'Merge it with another batch.',
        ),
      );
    if (batch.some((index) => index >= roster.length))
      findings.push(
        refusal(
          'batch-outside-roster',
          `Openable batch ${at + 1} names a position that the roster does not have.`,
          'Use roster positions, counted from 0.',
        ),
      );
  });
  const members = batches.flat();
  if (new Set(members).size < members.length)
    findings.push(
      refusal(
        'batches-overlap',
        'An institution stands in more than one openable batch, so sums could be subtracted from each other.',
        'Put every institution into exactly one batch.',
      ),
    );
  const covered = new Set(members.filter((index) => index < roster.length)).size;
  if (batches.length > 0 && covered < Math.max(cohortFloor, threshold))
    findings.push(
      refusal(
        'batches-below-cohort',
        `All batches together hold ${covered} institutions, fewer than a round needs.`,
        'Put every institution into exactly one batch.',
      ),
    );
  else if (batches.length > 0 && covered < roster.length)
    findings.push(
      warning(
        'batches-leave-out',
        `Of the roster, ${roster.length - covered} stand in no openable batch, so they can never take part.`,
        'Put every institution into exactly one batch.',
      ),
    );
  return findings;
}
