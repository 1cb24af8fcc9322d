// The next clipping norm from a released share of units within the present one: Andrew, Thakkar, McMahan, Ramaswamy 2021
// (arXiv:1905.03871), section 2. Elementary float64 operations only, so that every institution gets the same bits.

export type ClipRule = {
  readonly quantile: number;
  readonly update: 'geometric' | 'linear';
  readonly learningRate: number;
  readonly least: number;
  readonly most: number;
};

/**
 * C′ = C e^{−η(b − γ)} or C − η(b − γ), kept within the public ends.
 * @param within b: share of units whose norm is at most `clip`, as released; noise may have put it outside [0, 1].
 * @throws RangeError unless clip > 0 and within is a number.
 */
export function nextClip(clip: number, within: number, rule: ClipRule): number {
  if (!(clip > 0 && Number.isFinite(clip))) throw new RangeError('clip must be a finite number > 0');
  if (!Number.isFinite(within)) throw new RangeError('within must be a finite number');
  const beyond = rule.learningRate * (Math.min(1, Math.max(0, within)) - rule.quantile);
  const next = rule.update === 'geometric' ? clip * expOfSum(-beyond) : clip - beyond;
  return Math.min(rule.most, Math.max(rule.least, next));
}

/** A vector with its count behind it. */
export function withCount(vector: Float64Array, count: number): Float64Array {
  const out = new Float64Array(vector.length + 1);
  out.set(vector);
  out[vector.length] = count;
  return out;
}

/** e^x by halving and the Taylor series: Math.exp may differ in its last bit between machines. */
function expOfSum(x: number): number {
  const bounded = Math.min(64, Math.max(-64, x));
  let halvings = 0;
  while (Math.abs(bounded) > 2 ** (halvings - 3)) halvings++;
  const small = bounded / 2 ** halvings;
  let value = 1;
  for (let k = 14; k >= 1; k--) value = 1 + (small / k) * value;
  for (let i = 0; i < halvings; i++) value *= value;
  return value;
}
