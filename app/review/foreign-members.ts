// Ways to fool oneself that other programs allow and that no contract here can even say: written into a draft by hand they
// are named, with what they would cost, and left out. The schema refuses every unknown member anyway. Design 4, "Nothing
// but charged releases".

import { refusal } from './finding.ts';
import type { Finding } from './finding.ts';

/** A member that is no part of a contract, or a value that no contract may have. */
export type ForeignMember = {
  /** Members from the root, joined by points. */
  readonly where: string;
  readonly from: unknown;
  /** What stands there instead; undefined: the member is left out. */
  readonly to: unknown;
};

export type Foreign = {
  readonly findings: readonly Finding[];
  readonly members: readonly ForeignMember[];
  /** The draft without them, to be parsed. */
  readonly rest: unknown;
};

type Rule = {
  readonly code: string;
  readonly places: readonly string[];
  /** Whether this value, in this draft, is the mistake. */
  readonly wrong: (value: unknown, draft: unknown) => boolean;
  readonly reason: string;
  readonly repair: string;
  readonly instead?: unknown;
};

const any = (value: unknown): boolean => value !== undefined;
const isOn = (value: unknown): boolean => value !== undefined && value !== null && value !== false && value !== 'none';
const isOff = (value: unknown): boolean => value === false || value === null || value === 'none' || value === 'off';
const unlike =
  (...fine: readonly unknown[]) =>
  (value: unknown): boolean =>
    value !== undefined && !fine.includes(value);

const rules: readonly Rule[] = [
  {
    code: 'shuffled-sampling',
    places: ['training.sampling', 'training.sampler', 'training.samplingScheme'],
    wrong: unlike('poisson'),
    reason: 'Batches that are shuffled or of fixed size protect less than Poisson sampling, whose ε would be stated.',
    repair: 'Leave it out: every step is Poisson-sampled at the sampling rate.',
  },
  {
    code: 'shuffled-sampling',
    places: ['training.shuffle', 'training.batchSize', 'training.epochs'],
    wrong: isOn,
    reason: 'Batches that are shuffled or of fixed size protect less than Poisson sampling, whose ε would be stated.',
    repair: 'Leave it out: every step is Poisson-sampled at the sampling rate.',
  },
  {
    code: 'private-divisor',
    places: ['training.divisor', 'training.denominator', 'training.averageOver', 'training.normalisation'],
    wrong: unlike('nominal', 'expected'),
    reason: 'Dividing by a true count shows the count, and the noise is no longer what was charged.',
    repair: 'Leave it out: sums are divided by the agreed nominal numbers alone.',
  },
  {
    code: 'clip-not-enforced',
    places: ['training.clip', 'training.clipping', 'training.enforceClip', 'training.clipEnforced'],
    wrong: isOff,
    reason: 'Without a clip that is enforced one unit can move the sum by any amount, so no noise hides it.',
    repair: 'Leave it out: every unit is clipped to the clipping norm before anything is added.',
  },
  {
    code: 'clip-not-enforced',
    places: ['training.clippingNorm'],
    wrong: (value) => value === null || value === 0 || value === false,
    reason: 'Without a clipping norm one unit can move the sum by any amount, so no noise hides it.',
    repair: 'State a clipping norm above 0.',
    instead: 1,
  },
  {
    code: 'institution-add-or-remove',
    places: ['privacy.adjacency', 'privacy.neighbours', 'training.adjacency'],
    wrong: (value, draft) => value === 'add-or-remove' && at(draft, 'training.unit') === 'institution',
    reason:
      'Adding or removing an institution would also take its noise away and change the public lists; that costs an ε of about 30 in one round.',
    repair: 'Leave it out: institutions are protected under zero-out neighbours.',
  },
  {
    code: 'adjacency-stated',
    places: ['privacy.adjacency', 'privacy.neighbours', 'training.adjacency'],
    wrong: (value, draft) => any(value) && !(value === 'add-or-remove' && at(draft, 'training.unit') === 'institution'),
    reason:
      'Which data sets are neighbours follows from the unit, so that nobody can read one relation’s ε as another’s.',
    repair: 'Leave it out: records and persons are added or removed, institutions zeroed out.',
  },
  {
    code: 'institutions-sampled',
    places: [
      'training.institutionSamplingRate',
      'training.clientSamplingRate',
      'training.clientFraction',
      'schedule.cohortFraction',
      'schedule.cohortRate',
    ],
    wrong: any,
    reason: 'Choosing institutions at random amplifies nothing, because coordinator and peers see who is chosen.',
    repair: 'Leave it out: every participation is charged in full.',
  },
  {
    code: 'float-accumulation',
    places: ['training.accumulation', 'training.accumulator', 'training.precision', 'sealing.accumulation'],
    wrong: unlike('float64', 'integer'),
    reason: 'Sums in 32-bit or shorter floating point move by more than the clip when one unit is added.',
    repair: 'Leave it out: passes are added in 64 bits, and what one pass may lose is inside the clip.',
  },
  {
    code: 'private-head-shared',
    places: [
      'training.privateHead',
      'training.personalHead',
      'training.localHead',
      'training.personalisation',
      'task.privateHead',
      'task.model.privateHead',
    ],
    wrong: isOn,
    reason:
      'A head that learns from records without noise would steer the shared gradients, so its secrets leave with them.',
    repair: 'Leave it out: fit a local head after the last round.',
  },
  {
    code: 'seeded-noise',
    places: [
      'privacy.seed',
      'privacy.noiseSeed',
      'sealing.seed',
      'sealing.noiseSeed',
      'training.seed',
      'training.samplingSeed',
    ],
    wrong: isOn,
    reason: 'Noise or sampling from a seed can be taken off again by whoever knows the seed.',
    repair: 'Leave it out: institutions draw from their system’s secure source; only "simulate --seed" is seeded.',
  },
];

/** Everything of this kind in a draft as it was written, before its schema is asked. */
export function foreignMembers(draft: unknown): Foreign {
  const findings: Finding[] = [];
  const members: ForeignMember[] = [];
  let rest = draft;
  for (const { code, places, wrong, reason, repair, instead } of rules)
    for (const where of places) {
      const value = at(draft, where);
      if (value === undefined || !wrong(value, draft)) continue;
      findings.push(refusal(code, `The draft says "${where}". ${reason}`, repair));
      members.push({ where, from: value, to: instead });
      rest = withMember(rest, where.split('.'), instead);
    }
  return { findings, members, rest };
}

function at(root: unknown, where: string): unknown {
  let value = root;
  for (const name of where.split('.')) {
    if (!isPlain(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

function withMember(root: unknown, [name, ...rest]: readonly string[], value: unknown): unknown {
  if (!isPlain(root) || name === undefined) return root;
  const { [name]: old, ...others } = root;
  if (rest.length > 0) return { ...root, [name]: withMember(old, rest, value) };
  return value === undefined ? others : { ...root, [name]: value };
}

const isPlain = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
