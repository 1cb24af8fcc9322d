// The numbers behind `consilience account`: ε of one schedule by every accountant, its curve over the releases, and what
// is left open for a target ε. No options, no printing. Spec: design 4, "Accountants".

import { RefusalError } from '../../app/errors.ts';
import {
  calibrateNoiseMultiplier,
  calibrateSamplingRate,
  calibrateSteps,
  newAccountant,
} from '../../app/privacy/calibrate.ts';
import type { AccountantName } from '../../app/privacy/calibrate.ts';
import type { GaussianEvent } from '../../app/privacy/events.ts';
import { pldAccountant } from '../../app/privacy/pld-accountant.ts';
import { delta as checkedDelta } from '../../app/units.ts';

export type Schedule = {
  readonly samplingRate: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
  readonly delta: number;
};

/** ε by accountant; null where it does not apply. */
export type Epsilons = {
  readonly rdp: number;
  readonly pld: number;
  readonly gdp: number | null;
  readonly zcdp: number | null;
};

/** The grid of PLD's losses, and by how much it may overstate ε; null where ε is a closed form. */
export type Grid = { readonly discretisation: number; readonly looseness: number } | null;

export type Figures = { readonly epsilon: Epsilons; readonly grid: Grid };

/** @throws RefusalError `no-bound`. */
export function figures(schedule: Schedule): Figures {
  const { delta: given, ...rest } = schedule;
  const delta = checkedDelta(given);
  const event: GaussianEvent = { mechanism: 'gaussian', adjacency: 'add-or-remove', ...rest };
  const bounded = (name: string, epsilon: number): number => {
    if (!Number.isFinite(epsilon))
      throw new RefusalError('no-bound', `The ${name} accountant bounds no ε for this schedule.`);
    return epsilon;
  };
  const by = (name: AccountantName): number | null => {
    const account = newAccountant(name);
    if (account.unsupported(event) !== null) return null;
    account.compose(event);
    return bounded(name, account.epsilon(delta));
  };
  const pld = pldAccountant('add-or-remove');
  pld.compose(event);
  const { epsilon, grid } = pld.answer(delta);
  return { epsilon: { rdp: by('rdp')!, pld: bounded('pld', epsilon), gdp: by('gdp'), zcdp: by('zcdp') }, grid };
}

const fullCurve = 24;

/** ε after each release; after 1, 2, 3, 5, 10, 20, 30, 50 … and the last where there are many. */
export function curve(schedule: Schedule): readonly { readonly step: number; readonly epsilon: Epsilons }[] {
  return curvePoints(schedule.steps).map((step) => ({ step, epsilon: figures({ ...schedule, steps: step }).epsilon }));
}

/** 1, 2, 3 … of few; 1, 2, 3, 5, 10, 20, 30, 50 … and the last of many. */
export function curvePoints(steps: number): readonly number[] {
  const at: number[] = [];
  if (steps <= fullCurve) for (let step = 1; step <= steps; step++) at.push(step);
  else {
    for (let ten = 1; ten < steps; ten *= 10)
      for (const leading of [1, 2, 3, 5]) if (leading * ten < steps) at.push(leading * ten);
    at.push(steps);
  }
  return at;
}

export type OpenSchedule = {
  readonly samplingRate: number | undefined;
  readonly noiseMultiplier: number | undefined;
  readonly steps: number | undefined;
  readonly delta: number;
};

/**
 * Fills in the one member that is left open, so that ε by the named accountant is at most the target.
 * @param least the least noise multiplier worth returning.
 * @throws TypeError unless exactly one is open; RefusalError as the calibrations.
 */
export function calibrated(open: OpenSchedule, epsilon: number, accountant: AccountantName, least: number): Schedule {
  const { samplingRate, noiseMultiplier, steps, delta } = open;
  if (samplingRate !== undefined && noiseMultiplier !== undefined && steps === undefined) {
    const most = calibrateSteps({ epsilon, delta, samplingRate, noiseMultiplier, accountant });
    return { samplingRate, noiseMultiplier, steps: most, delta };
  }
  if (samplingRate !== undefined && noiseMultiplier === undefined && steps !== undefined) {
    const fewest = calibrateNoiseMultiplier({ epsilon, delta, samplingRate, steps, accountant, least });
    return { samplingRate, noiseMultiplier: fewest, steps, delta };
  }
  if (samplingRate === undefined && noiseMultiplier !== undefined && steps !== undefined) {
    const most = calibrateSamplingRate({ epsilon, delta, noiseMultiplier, steps, accountant });
    return { samplingRate: most, noiseMultiplier, steps, delta };
  }
  throw new TypeError('open must leave out exactly one of samplingRate, noiseMultiplier and steps');
}
