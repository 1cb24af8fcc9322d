// How many neighbours a sparse graph needs. Bell et al. (CCS 2020), "Secure single-server aggregation with (poly)logarithmic
// overhead", with the conditions of a semi-malicious server: a Harary graph at random positions stays connected without
// colluders and dropouts; no member has so many colluding neighbours that both of its secrets could be opened; every
// member keeps enough surviving ones. Design 3, "Complete graph": weaker than the complete graph, opt-in.

import { requireInteger } from '../errors.ts';

/** n members, of which `colluders` may collude and `dropouts` may be lost once the graph is known. */
export type SparseSetting = { readonly members: number; readonly colluders: number; readonly dropouts: number };
/** Each member has `degree` neighbours (even), of which `shareThreshold` open its secret. */
export type SparseGraph = { readonly degree: number; readonly shareThreshold: number };

/** Bits of secrecy, and of liveness, that the finder goes by: 2^−40 and 2^−20 over all members. */
export const secrecyBits = 40;
export const livenessBits = 20;

const logFactorials: number[] = [0];

function logFactorial(of: number): number {
  for (let next = logFactorials.length; next <= of; next++)
    logFactorials.push(logFactorials[next - 1]! + Math.log(next));
  return logFactorials[of]!;
}

const logChoose = (from: number, pick: number): number =>
  pick < 0 || pick > from ? -Infinity : logFactorial(from) - logFactorial(pick) - logFactorial(from - pick);

/** P[X = x] where X of `marked` among `total` are in a sample of `drawn`. */
const hypergeometric = (total: number, marked: number, drawn: number, x: number): number =>
  Math.exp(logChoose(marked, x) + logChoose(total - marked, drawn - x) - logChoose(total, drawn));

/**
 * A bound on the probability that colluders and dropouts cut the graph in two: they would have to fill two gaps of half a
 * degree each on the ring. 0 where there are too few of them for that.
 */
export function disconnectionBound({ members, colluders, dropouts }: SparseSetting, degree: number): number {
  const gone = Math.min(members, colluders + dropouts);
  if (degree > gone) return 0;
  const pairs = (members * (members - degree - 1)) / 2;
  const filled = logFactorial(gone) - logFactorial(gone - degree) + logFactorial(members - degree);
  return pairs * Math.exp(filled - logFactorial(members));
}

/** The least x with P[X > x] ≤ limit, for colluding neighbours: added from the far end, where terms are smallest. */
function mostColludingNeighbours({ members, colluders }: SparseSetting, degree: number, limit: number): number {
  let most = Math.min(colluders, degree);
  for (let tail = 0; most > 0; most--) {
    tail += hypergeometric(members, colluders, degree, most);
    if (tail > limit) break;
  }
  return most;
}

/** The least x with P[X ≤ x] ≥ limit, for surviving neighbours: a threshold above it would fail too often. */
function fewestSurvivingNeighbours({ members, dropouts }: SparseSetting, degree: number, limit: number): number {
  let fewest = Math.max(0, degree - dropouts);
  for (let tail = 0; fewest < degree; fewest++) {
    tail += hypergeometric(members, members - dropouts, degree, fewest);
    if (tail >= limit) break;
  }
  return fewest;
}

/**
 * Thresholds from `least` to `most` serve at this degree; null where none does.
 * Secrecy: with A colluding neighbours the two secrets of a member are both opened only if 2 t ≤ degree + A.
 */
export function shareThresholds(
  setting: SparseSetting,
  degree: number,
): { readonly least: number; readonly most: number } | null {
  const { members, colluders, dropouts } = setting;
  requireInteger('members', members, 3);
  requireInteger('colluders', colluders, 0, members);
  requireInteger('dropouts', dropouts, 0, members);
  requireInteger('degree', degree, 2, members - 1);
  const each = 2 ** -(secrecyBits + 1);
  if (disconnectionBound(setting, degree) >= each) return null;
  const colluding = mostColludingNeighbours(setting, degree, each / members);
  const least = Math.max(2, Math.floor((degree + colluding) / 2) + 1);
  const most = fewestSurvivingNeighbours(setting, degree, 2 ** -livenessBits / members);
  return least <= most ? { least, most } : null;
}

/**
 * Whether a graph keeps its promise in every cohort that a study can have: from `least` members, of whom nobody may be lost,
 * to all `institutions`, of whom all but `least` may. Cohorts of degree + 1 and fewer use the complete graph.
 */
export function holdsInEveryCohort(
  study: { readonly institutions: number; readonly least: number; readonly colluders: number },
  { degree, shareThreshold }: SparseGraph,
): boolean {
  for (let members = Math.max(study.least, degree + 2); members <= study.institutions; members++) {
    const dropouts = members - study.least;
    const range = shareThresholds({ members, colluders: Math.min(study.colluders, members), dropouts }, degree);
    if (range === null || shareThreshold < range.least || shareThreshold > range.most) return false;
  }
  return true;
}

/** The sparsest graph that keeps its promise in every cohort of a study; null where only the complete graph does. */
export function sparseGraphFor(study: {
  readonly institutions: number;
  readonly least: number;
  readonly colluders: number;
}): SparseGraph | null {
  for (let degree = 2; degree < study.institutions - 1; degree += 2) {
    const whole = {
      members: study.institutions,
      colluders: study.colluders,
      dropouts: study.institutions - study.least,
    };
    const range = shareThresholds(whole, degree);
    if (range === null) continue;
    for (let shareThreshold = range.least; shareThreshold <= range.most; shareThreshold++)
      if (holdsInEveryCohort(study, { degree, shareThreshold })) return { degree, shareThreshold };
  }
  return null;
}

/** The sparsest graph for one size; null where nothing sparser than the complete graph serves. */
export function findSparseGraph(setting: SparseSetting): SparseGraph | null {
  for (let degree = 2; degree < setting.members - 1; degree += 2) {
    const thresholds = shareThresholds(setting, degree);
    if (thresholds !== null) return { degree, shareThreshold: thresholds.least };
  }
  return null;
}
