// The study contract: everything the institutions agree to, in one object whose SHA-256 is the study's identity. A
// coordinator never sets any of it at run time (design 3, "Parameters come from the signed contract"). FROZEN as
// consilience/contract/1: a later format gets a new name. Golden files: test/vectors/contract-*.json.

import { z } from 'zod';
import { taskSchema } from './task.ts';
import { hex32, instant, positive, shortName, text, wholeFrom } from './fields.ts';

export const rosterEntrySchema = z.strictObject({
  /** Unique in the roster; `--silo NAME=FILE` refers to it. Position in the roster is the protocol's index. */
  name: shortName,
  organisation: text(200),
  identityKey: hex32,
  /** Public, agreed number of units: fixes expected batch and weights. Never derived from the rows. */
  nominalUnits: wholeFrom(1, 1e9),
});

export const serverOptimiserSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('fedavg'), learningRate: positive }),
  z.strictObject({ kind: z.literal('momentum'), learningRate: positive, momentum: z.number().min(0).lt(1) }),
  ...(['fedadam', 'fedyogi'] as const).map((kind) =>
    z.strictObject({
      kind: z.literal(kind),
      learningRate: positive,
      firstDecay: z.number().min(0).lt(1),
      secondDecay: z.number().min(0).lt(1),
      /** τ of Reddi et al. 2021: keeps the adaptive step bounded. */
      adaptivity: positive,
    }),
  ),
  z.strictObject({
    kind: z.literal('fedadagrad'),
    learningRate: positive,
    firstDecay: z.number().min(0).lt(1),
    adaptivity: positive,
  }),
]);

/** Andrew et al. 2021 (arXiv:1905.03871): C follows a quantile of the units' gradient norms, read from a noised count. */
const adaptiveClippingSchema = z.strictObject({
  /** Share of units that the clip should leave as they are. */
  quantile: z.number().gt(0).lt(1),
  /** geometric: C e^{−η(b − quantile)}; linear: C − η(b − quantile). */
  update: z.enum(['geometric', 'linear']),
  /** η. */
  learningRate: z.number().gt(0).max(1e6),
  /** w: length of the count beside a gradient of length 1, in one jointly noised vector. */
  countWeight: z.number().gt(0).max(2),
  /** Public ends that C never leaves. */
  least: positive,
  most: positive,
});

/** Noise that falls by a public factor whenever the released sums have shown little but noise for long enough. */
const adaptiveNoiseSchema = z.strictObject({
  /** On z, for each level. */
  factor: z.number().min(0.1).lt(1),
  /** Levels below the first, at most. */
  levels: wholeFrom(1, 20),
  /** A sum is quiet whose energy beyond the noise's is at most this part of the noise's. */
  quietBelow: z.number().gt(0).max(1e6),
  /** Quiet sums in a row after which the level falls. */
  patience: wholeFrom(1, 10_000),
});

export const trainingSchema = z.strictObject({
  mode: z.enum(['union', 'local', 'institution']),
  /** Whose secret the ε protects. */
  unit: z.enum(['record', 'person', 'institution']),
  /** Poisson rate q at which each unit enters a step; 1 means all of them, always. */
  samplingRate: z.number().gt(0).max(1),
  /** Steps between two sums: 1 in `union`. */
  localSteps: wholeFrom(1, 10_000),
  /** Plain SGD inside the institution (`local`, `institution`); null in `union`. */
  localLearningRate: positive.nullable(),
  /** L2 norm C to which a unit's gradient (`institution`: the whole update) is clipped before anything is added. */
  clippingNorm: positive,
  /** C changes from round to round, starting with `clippingNorm`; absent: it stays. */
  adaptiveClipping: adaptiveClippingSchema.optional(),
  /** L2 penalty added to the averaged gradient from the public parameters: no record is involved. */
  weightDecay: z.number().min(0).max(10),
  /** Person unit: most rows of one person that count, and how they combine before the one clip. */
  person: z.strictObject({ rowCap: wholeFrom(1, 100_000), combine: z.enum(['mean', 'sum']) }).nullable(),
  /** Most institutions in which one person may appear. */
  institutionsPerPerson: wholeFrom(1, 500),
  /** Units a step takes at most, and in how many equal microbatches: shapes never depend on records. */
  microbatch: z.strictObject({ units: wholeFrom(1, 1_000_000), count: wholeFrom(1, 100_000) }),
  server: serverOptimiserSchema,
  /** Released parameters are the mean of the iterates from this round on (post-processing); null: the last iterate. */
  averageFromRound: wholeFrom(1, 100_000).nullable(),
});

export const privacySchema = z.strictObject({
  noise: z.enum(['discrete-gaussian', 'none']),
  /** z; null exactly when `noise` is none. */
  noiseMultiplier: positive.nullable(),
  delta: z.number().gt(0).lt(1),
  /** Upper end of the public bucket for the number of units: the δ rule is held against it. */
  unitsUpperBound: wholeFrom(1, 1e10),
  /** The published comparison by whose name this contract is exempt from the δ rule; null: not exempt. */
  deltaExemption: text(200).nullable(),
  /** Worst-case ε over all attempts against coordinator + c colluders, as the lead states it; null when noise is none. */
  epsilon: positive.nullable(),
  /** Noise changes from round to round and ε ends the study, as a filter; absent: every round has the same noise. */
  adaptiveNoise: adaptiveNoiseSchema.optional(),
});

export const sealingSchema = z.strictObject({
  version: z.literal('css1'),
  /** 1: X25519, XSalsa20-Poly1305, AES-256-CTR, SHA-256, Ed25519. Room for a hybrid with ML-KEM-768. */
  suite: z.literal(1),
  graph: z.literal('complete'),
  /** Boxes and masks among neighbours of a random ring only, in cohorts larger than degree + 1; absent: among all. */
  sparseGraph: z
    .strictObject({
      kind: z.literal('harary'),
      /** Neighbours of each member. */
      degree: wholeFrom(2, 498).refine((degree) => degree % 2 === 0, 'must be even'),
      /** How many of them open a member's secret. */
      shareThreshold: wholeFrom(2, 498),
    })
    .optional(),
  /** Fewest institutions in U1 and in U3. */
  cohortFloor: wholeFrom(3, 500),
  /** Quorum t; on the complete graph, the share threshold too. */
  threshold: wholeFrom(3, 500),
  /** Colluders c assumed besides the coordinator. */
  colluders: wholeFrom(1, 499),
  /** Words in a vector: the model's parameters, and one more for the count of adaptive clipping. */
  dimension: wholeFrom(1, 4_000_000_000),
  /** Only a public, seeded choice of the model's parameters travels in a round (app/sealed-sum/subset.ts); absent: all. */
  subset: z
    .strictObject({
      kind: z.literal('seeded'),
      /** k/d: the part of the parameters that travels; `dimension` counts these, and what stands beside them. */
      share: z.number().gt(0).max(1),
      /** d: all parameters of the model. */
      parameters: wholeFrom(1, 4_000_000_000),
    })
    .optional(),
  ringBits: wholeFrom(16, 32),
  /** Absent: vectors travel as 32-bit words. "ring": as `ringBits` bits a word (app/sealed-sum/packing.ts). */
  packing: z.literal('ring').optional(),
  /** Integer steps per unit of gradient (`institution`: of update); with adaptive clipping, per C. */
  scale: positive,
  /** `local` only: integer steps per unit of the (already noised) update that is summed. */
  updateScale: positive.nullable(),
  /** Variance v of one share, in squared steps; in `local`, of the local noise. 0 exactly when noise is none. */
  noiseVariance: wholeFrom(0, Number.MAX_SAFE_INTEGER),
  /** Without noise: the batches of institutions whose unions may be opened. Empty with noise. */
  openableBatches: z.array(z.array(wholeFrom(0, 499)).min(3)).max(200),
});

export const scheduleSchema = z.strictObject({
  /** Closed rounds wanted. */
  rounds: wholeFrom(1, 100_000),
  /** Round numbers that may be spent on them; the worst case charges every one. */
  attempts: wholeFrom(1, 200_000),
  /** Longest wait of each stage, seconds. */
  stageSeconds: z.strictObject({
    ready: wholeFrom(1, 604_800),
    shares: wholeFrom(1, 604_800),
    masked: wholeFrom(1, 604_800),
    consistency: wholeFrom(1, 604_800),
    unmask: wholeFrom(1, 604_800),
  }),
  /** Pause between the close of a round and the next Ready, seconds. */
  intervalSeconds: wholeFrom(0, 31_536_000),
  /** Not all institutions take part in each round, but some by fair turns; absent: all do. Amplifies nothing. */
  selection: z
    .strictObject({
      /** Asked in each round; those beyond the least number of a round are spare. */
      institutions: wholeFrom(3, 500),
      /** Roster positions of institutions that are known to be slow; they have turns of their own. */
      slow: z.array(wholeFrom(0, 499)).max(500),
      /** How many of the slow ones are asked in each round. */
      slowPerRound: wholeFrom(0, 500),
    })
    .optional(),
  /** Stages may end before their longest wait, by how fast the others were; absent: they wait for everybody. */
  pace: z
    .strictObject({
      /** Once so many are done, the rest get as long as these took, times `patience`, in all. */
      enough: wholeFrom(3, 500),
      patience: z.number().min(1).max(100),
      /** Shortest wait of a stage, seconds. */
      leastSeconds: wholeFrom(0, 604_800),
    })
    .optional(),
});

/** Metrics of the current model on persons who never train, in the same sums and at the same charge. */
export const evaluationSchema = z.strictObject({
  /** Share of units, by keyed hash, that are tested on and never trained on. */
  share: z.number().gt(0).max(0.5),
  /** Key of that hash: the same person stands on the same side at every institution and in every round. */
  splitKey: hex32,
  /** Bins of the predicted probability, for AUC and F1 (two classes only); even, so that one ends at one half. */
  bins: wholeFrom(2, 40).refine((bins) => bins % 2 === 0, 'must be even'),
  /** Category columns by which accuracy is told apart. */
  slices: z.array(text(200)).max(4),
  /** Least noised number of tested units (in `institution` of institutions) for which a metric is shown. */
  leastCount: wholeFrom(1, 1_000_000),
  /** Of more than two classes also how often each is said and is true, for a macro F1. */
  perClass: z.literal(true).optional(),
  /** Of texts that are continued the loss of each token, whatever text it stands in, and not of each text. */
  perToken: z.literal(true).optional(),
});

/** A regional coordinator: adds what its members seal and forwards one vector. Design 3, "Trees". */
const relaySchema = z.strictObject({
  name: shortName,
  operator: text(200),
  /** Where its members dial. */
  address: z.string().min(1).max(500),
  /** Signs its sums. */
  key: hex32,
  /** PEM of a private CA, or null for the system's. */
  certificateAuthority: z.string().max(20_000).nullable(),
  /** Roster positions, ascending; each institution belongs to exactly one region. */
  members: z.array(wholeFrom(0, 499)).min(1).max(500),
  /** Where regions open their own sums: how many members open a secret, and the fewest in the region's sum (t_r). */
  threshold: wholeFrom(2, 500).optional(),
});

export const regionsSchema = z.strictObject({
  /** `root`: nothing opens below the root. `region`: every region's sum is opened, with noise for the smallest of them. */
  opening: z.enum(['root', 'region']),
  relays: z.array(relaySchema).min(2).max(50),
});

export const contractSchema = z.strictObject({
  format: z.literal('consilience/contract/1'),
  name: shortName,
  title: text(200),
  created: instant,
  expires: instant,
  purpose: text(2000),
  lawfulBasis: text(1000),
  references: z.strictObject({ ethics: text(500), dpia: text(500) }),
  retention: text(1000),
  lead: z.strictObject({ organisation: text(200), identityKey: hex32 }),
  coordinator: z.strictObject({
    operator: text(200),
    address: z.string().min(1).max(500),
    key: hex32,
    /** PEM of a private CA, or null for the system's. */
    certificateAuthority: z.string().max(20_000).nullable(),
  }),
  roster: z.array(rosterEntrySchema).min(3).max(500),
  task: taskSchema,
  training: trainingSchema,
  privacy: privacySchema,
  sealing: sealingSchema,
  schedule: scheduleSchema,
  /** Absent: nothing is evaluated in sums. */
  evaluation: evaluationSchema.optional(),
  /** Absent: institutions send to the coordinator itself. */
  regions: regionsSchema.optional(),
});

/** A contract being written: keys are not known yet, the roster may still be short. */
export const draftSchema = contractSchema.extend({
  lead: contractSchema.shape.lead.partial({ identityKey: true }),
  coordinator: contractSchema.shape.coordinator.partial({ key: true }),
  roster: z.array(rosterEntrySchema.partial({ identityKey: true })).max(500),
});

export type RosterEntry = z.infer<typeof rosterEntrySchema>;
export type AdaptiveClipping = z.infer<typeof adaptiveClippingSchema>;
export type AdaptiveNoise = z.infer<typeof adaptiveNoiseSchema>;
export type ServerOptimiser = z.infer<typeof serverOptimiserSchema>;
export type Regions = z.infer<typeof regionsSchema>;
export type Contract = z.infer<typeof contractSchema>;
export type ContractDraft = z.infer<typeof draftSchema>;
