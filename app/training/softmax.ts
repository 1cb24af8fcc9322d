// From scores of classes to probabilities, in float64 and without overflow: wherever a model's scores become either.

/** e^score over their sum. */
export function softmax(scores: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const { most, total } = weighed(scores);
  return Float64Array.from(scores, (score) => Math.exp(score - most) / total);
}

/** −ln of the probability of class `label`, finite for finite scores. */
export function surpriseOf(scores: ArrayLike<number>, label: number): number {
  const { most, total } = weighed(scores);
  return Math.log(total) + most - scores[label]!;
}

function weighed(scores: ArrayLike<number>): { readonly most: number; readonly total: number } {
  let most = -Infinity;
  for (let k = 0; k < scores.length; k++) most = Math.max(most, scores[k]!);
  let total = 0;
  for (let k = 0; k < scores.length; k++) total += Math.exp(scores[k]! - most);
  return { most, total };
}
