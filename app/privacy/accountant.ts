// What every accountant is: a dry run that rejects what it does not support by name, then record, then commit. The
// neighbouring relation is an argument, never a default. Spec: design 4, "Accountants".

import { RefusalError, requireInteger } from '../errors.ts';
import type { Adjacency, Delta } from '../units.ts';
import { parsePrivacyEvent, simpleEvents } from './events.ts';
import type { ChargeableEvent, PrivacyEvent, SimpleEvent } from './events.ts';

export type Unsupported = {
  /** Stable and kebab-case, e.g. `sampled-event-unsupported`. */
  readonly code: string;
  readonly sentence: string;
};

export type Accountant = {
  readonly name: string;
  readonly adjacency: Adjacency;
  /** The dry run: why `compose` would refuse, or null. Changes nothing. */
  unsupported(event: PrivacyEvent): Unsupported | null;
  /**
   * Adds the event, `times` times. All or nothing.
   * @throws RefusalError with the code of `unsupported`; InputError `privacy-event`; RangeError for `times`.
   */
  compose(event: PrivacyEvent, times?: number): void;
  /** Smallest ε known at δ for all that was composed; Infinity when nothing bounds it (outside: null, said in words). */
  epsilon(delta: Delta): number;
  /** Smallest δ known at ε ≥ 0; 1 when nothing bounds it. */
  delta(epsilon: number): number;
  /** What was composed, in order. */
  events(): readonly PrivacyEvent[];
};

/** The part that differs between accountants: `prepare` computes without recording, `commit` cannot fail. */
export type AccountantCore<Prepared> = {
  readonly name: string;
  readonly adjacency: Adjacency;
  unsupported(event: SimpleEvent): Unsupported | null;
  prepare(event: SimpleEvent, times: number): Prepared;
  commit(prepared: readonly Prepared[]): void;
  epsilon(delta: Delta): number;
  delta(epsilon: number): number;
};

export function accountant<Prepared>(core: AccountantCore<Prepared>): Accountant {
  const composed: PrivacyEvent[] = [];
  const unsupported = (event: PrivacyEvent): Unsupported | null => {
    for (const { event: part } of simpleEvents(event)) {
      const reason = unsupportedAnywhere(part, core.adjacency) ?? core.unsupported(part);
      if (reason !== null) return reason;
    }
    return null;
  };
  return {
    name: core.name,
    adjacency: core.adjacency,
    unsupported,
    compose(event, times = 1) {
      requireInteger('times', times, 1);
      const own = parsePrivacyEvent(times === 1 ? event : { mechanism: 'repeated', event, times });
      const reason = unsupported(own);
      if (reason !== null) throw new RefusalError(reason.code, reason.sentence);
      const prepared = simpleEvents(own).map((part) => core.prepare(part.event, part.times));
      composed.push(own);
      core.commit(prepared);
    },
    epsilon(delta) {
      if (!(delta > 0 && delta < 1)) throw new RangeError('delta must be a number between 0 and 1, both excluded');
      return core.epsilon(delta);
    },
    delta(epsilon) {
      if (!(epsilon >= 0 && Number.isFinite(epsilon))) throw new RangeError('epsilon must be a finite number ≥ 0');
      return core.delta(epsilon);
    },
    events: () => [...composed],
  };
}

/** What no accountant may give a number for: units under an adjacency that does not protect them, and a stranger's. */
export function unsupportedAnywhere(event: SimpleEvent, adjacency: Adjacency): Unsupported | null {
  if (event.adjacency !== adjacency)
    return {
      code: 'adjacency-differs',
      sentence: `The event is about ${event.adjacency} neighbours, this account about ${adjacency} ones; their ε cannot be added.`,
    };
  switch (event.mechanism) {
    case 'gaussian':
    case 'laplace':
    case 'discrete-gaussian':
    case 'skellam':
      return event.adjacency === 'zero-out' && event.samplingRate !== 1 ? sampledZeroOut : null;
    case 'gaussian-mixture':
      return event.adjacency === 'add-or-remove' ? null : mixtureElsewhere;
    case 'fixed-size-sampled-gaussian':
      return event.adjacency === 'replace-one' ? null : fixedSizeElsewhere;
    case 'epsilon-delta':
      return null;
    case 'sealed-gaussian-sum':
    case 'unbounded':
      return unitUnsupported(event);
  }
}

const sampledZeroOut: Unsupported = {
  code: 'sampled-zero-out-unsupported',
  sentence:
    'Sampling amplifies nothing under zero-out neighbours, because everyone sees who takes part; use samplingRate 1.',
};
const mixtureElsewhere: Unsupported = {
  code: 'mixture-needs-add-or-remove',
  sentence: 'A mixture says what adding or removing one unit moves; it is accounted for under add-or-remove only.',
};
const fixedSizeElsewhere: Unsupported = {
  code: 'fixed-size-needs-replace-one',
  sentence:
    'Batches of fixed size are accounted for under replace-one neighbours only: their number of units is public.',
};
/** For accountants that know what replacing does to a whole release, but not to a sampled one. */
export const sampledReplaceOne: Unsupported = {
  code: 'sampled-replace-one-unsupported',
  sentence:
    'This accountant does not bound sampled releases under replace-one neighbours; use add-or-remove, or PLD for Gaussians.',
};

function unitUnsupported(event: ChargeableEvent): Unsupported | null {
  if (event.unit === 'institution') {
    if (event.adjacency !== 'zero-out')
      return {
        code: 'institution-needs-zero-out',
        sentence:
          'Institutions are protected under zero-out neighbours only: the signed cohort lists show who took part.',
      };
    if (event.mechanism === 'sealed-gaussian-sum' && event.samplingRate !== 1)
      return {
        code: 'institution-sampling-unsupported',
        sentence: 'Choosing institutions amplifies nothing, because everyone sees who is chosen; use samplingRate 1.',
      };
    if (event.institutionsPerPerson !== 1)
      return {
        code: 'institution-with-persons',
        sentence: 'An institution is one unit; institutionsPerPerson must be 1 where the unit is the institution.',
      };
  } else if (event.adjacency !== 'add-or-remove')
    return {
      code: `${event.unit}-needs-add-or-remove`,
      sentence: `A ${event.unit} is protected under add-or-remove neighbours only.`,
    };
  return null;
}
