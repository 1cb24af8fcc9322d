// Rules about who is asked in a round and how long stages wait. Choosing institutions amplifies nothing, and the check says
// so; slow ones may not be so many that a round has to wait for them. Design 3, "Weights", and 6.

import type { ContractDraft } from '../study/contract.ts';
import { askedIn, turnOf } from '../study/selection.ts';
import { refusal, warning } from './finding.ts';
import type { Finding } from './finding.ts';

export function selectionFindings(contract: ContractDraft): Finding[] {
  return [...turnFindings(contract), ...paceFindings(contract)];
}

function turnFindings({ roster, schedule, sealing, privacy }: ContractDraft): Finding[] {
  const { selection } = schedule;
  if (selection === undefined) return [];
  const { institutions: asked, slow, slowPerRound } = selection;
  const { threshold, cohortFloor, colluders } = sealing;
  const least = Math.max(threshold, cohortFloor);
  const findings: Finding[] = [];
  const add = (broken: boolean, code: string, reason: string, repair: string): void => {
    if (broken) findings.push(refusal(code, reason, repair));
  };
  const known = new Set(slow.filter((index) => index < roster.length));
  add(
    known.size < slow.length,
    'selection-slow-unknown',
    'The list of slow institutions names one twice, or a position that the roster does not have.',
    'Name each slow institution once, by its roster position, counted from 0.',
  );
  add(
    slowPerRound > known.size || asked - slowPerRound > roster.length - known.size,
    'selection-too-few',
    `The roster does not hold ${asked} institutions of whom ${slowPerRound} are slow.`,
    'Ask fewer institutions in each round, or other numbers of slow ones.',
  );
  add(
    asked < least,
    'selection-below-cohort',
    `Only ${asked} institutions are asked in each round, but ${least} are needed.`,
    `Ask ${least} or more, and some to spare.`,
  );
  add(
    turnOf(least, colluders, selection) < 1,
    'selection-without-overlap',
    `So few of those who checked a sum are asked in the next round that nobody could vouch for it to the others.`,
    `Ask for fewer slow institutions, or raise the quorum to ${colluders + slowPerRound + 2} or more.`,
  );
  add(
    privacy.noise === 'none',
    'selection-without-noise',
    'Without noise only unions of fixed batches may be opened, which turns would break.',
    'Leave the selection out, or add noise.',
  );
  findings.push(
    warning(
      'selection-amplifies-nothing',
      `In each round ${asked} of ${roster.length} institutions are asked, by turns that everybody can work out. That hides nobody: the ε stated is for all attempts, and each institution pays for the rounds in which it takes part.`,
      'Nothing needs to be mended; do not count on a smaller ε.',
    ),
  );
  return findings;
}

function paceFindings(contract: ContractDraft): Finding[] {
  const { pace, selection } = contract.schedule;
  if (pace === undefined) return [];
  const { threshold, cohortFloor } = contract.sealing;
  const least = Math.max(threshold, cohortFloor);
  const asked = askedIn(contract);
  const findings: Finding[] = [];
  if (pace.enough < least || pace.enough > asked)
    findings.push(
      refusal(
        'pace-out-of-range',
        `Stages are to end once ${pace.enough} institutions are done, but a round needs ${least} and asks ${asked}.`,
        `Set it to a number from ${least} to ${asked}.`,
      ),
    );
  else if (selection !== undefined && pace.enough > asked - selection.slowPerRound)
    findings.push(
      warning(
        'pace-waits-for-slow',
        `A round waits for ${pace.enough} institutions, and only ${asked - selection.slowPerRound} of those asked are not slow: slow ones hold it up.`,
        `Set it to ${asked - selection.slowPerRound} or fewer, or ask fewer slow institutions.`,
      ),
    );
  return findings;
}
