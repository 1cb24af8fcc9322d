// Metrics in a sealed sum. Each unit is, by a keyed hash, either trained on or tested on; a tested one fills the words after
// the model's: one, whether it is right, its capped loss, its score's bin, its slices, its class. Beside zeros for the model
// this is a vector no longer than C, so sum, noise and charge are those of training. Design 5, "Evaluation".

import { fromHex, utf8 } from '../encoding/bytes.ts';
import type { Cipher } from '../ports.ts';
import { featureWidth } from './encoder.ts';
import { logLossCap } from './evaluate.ts';
import { clipMargin } from './float-term.ts';
import type { Architecture } from './model.ts';
import { normalisedPerson } from './person-identifier.ts';
import { emptySlot } from './poisson.ts';
import { predict } from './predict.ts';
import type { Records } from './records.ts';
import type { CategoryFeature, EvaluationSpec, PersonRule, Table } from './types.ts';

/** Whether each unit is tested on: HMAC(splitKey, person or row) as a fraction below the share. */
export function testedUnits(
  cipher: Cipher,
  { share, splitKey }: EvaluationSpec,
  records: Records,
  units: readonly (readonly number[])[],
): boolean[] {
  const key = fromHex(splitKey);
  const { width, features, labels, persons } = records;
  const row = new Float32Array(width + 1);
  return units.map(([first]) => {
    const at = first!;
    row.set(features.subarray(at * width, (at + 1) * width));
    row[width] = labels[at]!;
    const what = persons === null ? new Uint8Array(row.buffer) : utf8(normalisedPerson(persons[at]!));
    const print = cipher.hmacSha256(key, what);
    return new DataView(print.buffer, print.byteOffset).getUint32(0) / 2 ** 32 < share;
  });
}

/** The slots of the units that are (not) tested on; the others are empty. */
export function slotsWhere(slots: Int32Array, tested: readonly boolean[], wanted: boolean): Int32Array {
  return slots.map((unit) => (unit !== emptySlot && tested[unit] === wanted ? unit : emptySlot));
}

type Slice = { readonly feature: CategoryFeature; readonly column: number; readonly word: number };

export type MetricLayout = {
  /** False for texts that are continued, and for numbers: there is no class to be right about. */
  readonly labelled: boolean;
  /** Of a number that is predicted half its public range, one step of what the model says; else null. */
  readonly unitsPerStep: number | null;
  /** 0 with more than two classes. */
  readonly bins: number;
  readonly slices: readonly Slice[];
  /** For each class its right, missed and wrongly called units from this word on; null where that is not told. */
  readonly classes: { readonly count: number; readonly word: number } | null;
  /** Most tokens that one unit can have predicted; null: each text counts alike, not each token. */
  readonly mostTokens: number | null;
  readonly words: number;
  /** Longest vector of one unit, before it is scaled to C. */
  readonly longest: number;
};

/** @param person of the person unit; else null */
export function metricLayout(table: Table, spec: EvaluationSpec, person: PersonRule | null): MetricLayout {
  const { bins, slices } = spec;
  const ofScores = table.label.kind === 'binary' ? bins : 0;
  let words = 3 + 2 * ofScores;
  const found: Slice[] = [];
  for (const [place, feature] of table.features.entries()) {
    if (feature.kind !== 'category' || !slices.includes(feature.column)) continue;
    found.push({ feature, column: featureWidth({ features: table.features.slice(0, place) }), word: words });
    words += 2 * feature.categories.length;
  }
  const { label } = table;
  const labelled = label.kind === 'binary' || label.kind === 'classes';
  const classes =
    spec.perClass === true && table.label.kind === 'classes'
      ? { count: table.label.classes.length, word: words }
      : null;
  return {
    labelled,
    unitsPerStep: label.kind === 'number' ? (label.most - label.least) / 2 : null,
    bins: ofScores,
    slices: found,
    classes,
    mostTokens: spec.perToken === true ? (person?.rowCap ?? 1) * predictedTokens(table) : null,
    words: words + 3 * (classes?.count ?? 0),
    // A right unit fills one word of the classes; a wrong one two, and not the word of those that are right.
    longest: Math.sqrt(3 + (ofScores > 0 || classes !== null ? 1 : 0) + 2 * found.length),
  };
}

/** Most tokens of a row that are predicted: all of each piece but its first. */
function predictedTokens({ features }: Table): number {
  const [feature] = features;
  return feature?.kind === 'text' ? Math.max(1, feature.pieces * (feature.tokens - 1)) : 1;
}

/** What the model makes of one row. */
export type RowOutcome = {
  /** Whether its class is the row's own. */
  readonly right: boolean;
  /** −ln of the probability of what is true, uncapped; over texts that are continued the mean over their tokens. */
  readonly loss: number;
  /** Predicted tokens of a text that is continued; 0 otherwise. */
  readonly tokens: number;
  /** The class that the model says; null where there are none. */
  readonly predicted: number | null;
  /** Probability of the second of two classes; null with more or none. */
  readonly score: number | null;
  /** What is said less what is true, of a number, both within the public range, which is −1 to 1; absent otherwise. */
  readonly error?: number;
};
export type Outcomes = (row: number) => RowOutcome;

/** Of the rows of a table with classes, or with a number. */
export const tableOutcomes =
  (architecture: Architecture, parameters: Float32Array, { width, features, labels }: Records): Outcomes =>
  (row) => {
    const label = labels[row]!;
    const scores = predict(architecture, parameters, features.subarray(row * width, (row + 1) * width), 1);
    if (architecture.head === 'squared') {
      const error = Math.min(1, Math.max(-1, scores[0]!)) - label;
      return { right: false, loss: 0, tokens: 0, predicted: null, score: null, error };
    }
    const binary = architecture.head === 'logistic';
    const probability = binary ? (label === 1 ? scores[0]! : 1 - scores[0]!) : scores[label]!;
    const predicted = binary ? (scores[0]! > 0.5 ? 1 : 0) : scores.indexOf(Math.max(...scores));
    const loss = -Math.log(probability);
    return { right: predicted === label, loss, tokens: 0, predicted, score: binary ? scores[0]! : null };
  };

export type MetricSumRequest = {
  readonly outcomes: Outcomes;
  readonly records: Records;
  readonly units: readonly (readonly number[])[];
  /** Of tested units alone. */
  readonly slots: Int32Array;
  readonly layout: MetricLayout;
  readonly clip: number;
};

/** Just below C, as clipped gradients are. */
export const metricScale = (clip: number, { longest }: MetricLayout): number => (clip * clipMargin) / longest;

/** Σ of the slots' vectors, each no longer than C; Float64Array(words). A unit counts once, whatever its number of rows. */
export function metricSum(request: MetricSumRequest): Float64Array {
  const { units, slots, layout, clip } = request;
  const total = new Float64Array(layout.words);
  for (const slot of slots) {
    if (slot === emptySlot) continue;
    const own = unitMetrics(request, units[slot]!);
    let squares = 0;
    for (const value of own) squares += value * value;
    if (!Number.isFinite(squares)) continue;
    const factor = Math.min(
      metricScale(clip, layout),
      squares === 0 ? Infinity : (clip * clipMargin) / Math.sqrt(squares),
    );
    for (let i = 0; i < own.length; i++) total[i]! += factor * own[i]!;
  }
  return total;
}

/** Of one unit, its rows averaged; of tokens their sum, over the most that a unit can have. */
function unitMetrics({ outcomes, records, layout }: MetricSumRequest, rows: readonly number[]): Float64Array {
  const { width, features, labels } = records;
  const { bins, slices, classes, mostTokens, words } = layout;
  const out = new Float64Array(words);
  const share = 1 / rows.length;
  for (const row of rows) {
    const own = features.subarray(row * width, (row + 1) * width);
    const { right, loss, tokens, predicted, score, error } = outcomes(row);
    const capped = Math.min(logLossCap, loss) / logLossCap;
    out[0]! += share;
    if (error !== undefined) {
      out[1]! += (share * Math.abs(error)) / 2;
      out[2]! += (share * error * error) / 4;
    } else if (mostTokens === null) {
      if (right) out[1]! += share;
      out[2]! += share * capped;
    } else {
      out[1]! += tokens / mostTokens;
      out[2]! += (tokens / mostTokens) * capped;
    }
    if (classes !== null && predicted !== null) {
      const label = labels[row]!;
      out[classes.word + 3 * label + (right ? 0 : 1)]! += share;
      if (!right) out[classes.word + 3 * predicted + 2]! += share;
    }
    if (bins > 0 && score !== null) {
      const bin = Math.min(bins - 1, Math.floor(score * bins));
      out[3 + labels[row]! * bins + bin]! += share;
    }
    for (const { feature, column, word } of slices) {
      const category = categoryOf(feature, own, column);
      if (category === null) continue;
      out[word + 2 * category]! += share;
      if (right) out[word + 2 * category + 1]! += share;
    }
  }
  return out;
}

/** Which of the feature's categories a row has; null: another, or missing. */
function categoryOf({ categories, encoding }: CategoryFeature, row: Float32Array, column: number): number | null {
  const first = encoding === 'one-hot-drop-first' ? 1 : 0;
  for (let k = first; k < categories.length; k++) if (row[column + k - first] === 1) return k;
  return first === 1 ? 0 : null;
}

export type SliceMetrics = {
  readonly column: string;
  readonly category: string;
  readonly count: number;
  readonly accuracy: number;
};

/** Read from noised sums: a count may be off by `noise`, a ratio by about noise over count. */
export type SealedMetrics = {
  /** Tested units, each once for each round. */
  readonly count: number;
  /** Standard deviation of the noise in `count`, and in each other number of units. */
  readonly noise: number;
  /** Null where fewer than the contract's least count were tested, and for texts that are continued. */
  readonly accuracy: number | null;
  /** Mean over units, or over tokens where those are counted. Of texts that are continued, e to it is a perplexity. */
  readonly loss: number | null;
  /** Predicted tokens, where each counts alike; else null. */
  readonly tokens: number | null;
  /** Of a number, in the units of its column; null where too few were tested on, and otherwise. */
  readonly error: { readonly meanAbsolute: number; readonly rootMeanSquared: number } | null;
  /** Two classes only. */
  readonly auc: number | null;
  readonly f1: number | null;
  /** Mean F1 of the classes that are true of at least the least count of tested units; null where none is, or not told. */
  readonly macroF1: { readonly value: number; readonly classes: number } | null;
  /** Those above the least count. */
  readonly slices: readonly SliceMetrics[];
};

/**
 * @param sums words of one or several rounds, whose numbers are added @param clip C
 * @param deviation of the noise in one word of one round, in the units of a unit's vector
 */
export function readMetrics(
  sums: readonly Float64Array[],
  layout: MetricLayout,
  { clip, leastCount, deviation }: { readonly clip: number; readonly leastCount: number; readonly deviation: number },
): SealedMetrics {
  const scale = metricScale(clip, layout);
  const words = new Float64Array(layout.words);
  for (const sum of sums) {
    if (sum.length !== layout.words) throw new RangeError(`a sum must have ${layout.words} words of metrics`);
    for (let i = 0; i < words.length; i++) words[i]! += sum[i]! / scale;
  }
  const [count, right, loss] = words as unknown as [number, number, number];
  const enough = count >= leastCount;
  const within = (value: number): number => Math.min(1, Math.max(0, value));
  const { bins } = layout;
  const positive = (from: number, to: number): number =>
    words.subarray(from, to).reduce((total, value) => total + Math.max(0, value), 0);
  const [negatives, positives] = [words.subarray(3, 3 + bins), words.subarray(3 + bins, 3 + 2 * bins)];
  const hits = positive(3 + bins + bins / 2, 3 + 2 * bins);
  const called = hits + positive(3 + bins / 2, 3 + bins);
  const actual = positive(3 + bins, 3 + 2 * bins);
  const { mostTokens, unitsPerStep } = layout;
  const base = mostTokens === null ? count : right;
  return {
    count,
    noise: (deviation / scale) * Math.sqrt(sums.length),
    accuracy: enough && layout.labelled ? within(right / count) : null,
    error:
      enough && unitsPerStep !== null
        ? {
            meanAbsolute: 2 * unitsPerStep * within(right / count),
            rootMeanSquared: 2 * unitsPerStep * Math.sqrt(within(loss / count)),
          }
        : null,
    loss: enough && base > 0 && unitsPerStep === null ? Math.max(0, (loss / base) * logLossCap) : null,
    tokens: mostTokens === null ? null : Math.max(0, right * mostTokens),
    auc: enough && bins > 0 ? areaOfBins(negatives, positives) : null,
    f1: enough && bins > 0 && called + actual > 0 ? within((2 * hits) / (called + actual)) : null,
    macroF1: enough ? macroF1Of(words, layout, leastCount) : null,
    slices: layout.slices.flatMap(({ feature, word }) =>
      feature.categories.flatMap((category, k) => {
        const own = words[word + 2 * k]!;
        if (own < leastCount) return [];
        return [{ column: feature.column, category, count: own, accuracy: within(words[word + 2 * k + 1]! / own) }];
      }),
    ),
  };
}

function macroF1Of(words: Float64Array, { classes }: MetricLayout, leastCount: number): SealedMetrics['macroF1'] {
  const scores: number[] = [];
  for (let k = 0; k < (classes?.count ?? 0); k++) {
    const [right, missed, called] = words.subarray(classes!.word + 3 * k) as unknown as [number, number, number];
    if (right + missed < leastCount) continue;
    const hits = 2 * Math.max(0, right);
    scores.push(hits === 0 ? 0 : hits / (hits + Math.max(0, missed) + Math.max(0, called)));
  }
  return scores.length === 0
    ? null
    : { value: scores.reduce((sum, one) => sum + one, 0) / scores.length, classes: scores.length };
}

/** Area under the ROC curve of binned scores, ties at one half; null where a class is missing. */
function areaOfBins(negatives: Float64Array, positives: Float64Array): number | null {
  let [below, area, allNegative, allPositive] = [0, 0, 0, 0];
  for (let bin = 0; bin < negatives.length; bin++) {
    const [n, p] = [Math.max(0, negatives[bin]!), Math.max(0, positives[bin]!)];
    area += p * (below + n / 2);
    below += n;
    allNegative += n;
    allPositive += p;
  }
  return allNegative > 0 && allPositive > 0 ? area / (allNegative * allPositive) : null;
}
