// How many must stay and how many may collude. Design 3, "Parameters": privacy against the coordinator with c colluders
// needs 2t > n + c and t − c ≥ 2, with c ≥ 1; only n − t of the roster may be lost.

import { RefusalError, requireInteger } from '../errors.ts';

/** n institutions in the roster, quorum t, c assumed colluders (the coordinator's operator and the lead included). */
export type Thresholds = { readonly institutions: number; readonly quorum: number; readonly colluders: number };

/** The customary quorum t = n − ⌊0.3 n⌋. */
export function customaryQuorum(institutions: number): number {
  requireInteger('institutions', institutions, 1, 0xffff);
  return institutions - Math.floor((3 * institutions) / 10);
}

/** The most colluders that n and t withstand: min(2t − n − 1, t − 2). Below 1 no round is safe. */
export function mostColluders(institutions: number, quorum: number): number {
  return Math.min(2 * quorum - institutions - 1, quorum - 2);
}

/** D: how many of the roster may be silent or wrong before the round fails. */
export function survivableLosses(thresholds: Pick<Thresholds, 'institutions' | 'quorum'>): number {
  return thresholds.institutions - thresholds.quorum;
}

/** h_min = t − c: the fewest honest survivors whose noise is in an opened sum. */
export function honestMinimum(thresholds: Pick<Thresholds, 'quorum' | 'colluders'>): number {
  return thresholds.quorum - thresholds.colluders;
}

/**
 * @throws RefusalError `colluders-below-one`, `quorum-above-roster`, `quorum-too-small` (2t > n + c fails: two disjoint
 * groups could each be opened) or `too-few-honest` (t − c < 2: a sum of one).
 */
export function requireSafeThresholds({ institutions, quorum, colluders }: Thresholds): void {
  requireInteger('institutions', institutions, 1, 0xffff);
  requireInteger('quorum', quorum, 0);
  requireInteger('colluders', colluders, 0);
  if (colluders < 1)
    throw new RefusalError(
      'colluders-below-one',
      'The contract assumes no colluding institution. Set the number of assumed colluders to at least 1.',
    );
  if (quorum > institutions)
    throw new RefusalError(
      'quorum-above-roster',
      'The quorum is larger than the roster. Lower it or add institutions.',
    );
  if (2 * quorum <= institutions + colluders)
    throw new RefusalError(
      'quorum-too-small',
      `With ${institutions} institutions and ${colluders} assumed colluders the quorum must be at least ${Math.floor((institutions + colluders) / 2) + 1}, not ${quorum}.`,
    );
  if (quorum - colluders < 2)
    throw new RefusalError(
      'too-few-honest',
      `The quorum must exceed the assumed colluders by at least 2, or a single institution's update could be opened; it is ${quorum} with ${colluders} colluders.`,
    );
}
