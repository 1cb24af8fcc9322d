// The fit of a head: at its answer the gradient is zero, which a sum by hand confirms; one text moves it little.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fitSoftmax, localHeadRecipe } from '../../../../app/training/language/local-head.ts';
import { splitMix64 } from '../../../../app/training/split-mix.ts';

const [classes, width] = [3, 4];

function sample(rows: number) {
  const next = splitMix64(5);
  const features = Array.from({ length: rows }, () =>
    Float64Array.from({ length: width }, (_, i) => (i === width - 1 ? 1 : 4 * next() - 2)),
  );
  const labels = Float32Array.from(features, (row) => (row[0]! > 0.5 ? 2 : row[1]! > 0 ? 1 : 0));
  const shared = Float64Array.from({ length: classes * width }, () => next() - 0.5);
  return { features, labels, shared, classes };
}

/** Gradient of Σ −ln p + penalty/2 ‖W − shared‖² by differences of the loss itself. */
function lossAt(at: Float64Array, { features, labels, shared }: ReturnType<typeof sample>): number {
  let loss = 0;
  for (const [i, value] of at.entries()) loss += (localHeadRecipe.penalty / 2) * (value - shared[i]!) ** 2;
  for (const [row, own] of features.entries()) {
    const scores = [0, 1, 2].map((k) => own.reduce((sum, value, i) => sum + value * at[k * width + i]!, 0));
    loss += Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - scores[labels[row]!]!;
  }
  return loss;
}

test('the fit is where the penalised loss is least', () => {
  const given = sample(60);
  const fitted = fitSoftmax(given);
  const least = lossAt(fitted, given);
  assert.ok(least < lossAt(given.shared, given) - 5);
  for (let i = 0; i < fitted.length; i++)
    for (const off of [-1e-3, 1e-3]) {
      const moved = Float64Array.from(fitted);
      moved[i]! += off;
      // Convex: 1e-3 away the loss is higher, or the fit was not at its end.
      assert.ok(lossAt(moved, given) > least, `${i}`);
    }
});

test('without texts the shared head stays, and one text moves it less than many', () => {
  const given = sample(60);
  const none = fitSoftmax({ ...given, features: [], labels: new Float32Array(0) });
  assert.deepEqual(none, given.shared);
  const away = (rows: number): number => {
    const fitted = fitSoftmax({
      ...given,
      features: given.features.slice(0, rows),
      labels: given.labels.slice(0, rows),
    });
    return Math.hypot(...fitted.map((value, i) => value - given.shared[i]!));
  };
  assert.ok(away(1) < away(60) / 2, `${away(1)} and ${away(60)}`);
});
