// A sealed sum of discrete-Gaussian shares, seen as a Gaussian mechanism: its multiplier z′ and how far (as a log density
// ratio) the integer noise is from the one charged. Spec: design 3, "Noise shares"; Kairouz, Liu, Steinke 2021
// (arXiv:2102.06387), proposition 14.

import type { SealedGaussianSumEvent } from './events.ts';

const { exp, PI, sqrt } = Math;

/** r²: the variance given up so that N_Z(0, hv) is a randomised rounding of N(0, hv − r²). */
const roundingVariance = 4;

/** z′ = √(h v − 4) / L̃ for one institution's vector. */
export function sealedNoiseMultiplier(event: SealedGaussianSumEvent): number {
  return sqrt(event.honestShares * event.noiseVariance - roundingVariance) / event.sensitivity;
}

/** τ = 10 Σ_{k=1}^{h−1} exp(−2π² v k/(k+1)): the sum of h shares is N_Z(0, hv) within e^{±τ} per coordinate. */
export function shareSumRatio(honestShares: number, noiseVariance: number): number {
  let sum = 0;
  for (let k = 1; k < honestShares; k++) sum += exp((-2 * PI * PI * noiseVariance * k) / (k + 1));
  return 10 * sum;
}

/** x = dτ + 4 d e^{−8π²}: one release lies within e^{±x} of the Gaussian one, whichever the data. */
export function sealedLogRatio(event: SealedGaussianSumEvent): number {
  const perCoordinate =
    shareSumRatio(event.honestShares, event.noiseVariance) + 4 * exp(-2 * PI * PI * roundingVariance);
  return event.dimension * perCoordinate;
}

/** Every coordinate of every share is within 2^−118 of N_Z(0, v) in total variation (the sampler's 128-bit tables). */
const sampleDistance = 2 ** -118;

/** Total variation distance of one release's noise to what sealedLogRatio starts from: h·d samples. */
export function samplerDistance(event: SealedGaussianSumEvent): number {
  return event.honestShares * event.dimension * sampleDistance;
}
