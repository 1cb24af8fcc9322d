// Fills in what follows from what a lead chose: thresholds, dimension, scale, batches, noise variance, δ's bucket, ε. So
// that nobody computes them by hand, and a roster that grows stays calibrated. Every number comes from the same
// functions that the check holds it against. Designs 3 and 4.

import { RefusalError } from '../errors.ts';
import { calibrateNoiseMultiplier } from '../privacy/calibrate.ts';
import { leastShareVariance } from '../sealed-sum/noise.ts';
import { subsetSize } from '../sealed-sum/subset.ts';
import { customaryQuorum, mostColluders } from '../sealed-sum/thresholds.ts';
import type { ContractDraft } from '../study/contract.ts';
import { askedIn } from '../study/selection.ts';
import { capForTail } from './batch-tail.ts';
import { roundedUp } from './finding.ts';
import { expectedVariance, roundedDown } from './noise-rules.ts';
import { privacyFigures, truncatedSteps } from './privacy-figures.ts';
import { ringFigures } from './ring-figures.ts';
import { noisedDimension, noisedLength, furtherWords } from './round-event.ts';
import { filterEpsilon } from './study-filter.ts';

export type Wishes = {
  /** Parameters of the model. */
  readonly modelDimension: number;
  /** z is found for it; null keeps the draft's z (or its lack of noise). */
  readonly targetEpsilon: number | null;
  /** c; null: the draft's, but at least a fifth of the roster, as far as the quorum allows. */
  readonly colluders: number | null;
};

/**
 * The draft with everything that follows filled in. Rosters below 3 are treated as if they had 3, so that a first draft
 * has numbers at all.
 * @throws RefusalError `colluders-too-many`, `no-noise-suffices`, or the accountant's refusal of the settings.
 */
export function deriveDraft(draft: ContractDraft, wishes: Wishes): ContractDraft {
  const sized = withBatches(withDelta(withThresholds(draft, wishes)), wishes.targetEpsilon);
  let derived = withNoise(withScale(sized, finenesses[0]), wishes.targetEpsilon);
  for (const fineness of finenesses.slice(1)) {
    const ring = ringFigures(derived);
    if (ring !== null && ring.room >= ring.wanted) break;
    derived = withNoise(withScale(sized, fineness), wishes.targetEpsilon);
  }
  return withRing(derived);
}

/** Where vectors travel packed: the fewest bits that leave all the room wanted. Nothing of ε rests on them. */
function withRing(draft: ContractDraft): ContractDraft {
  // Noise that adapts may grow, and the ring has to hold it then too.
  if (draft.sealing.packing !== 'ring' || draft.privacy.adaptiveNoise !== undefined) return draft;
  for (let ringBits = 16; ringBits < 32; ringBits++) {
    const narrowed = { ...draft, sealing: { ...draft.sealing, ringBits } };
    const ring = ringFigures(narrowed);
    if (ring !== null && ring.room >= Math.max(ring.smallest, ring.wanted)) return narrowed;
  }
  return draft;
}

function withThresholds(draft: ContractDraft, { modelDimension, colluders }: Wishes): ContractDraft {
  const institutions = Math.max(3, askedIn(draft));
  const threshold = quorumOf(draft, institutions);
  const regions = draft.regions?.opening === 'region' ? withRegionThresholds(draft.regions) : undefined;
  const most = Math.min(
    mostColluders(institutions, threshold),
    ...(regions?.relays ?? []).map(({ members, threshold: own }) => mostColluders(members.length, own!)),
  );
  if (colluders !== null && (colluders < 1 || colluders > most))
    throw new RefusalError(
      'colluders-too-many',
      `${institutions} institutions with a quorum of ${threshold} withstand 1 to ${most} colluders, not ${colluders}.`,
    );
  // Where no number of colluders would do, the check says so.
  const chosen =
    colluders ?? Math.max(1, Math.min(most, Math.max(1, Math.floor(institutions / 5), draft.sealing.colluders)));
  const all = draft.roster.map((_, index) => index);
  const { subset } = draft.sealing;
  const sent = subset === undefined ? modelDimension : subsetSize(modelDimension, subset.share);
  const batches = draft.privacy.noise === 'none' ? (all.length < 3 ? [] : (keptBatches(draft, chosen) ?? [all])) : [];
  return {
    ...draft,
    ...(regions === undefined ? {} : { regions }),
    sealing: {
      ...draft.sealing,
      threshold,
      cohortFloor: threshold,
      colluders: chosen,
      dimension: sent + furtherWords(draft),
      ...(subset === undefined ? {} : { subset: { ...subset, parameters: modelDimension } }),
      openableBatches: batches,
    },
  };
}

/** The customary quorum; with regions no more than the loss of the largest one leaves, as far as colluders allow any. */
function quorumOf({ regions }: ContractDraft, institutions: number): number {
  const customary = customaryQuorum(institutions);
  if (regions === undefined) return customary;
  const largest = Math.max(...regions.relays.map(({ members }) => members.length));
  const bearing = Math.min(customary, institutions - largest);
  return mostColluders(institutions, bearing) >= 1 ? bearing : customary;
}

const withRegionThresholds = (regions: NonNullable<ContractDraft['regions']>): typeof regions => ({
  ...regions,
  relays: regions.relays.map((relay) => ({ ...relay, threshold: Math.max(2, customaryQuorum(relay.members.length)) })),
});

/** The draft's own batches where they still hold everybody once and are large enough. */
function keptBatches({ roster, sealing }: ContractDraft, colluders: number): number[][] | null {
  const members = sealing.openableBatches.flat();
  const whole = members.length === roster.length && new Set(members).size === roster.length;
  const usable = members.every((index) => index < roster.length);
  return whole && usable && sealing.openableBatches.every((one) => one.length >= colluders + 2)
    ? sealing.openableBatches
    : null;
}

function withDelta(draft: ContractDraft): ContractDraft {
  const { roster, privacy, training } = draft;
  const units =
    training.unit === 'institution' ? roster.length : roster.reduce((sum, one) => sum + one.nominalUnits, 0);
  const unitsUpperBound = Math.max(privacy.unitsUpperBound, bucketAbove(units));
  const most = roundedDown(1 / (100 * unitsUpperBound));
  const delta = privacy.deltaExemption === null ? Math.min(privacy.delta, most) : privacy.delta;
  return { ...draft, privacy: { ...privacy, delta, unitsUpperBound } };
}

/** The next of 1, 2, 5, 10, 20, 50 …: a public bucket, not a count. */
function bucketAbove(units: number): number {
  for (let power = 1; ; power *= 10) for (const digit of [1, 2, 5]) if (digit * power >= units) return digit * power;
}

/** Multiples of the coarsest scale that is allowed: at four, rounding adds less than half a percent of noise. */
const finenesses = [4, 2, 1] as const;

function withScale(draft: ContractDraft, fineness: number): ContractDraft {
  const { training, sealing } = draft;
  const least = training.unit === 'institution' ? 8 : 64;
  const wanted = (fineness * least * Math.sqrt(noisedDimension(draft))) / noisedLength(training);
  const scale = 2 ** Math.ceil(Math.log2(wanted));
  return { ...draft, sealing: { ...sealing, scale, ringBits: 32, updateScale: null } };
}

function withBatches(draft: ContractDraft, targetEpsilon: number | null): ContractDraft {
  const { training, roster, privacy } = draft;
  const units = Math.max(1, ...roster.map((one) => one.nominalUnits));
  const epsilon = targetEpsilon ?? privacy.epsilon ?? 0;
  const allowed = privacy.delta / (1000 * truncatedSteps(draft) * (1 + Math.exp(Math.min(epsilon, 50))));
  const cap = capForTail({ units, samplingRate: training.samplingRate }, allowed);
  const count = Math.min(100_000, Math.max(1, Math.ceil(cap / training.microbatch.units)));
  return { ...draft, training: { ...training, microbatch: { ...training.microbatch, count } } };
}

function withNoise(draft: ContractDraft, targetEpsilon: number | null): ContractDraft {
  if (draft.privacy.noise === 'none') {
    const quiet = { ...draft, sealing: { ...draft.sealing, noiseVariance: 0 } };
    return withUpdateScale({ ...quiet, privacy: { ...quiet.privacy, noiseMultiplier: null, epsilon: null } });
  }
  let multiplier = targetEpsilon === null ? draft.privacy.noiseMultiplier : calibrated(draft, targetEpsilon);
  if (multiplier === null)
    throw new RefusalError(
      'noise-multiplier-missing',
      'The draft states neither a noise multiplier nor a target ε; give one of them.',
    );
  for (let tries = 0; ; tries++) {
    const noised = withVariance(draft, multiplier);
    // Where noise adapts, ε is the filter's: room for every attempt at the first level.
    const adapts = noised.privacy.adaptiveNoise !== undefined;
    const epsilon = adapts ? filterEpsilon(noised) : privacyFigures(noised).epsilon.coordinator;
    if (epsilon === null)
      throw new RefusalError(
        'epsilon-unknown',
        'No ε can be computed from these settings; raise the noise multiplier, or see "study check" for what is wrong.',
      );
    // Truncated batches take a little of δ, which the calibration did not know.
    if (targetEpsilon === null || epsilon <= targetEpsilon || tries === 60) {
      const stated = Math.max(epsilon, Math.min(roundedUp(epsilon), targetEpsilon ?? Infinity));
      return withUpdateScale({ ...noised, privacy: { ...noised.privacy, epsilon: stated } });
    }
    multiplier = Number((multiplier * 1.0005).toPrecision(5));
  }
}

function calibrated({ training, privacy, schedule }: ContractDraft, epsilon: number): number {
  const k = training.institutionsPerPerson;
  const local = training.mode === 'local';
  const institution = training.mode === 'institution';
  const mixture = !local && !institution && k > 1 && training.samplingRate !== 1;
  const z = calibrateNoiseMultiplier({
    epsilon,
    // A mixture is integrated order by order; the large ones, which take longest, never decide.
    ...(mixture ? { sampledTimes: k, orders: mixtureOrders } : {}),
    delta: privacy.delta,
    samplingRate: institution ? 1 : training.samplingRate,
    steps: schedule.attempts * (institution ? 1 : training.localSteps) * (local ? k : 1),
  });
  // Rounded up to four digits, so that the contract reads well.
  const step = 10 ** (Math.floor(Math.log10(z)) - 3);
  return Number((Math.ceil(z / step) * step * (local || mixture ? 1 : k)).toPrecision(5));
}

const mixtureOrders = [1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32] as const;

function withVariance(draft: ContractDraft, noiseMultiplier: number): ContractDraft {
  const multiplied = { ...draft, privacy: { ...draft.privacy, noiseMultiplier } };
  const variance = expectedVariance(multiplied);
  if (variance === null || variance > Number.MAX_SAFE_INTEGER)
    throw new RefusalError(
      'noise-variance-too-large',
      'The noise that this takes cannot be drawn exactly; lower the noise multiplier or use a smaller model.',
    );
  return { ...multiplied, sealing: { ...multiplied.sealing, noiseVariance: Math.max(leastShareVariance, variance) } };
}

/** `local`: the finest power of two that leaves four times the room wanted. */
function withUpdateScale(draft: ContractDraft): ContractDraft {
  if (draft.training.mode !== 'local') return draft;
  const tried = { ...draft, sealing: { ...draft.sealing, updateScale: 1 } };
  const ring = ringFigures(tried);
  if (ring === null)
    throw new RefusalError('ring-too-small', 'The sum of these institutions does not fit into 32 bits.');
  const updateScale = 2 ** Math.floor(Math.log2(ring.room / (4 * ring.wanted)));
  return { ...draft, sealing: { ...draft.sealing, updateScale } };
}
