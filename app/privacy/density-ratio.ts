// What is known of an output only within a factor e^{±x} of an ideal one, in (ε, δ): from P̃ ≤ e^x P, Q ≤ e^x Q̃ and
// P(S) ≤ e^ε Q(S) + δ follows P̃(S) ≤ e^{ε + 2x} Q̃(S) + e^x δ. docs/PRIVACY.md, "Sealed sums"; for RDP see rdp.ts.

import type { Delta } from '../units.ts';

const { exp, min } = Math;

/** ε at δ of the real output, `ideal` giving that of the ideal one. */
export function epsilonBeside(logRatio: number, delta: Delta, ideal: (delta: Delta) => number): number {
  return ideal((delta * exp(-logRatio)) as Delta) + 2 * logRatio;
}

/** δ at ε of the real output, `ideal` giving that of the ideal one. */
export function deltaBeside(logRatio: number, epsilon: number, ideal: (epsilon: number) => number): number {
  const rest = epsilon - 2 * logRatio;
  return rest < 0 ? 1 : min(1, exp(logRatio) * ideal(rest));
}
