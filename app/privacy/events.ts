// What happened, as frozen values: the privacy events that a ledger charge holds and an accountant composes. Their
// meaning never changes once written (golden file test/vectors/charge-event.json); a new mechanism is a new name.
// Spec: design 4 ("Accountants", "The ledger"), design 3 ("Noise shares").

import { z } from 'zod';
import { InputError, RefusalError } from '../errors.ts';
import type { Adjacency, PrivacyUnit } from '../units.ts';

const count = z.int().min(1);
/** Roster positions are 16 bits (design 3, "Bytes"). */
const institutions = z.int().min(1).max(65535);
const positive = z.number().positive();
const unit = z.enum(['record', 'person', 'institution']);
const adjacency = z.enum(['add-or-remove', 'replace-one', 'zero-out']);
const rate = z.number().gt(0).max(1);
const failure = z.number().gt(0).lt(1);

const sealedGaussianSumSchema = z.strictObject({
  mechanism: z.literal('sealed-gaussian-sum'),
  /** h: discrete-Gaussian noise shares in the sum that the adversary does not know. In mode `local`, and only there, an
   * institution's own release is one event with h = 1; a union always has h ≥ 2 (t − c ≥ 2). */
  honestShares: institutions,
  /** v: variance parameter of one share, squared integer steps. Below 16 the charge rule does not hold. */
  noiseVariance: z.int().min(16),
  /** L̃: L2 sensitivity of ONE institution's integer vector, after rounding. Accountants bring in k themselves. */
  sensitivity: positive,
  dimension: count,
  /** q: rate at which units are Poisson-sampled inside the institution; 1 when nothing is sampled. */
  samplingRate: rate,
  steps: count,
  /** The δ of the study. A ceiling is read at its own δ; this one says at which the study was agreed. */
  delta: failure,
  unit,
  adjacency,
  /** k: the most institutions in which one person may appear. */
  institutionsPerPerson: institutions,
});

const gaussianSchema = z.strictObject({
  mechanism: z.literal('gaussian'),
  noiseMultiplier: positive,
  samplingRate: rate,
  steps: count,
  adjacency,
});

const unboundedSchema = z.strictObject({
  mechanism: z.literal('unbounded'),
  /** A contract without noise: no ε bounds it. */
  steps: count,
  delta: failure,
  unit,
  adjacency,
  institutionsPerPerson: institutions,
});

/** Whole numbers beyond this make tables that no accountant should hold. */
const mostVariance = 1e10;

const laplaceSchema = z.strictObject({
  mechanism: z.literal('laplace'),
  /** Scale b of the noise, divided by the L1 sensitivity. */
  noiseMultiplier: positive,
  samplingRate: rate,
  steps: count,
  adjacency,
});

const discreteGaussianSchema = z.strictObject({
  mechanism: z.literal('discrete-gaussian'),
  /** v: variance parameter of N_Z(0, v), one whole number released. */
  variance: positive.max(mostVariance),
  /** How far one unit moves the whole number. */
  sensitivity: z.int().min(1).max(1e6),
  samplingRate: rate,
  steps: count,
  adjacency,
});

const skellamSchema = z
  .strictObject({
    mechanism: z.literal('skellam'),
    /** μ: variance of the Skellam noise on each whole number released. */
    variance: positive.max(Number.MAX_SAFE_INTEGER),
    /** L2 and L1 sensitivity of the whole-number vector, after rounding. */
    sensitivity: positive,
    absoluteSensitivity: positive,
    samplingRate: rate,
    steps: count,
    adjacency,
  })
  .refine((event) => event.absoluteSensitivity >= event.sensitivity, {
    message: 'absoluteSensitivity must not be below sensitivity',
  });

const gaussianMixtureSchema = z
  .strictObject({
    mechanism: z.literal('gaussian-mixture'),
    standardDeviation: positive,
    /** What one unit moves the sum by, rising, and with which probability each. */
    sensitivities: z.array(z.number().nonnegative()).min(1).max(65),
    probabilities: z.array(z.number().gt(0).max(1)).min(1).max(65),
    steps: count,
    adjacency,
  })
  .refine(({ sensitivities, probabilities }) => sensitivities.length === probabilities.length, {
    message: 'sensitivities and probabilities must be as many',
  })
  .refine(({ sensitivities }) => sensitivities.every((s, j) => j === 0 || s > sensitivities[j - 1]!), {
    message: 'sensitivities must rise',
  })
  .refine(({ probabilities }) => Math.abs(probabilities.reduce((sum, p) => sum + p, 0) - 1) <= 1e-12, {
    message: 'probabilities must add up to 1',
  });

const fixedSizeSampledGaussianSchema = z
  .strictObject({
    mechanism: z.literal('fixed-size-sampled-gaussian'),
    /** Standard deviation of the noise divided by the clipping norm; replacing a unit moves twice that norm. */
    noiseMultiplier: positive,
    batchSize: count,
    /** Public: that is why neighbours replace one unit. */
    populationSize: count,
    steps: count,
    adjacency,
  })
  .refine(({ batchSize, populationSize }) => batchSize <= populationSize, {
    message: 'batchSize must not be above populationSize',
  });

const epsilonDeltaSchema = z.strictObject({
  mechanism: z.literal('epsilon-delta'),
  /** Nothing more is known than that each step is (ε, δ). */
  epsilon: z.number().nonnegative().max(1e5),
  delta: z.number().min(0).lt(1),
  steps: count,
  adjacency,
});

export type LaplaceEvent = Readonly<z.infer<typeof laplaceSchema>>;
export type DiscreteGaussianEvent = Readonly<z.infer<typeof discreteGaussianSchema>>;
export type SkellamEvent = Readonly<z.infer<typeof skellamSchema>>;
export type GaussianMixtureEvent = Readonly<z.infer<typeof gaussianMixtureSchema>>;
export type FixedSizeSampledGaussianEvent = Readonly<z.infer<typeof fixedSizeSampledGaussianSchema>>;
export type EpsilonDeltaEvent = Readonly<z.infer<typeof epsilonDeltaSchema>>;
export type SealedGaussianSumEvent = Readonly<z.infer<typeof sealedGaussianSumSchema>>;
export type GaussianEvent = Readonly<z.infer<typeof gaussianSchema>>;
export type UnboundedEvent = Readonly<z.infer<typeof unboundedSchema>>;
export type RepeatedEvent = {
  readonly mechanism: 'repeated';
  readonly event: PrivacyEvent;
  readonly times: number;
};
export type ComposedEvent = { readonly mechanism: 'composed'; readonly events: readonly PrivacyEvent[] };
/** What was released with no composition inside. */
export type SimpleEvent = ChargeableEvent | UnitlessEvent;
/** Events that name the unit they protect. */
export type ChargeableEvent = SealedGaussianSumEvent | UnboundedEvent;
/** Mechanisms on paper: for planners and comparisons. */
export type UnitlessEvent =
  | GaussianEvent
  | LaplaceEvent
  | DiscreteGaussianEvent
  | SkellamEvent
  | GaussianMixtureEvent
  | FixedSizeSampledGaussianEvent
  | EpsilonDeltaEvent;
export type PrivacyEvent = SimpleEvent | RepeatedEvent | ComposedEvent;

export const privacyEventSchema: z.ZodType<PrivacyEvent> = z.lazy(() =>
  z.discriminatedUnion('mechanism', [
    sealedGaussianSumSchema,
    gaussianSchema,
    unboundedSchema,
    laplaceSchema,
    discreteGaussianSchema,
    skellamSchema,
    gaussianMixtureSchema,
    fixedSizeSampledGaussianSchema,
    epsilonDeltaSchema,
    z.strictObject({ mechanism: z.literal('repeated'), event: privacyEventSchema, times: count }),
    z.strictObject({ mechanism: z.literal('composed'), events: z.array(privacyEventSchema).min(1) }),
  ]),
);

/**
 * The event of a JSON value, deeply frozen.
 * @throws InputError `privacy-event` naming the member that is missing, unknown or out of range.
 */
export function parsePrivacyEvent(value: unknown): PrivacyEvent {
  const parsed = privacyEventSchema.safeParse(value);
  if (parsed.success) return frozen(parsed.data);
  const issue = parsed.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? 'the event' : issue.path.map(String).join('.');
  throw new InputError('privacy-event', `A privacy event cannot be used: ${where}: ${issue?.message ?? 'invalid'}.`);
}

function frozen(event: PrivacyEvent): PrivacyEvent {
  if (event.mechanism === 'gaussian-mixture') {
    Object.freeze(event.sensitivities);
    Object.freeze(event.probabilities);
  }
  if (event.mechanism === 'repeated') frozen(event.event);
  if (event.mechanism === 'composed') {
    event.events.forEach(frozen);
    Object.freeze(event.events);
  }
  return Object.freeze(event);
}

/** Every simple event inside, with how often it happened. */
export function simpleEvents(
  event: PrivacyEvent,
  times = 1,
): { readonly event: SimpleEvent; readonly times: number }[] {
  if (event.mechanism === 'repeated') return simpleEvents(event.event, times * event.times);
  if (event.mechanism === 'composed') return event.events.flatMap((inner) => simpleEvents(inner, times));
  return [{ event, times }];
}

export type ChargeFacts = { readonly unit: PrivacyUnit; readonly adjacency: Adjacency; readonly delta: number };

/**
 * Whose secret a charge is about; every part must say the same.
 * @throws RefusalError `event-not-chargeable` for events that name no unit, or parts that disagree.
 */
export function chargeFacts(event: PrivacyEvent): ChargeFacts {
  let facts: ChargeFacts | undefined;
  for (const { event: part } of simpleEvents(event)) {
    if (!('unit' in part))
      throw new RefusalError(
        'event-not-chargeable',
        `A "${part.mechanism}" event names no privacy unit, so it cannot be charged; charge what was released.`,
      );
    facts ??= { unit: part.unit, adjacency: part.adjacency, delta: part.delta };
    if (part.unit !== facts.unit || part.adjacency !== facts.adjacency || part.delta !== facts.delta)
      throw new RefusalError(
        'event-not-chargeable',
        'The parts of one charge must share one privacy unit, adjacency and δ; charge them apart.',
      );
  }
  return facts!;
}
