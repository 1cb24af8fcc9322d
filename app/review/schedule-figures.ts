// ε of a contract's whole schedule by every accountant, beside the RDP that ceilings and the guard read. PLD describes this
// one fixed schedule at its worst-case noise: it counts charged attempts, aborted ones too, and is never priced again by
// what was realised. What is chosen after results were seen goes through a filter instead. Design 4, "Accountants".

import { accountantNames, newAccountant } from '../privacy/calibrate.ts';
import type { AccountantName } from '../privacy/calibrate.ts';
import type { SealedGaussianSumEvent } from '../privacy/events.ts';
import type { ContractDraft } from '../study/contract.ts';
import { delta as checkedDelta } from '../units.ts';
import { privacyFigures } from './privacy-figures.ts';
import type { Unaccountable } from './privacy-figures.ts';
import { honestShares, noisedRoundEvent } from './round-event.ts';
import { studyFilter } from './study-filter.ts';

export type ScheduleEpsilon =
  /** Against the coordinator with c colluders, at the contract's δ less what batches and sampler take of it. */
  { readonly epsilon: number } | { readonly epsilon: null; readonly why: Unaccountable };

export type ScheduleFigures = {
  /** Attempts that are charged. */
  readonly attempts: number;
  readonly by: { readonly [name in AccountantName]: ScheduleEpsilon };
};

const noNoise: Unaccountable = {
  code: 'no-bound',
  sentence: 'There is no ε: the noise, the scale or the number of honest institutions gives none.',
};
const notFixed: Unaccountable = {
  code: 'schedule-not-fixed',
  sentence: 'The noise of this study adapts to what was released, so only a filter bounds it: RDP.',
};

/**
 * @param attempts how many rounds were charged; the contract's all unless told.
 * @throws RangeError for attempts below 1 or above the contract's.
 */
export function scheduleFigures(contract: ContractDraft, attempts = contract.schedule.attempts): ScheduleFigures {
  if (!(Number.isInteger(attempts) && attempts >= 1 && attempts <= contract.schedule.attempts))
    throw new RangeError('attempts must be a whole number from 1 to the attempts of the terms');
  const { attemptsAt, delta } = pricing(contract);
  const by = (name: AccountantName): ScheduleEpsilon => {
    if (attemptsAt === null) return { epsilon: null, why: noNoise };
    const adapts = studyFilter(contract, '') !== null;
    if (adapts && name !== 'rdp') return { epsilon: null, why: notFixed };
    if (adapts) {
      const { coordinator } = privacyFigures(withAttempts(contract, attempts)).epsilon;
      return coordinator === null ? { epsilon: null, why: noNoise } : { epsilon: coordinator };
    }
    const account = newAccountant(name, attemptsAt.adjacency);
    const why = account.unsupported(attemptsAt);
    if (why !== null) return { epsilon: null, why };
    account.compose(attemptsAt, attempts);
    const epsilon = account.epsilon(checkedDelta(delta));
    return Number.isFinite(epsilon) ? { epsilon } : { epsilon: null, why: noNoise };
  };
  return { attempts, by: Object.fromEntries(accountantNames.map((name) => [name, by(name)])) as ScheduleFigures['by'] };
}

/**
 * One attempt at the worst case, and the δ at which all are read: the whole schedule's, whatever part of it is asked for. RDP's
 * ε is the largest, so what it takes of δ for cut batches and the sampler's distance is enough for every accountant.
 */
function pricing(contract: ContractDraft): {
  readonly attemptsAt: SealedGaussianSumEvent | null;
  readonly delta: number;
} {
  const { truncationDelta, samplerDelta } = privacyFigures(contract);
  const attemptsAt = noisedRoundEvent(contract, honestShares(contract, contract.sealing.colluders));
  return { attemptsAt, delta: contract.privacy.delta - truncationDelta - samplerDelta };
}

const withAttempts = (contract: ContractDraft, attempts: number): ContractDraft => ({
  ...contract,
  schedule: { ...contract.schedule, attempts },
});
