// Branded numbers: a standard deviation cannot be handed to a function that wants a variance, nor an ε without saying
// so. The brand exists for the compiler only; at run time each is a plain number. Spec: design 2 (house), "Names".

declare const unit: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [unit]: Name };

/** Privacy loss bound ε ≥ 0. Meaningful only beside its δ, unit and adjacency. */
export type Epsilon = Branded<number, 'Epsilon'>;
/** Probability δ in (0, 1) with which the ε bound may fail. */
export type Delta = Branded<number, 'Delta'>;
/** Noise multiplier z: standard deviation of the noise divided by the L2 sensitivity. */
export type NoiseMultiplier = Branded<number, 'NoiseMultiplier'>;
/** L2 clipping norm C, in the units of the gradient. */
export type ClipNorm = Branded<number, 'ClipNorm'>;
/** Variance parameter v of one discrete Gaussian noise share, in squared integer steps. */
export type NoiseVariance = Branded<number, 'NoiseVariance'>;
/** Poisson sampling rate q in (0, 1]. */
export type SamplingRate = Branded<number, 'SamplingRate'>;

function checked<Name extends string>(name: Name, value: number, ok: boolean, wants: string): Branded<number, Name> {
  if (!Number.isFinite(value) || !ok) throw new RangeError(`${name} must be ${wants}`);
  return value as Branded<number, Name>;
}

export const epsilon = (value: number): Epsilon => checked('Epsilon', value, value >= 0, 'a finite number ≥ 0');
export const delta = (value: number): Delta =>
  checked('Delta', value, value > 0 && value < 1, 'a number between 0 and 1, both excluded');
export const noiseMultiplier = (value: number): NoiseMultiplier =>
  checked('NoiseMultiplier', value, value > 0, 'a finite number > 0');
export const clipNorm = (value: number): ClipNorm => checked('ClipNorm', value, value > 0, 'a finite number > 0');
export const noiseVariance = (value: number): NoiseVariance =>
  checked('NoiseVariance', value, Number.isSafeInteger(value) && value > 0, 'a whole number > 0');
export const samplingRate = (value: number): SamplingRate =>
  checked('SamplingRate', value, value > 0 && value <= 1, 'a number in (0, 1]');

/** Whose secret an ε protects (design 4, "Units"). */
export type PrivacyUnit = 'record' | 'person' | 'institution';
/** Which pairs of data sets are neighbours. Record and person: add-or-remove. Institution: zero-out only. */
export type Adjacency = 'add-or-remove' | 'replace-one' | 'zero-out';
/** How a round makes its update (design 4, "Modes"). */
export type TrainingMode = 'union' | 'local' | 'institution';
