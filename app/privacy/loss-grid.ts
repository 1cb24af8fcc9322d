// Connect the dots: a pair of distributions brought onto losses that are multiples of d, never easier to tell apart. Each
// piece of mass between two grid losses is split between them so that P's mass and Q's are both kept; that is the chord
// above the hockey-stick curve. Doroshenko, Ghazi, Kamath, Kumar, Manurangsi 2022 (arXiv:2207.04380), algorithm 1.

import type { LossPair } from './loss-pair.ts';

const { ceil, exp, expm1, floor, log, max, min } = Math;

/** P's masses at losses (first + i)·d; Q's mass there is e^{−loss} times as much. */
export type GridLosses = {
  readonly spacing: number;
  readonly first: number;
  readonly mass: Float64Array;
  /** What either distribution has outside: counted as infinite loss. */
  readonly infinity: number;
};

const nodes = [0.8611363115940526, 0.3399810435848563] as const;
const weights = [0.3478548451374538, 0.6521451548625461] as const;

/** Least and largest loss that a pair has, but for e^logTail of its mass. */
export function lossRange(pair: LossPair, logTail: number): { readonly least: number; readonly most: number } {
  let [least, most] = [Infinity, -Infinity];
  for (const { loss } of pair.atoms(logTail)) [least, most] = [min(least, loss), max(most, loss)];
  if (pair.density !== null) {
    const { from, to } = pair.density.range(logTail);
    [least, most] = [min(least, pair.density.loss(from)), max(most, pair.density.loss(to))];
  }
  return { least, most };
}

/**
 * @param spacing d > 0.
 * @param logTail ln of the mass that may be counted as infinite loss.
 */
export function gridLosses(pair: LossPair, spacing: number, logTail: number): GridLosses {
  const { least, most } = lossRange(pair, logTail);
  const first = floor(least / spacing);
  const mass = new Float64Array(max(ceil(most / spacing), first + 1) - first + 1);
  const whole = -expm1(-spacing);
  for (const { loss, logUpper } of pair.atoms(logTail)) {
    const at = min(floor(loss / spacing) - first, mass.length - 2);
    const here = exp(logUpper);
    const up = min(here, (here * -expm1(min(0, (first + at) * spacing - loss))) / whole);
    mass[at] = mass[at]! + (here - up);
    mass[at + 1] = mass[at + 1]! + up;
  }
  const { density } = pair;
  if (density !== null) {
    const { from, to } = density.range(logTail);
    let above = to;
    for (let at = min(ceil(density.loss(to) / spacing) - 1 - first, mass.length - 2); at >= 0 && above > from; at--) {
      const edge = (first + at) * spacing;
      const below = at === 0 ? from : min(above, max(from, density.inverse(edge, above)));
      const panels =
        below < above ? max(1, ceil((above - below) / min(density.panel(below), density.panel(above)))) : 0;
      const half = (above - below) / (2 * panels);
      let [total, up] = [0, 0];
      for (let panel = 0; panel < panels; panel++) {
        const middle = below + (2 * panel + 1) * half;
        for (let node = 0; node < 4; node++) {
          const x = middle + (node < 2 ? nodes[node]! : -nodes[node - 2]!) * half;
          const loss = density.loss(x);
          const here = exp(density.logUpper(x, loss)) * weights[node & 1]! * half;
          total += here;
          up -= here * expm1(min(0, edge - loss));
        }
      }
      up = min(total, up / whole);
      mass[at] = mass[at]! + (total - up);
      mass[at + 1] = mass[at + 1]! + up;
      above = below;
    }
  }
  return { spacing, first, mass, infinity: pair.infinity + exp(logTail) };
}

/** One direction of a pair, in logarithms: ln of the masses at losses (first + i)·d. */
export type Losses = {
  readonly spacing: number;
  readonly first: number;
  readonly logMass: Float64Array;
  readonly infinity: number;
};

/** How much more likely an output is with the unit than without it, under the data with it. */
export function losses(grid: GridLosses): Losses {
  return { spacing: grid.spacing, first: grid.first, logMass: grid.mass.map(log), infinity: grid.infinity };
}

/** The other direction: Q's masses at the negated losses. */
export function reversedLosses(grid: GridLosses): Losses {
  const { spacing, first, mass } = grid;
  const count = mass.length;
  const logMass = new Float64Array(count);
  for (let i = 0; i < count; i++) logMass[count - 1 - i] = log(mass[i]!) - (first + i) * spacing;
  return { spacing, first: -(first + count - 1), logMass, infinity: grid.infinity };
}
