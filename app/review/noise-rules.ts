// Rules about numbers that carry the guarantee: noise, scale, ring, batches, δ and the stated ε. Design 3, "Noise shares"
// and "Quantisation"; design 4, "Accountants" (δ) and "Nothing but charged releases" (batch caps).

import { RefusalError } from '../errors.ts';
import { deltaFinding } from '../privacy/delta-finding.ts';
import { largestVariance } from '../sealed-sum/gaussian-table.ts';
import { leastShareVariance, shareVariance } from '../sealed-sum/noise.ts';
import { clampBound } from '../sealed-sum/quantise.ts';
import type { ContractDraft } from '../study/contract.ts';
import { noiseMultiplier } from '../units.ts';
import { capForTail } from './batch-tail.ts';
import { refusal, roundedUp, shown, warning } from './finding.ts';
import type { Finding } from './finding.ts';
import { truncatedSteps, unaccountable, worstBatchTail } from './privacy-figures.ts';
import type { EpsilonFigures, PrivacyFigures } from './privacy-figures.ts';
import { ringFigures } from './ring-figures.ts';
import { honestShares, noisedDimension, noisedLength, sensitivityOf } from './round-event.ts';
import { mostChargedShare } from './study-filter.ts';

/** The v that design 3 asks for; null without noise or where L̃ or h cannot be said. */
export function expectedVariance(contract: ContractDraft): number | null {
  const { noiseMultiplier: z } = contract.privacy;
  const sensitivity = sensitivityOf(contract);
  const shares = honestShares(contract, contract.sealing.colluders);
  if (z === null || sensitivity === null || shares < 1) return null;
  const wanted = ((z * sensitivity) ** 2 + 4) / shares;
  if (wanted > Number.MAX_SAFE_INTEGER) return wanted;
  return shareVariance({ noiseMultiplier: noiseMultiplier(z), sensitivity, honestMinimum: shares });
}

export function noiseFindings(
  contract: ContractDraft,
  figures: PrivacyFigures & { readonly floatTerm: number },
): Finding[] {
  return [
    ...(contract.privacy.noise === 'none' ? withoutNoise(contract) : withNoise(contract, figures.epsilon)),
    ...scaleFindings(contract),
    ...ringFindings(contract),
    ...batchCapFindings(contract, figures),
    ...samplerFindings(contract, figures.samplerDelta),
    ...floatFindings(figures.floatTerm),
    ...deltaFindings(contract),
  ];
}

function withoutNoise({ privacy, sealing }: ContractDraft): Finding[] {
  const findings = [
    warning(
      'noise-none',
      'The contract adds no noise: no ε bounds what the model and the sums show about anyone.',
      'Set the noise to discrete-gaussian, unless every institution agrees to this on purpose.',
    ),
  ];
  if (privacy.noiseMultiplier !== null || privacy.epsilon !== null || sealing.noiseVariance !== 0)
    findings.push(
      refusal(
        'noise-none-contradicted',
        'The contract adds no noise but states a noise multiplier, an ε or a noise variance.',
        'Set noise multiplier and ε to null and the noise variance to 0.',
      ),
    );
  return findings;
}

function withNoise(contract: ContractDraft, epsilon: EpsilonFigures): Finding[] {
  const { privacy, sealing } = contract;
  const findings: Finding[] = [];
  if (privacy.noiseMultiplier === null)
    findings.push(
      refusal('noise-multiplier-missing', 'The contract adds noise but states no noise multiplier.', 'State it.'),
    );
  const expected = expectedVariance(contract);
  const repair =
    expected === null ? 'Mend the findings above first.' : `Set the noise variance to ${Math.ceil(expected)}.`;
  if (sealing.noiseVariance < leastShareVariance)
    findings.push(
      refusal(
        'noise-variance-below-sixteen',
        `The noise variance is ${sealing.noiseVariance}; below ${leastShareVariance} whole-number noise does not hide like the noise it is charged as.`,
        repair,
      ),
    );
  else if (expected !== null && sealing.noiseVariance < expected)
    findings.push(
      refusal(
        'noise-variance-too-small',
        `The noise variance ${sealing.noiseVariance} does not reach the stated noise multiplier when only the fewest honest institutions are left; that takes ${Math.ceil(expected)}.`,
        repair,
      ),
    );
  if (sealing.noiseVariance > largestVariance)
    findings.push(
      refusal(
        'noise-variance-too-large',
        'The noise variance is above 2^52, beyond what can be drawn exactly.',
        'Lower the scale.',
      ),
    );
  const refused = unaccountable(contract);
  if (refused !== null)
    findings.push(refusal(refused.code, refused.sentence, 'Change the named setting; no ε can be stated otherwise.'));
  return [...findings, ...statedEpsilonFindings(contract, epsilon, refused !== null)];
}

function statedEpsilonFindings(
  { privacy }: ContractDraft,
  { coordinator }: EpsilonFigures,
  refused: boolean,
): Finding[] {
  if (coordinator === null)
    return refused
      ? []
      : [
          refusal(
            'epsilon-unknown',
            'No ε can be computed from these numbers, so none can be promised.',
            'Mend the other findings, or raise the noise multiplier.',
          ),
        ];
  const atLeast = `Its worst case is ε = ${shown(coordinator)}.`;
  if (privacy.epsilon === null)
    return [
      refusal(
        'epsilon-missing',
        `The contract adds noise but states no ε. ${atLeast}`,
        `State ε = ${roundedUp(coordinator)}.`,
      ),
    ];
  const findings: Finding[] = [];
  if (privacy.epsilon < coordinator * (1 - 1e-9))
    findings.push(
      refusal(
        'epsilon-understated',
        `The contract states ε = ${shown(privacy.epsilon)}, but promises too much. ${atLeast}`,
        `State ε = ${roundedUp(coordinator)}, or raise the noise multiplier.`,
      ),
    );
  if (privacy.epsilon > 1.5 * coordinator)
    findings.push(
      warning(
        'epsilon-overstated',
        `The contract states ε = ${shown(privacy.epsilon)}, much more than its noise costs. ${atLeast}`,
        `State ε = ${roundedUp(coordinator)}, so that budgets are not used up for nothing.`,
      ),
    );
  if (coordinator > 10)
    findings.push(
      warning(
        'epsilon-weak',
        `The worst case ε = ${shown(coordinator)} is a bound, but one that excludes very little.`,
        'Raise the noise multiplier, or lower the sampling rate or the attempts.',
      ),
    );
  return findings;
}

function scaleFindings(contract: ContractDraft): Finding[] {
  const { training, sealing } = contract;
  if (sensitivityOf(contract) !== null) return [];
  const least = (training.unit === 'institution' ? 8 : 64) * Math.sqrt(noisedDimension(contract));
  return [
    refusal(
      'scale-too-coarse',
      `Scale times clipping norm is ${shown(sealing.scale * noisedLength(training))}; ${noisedDimension(contract)} parameters need ${shown(least)}, or rounding drowns the update.`,
      `Set the scale to ${2 ** Math.ceil(Math.log2(least / noisedLength(training)))} or more.`,
    ),
  ];
}

function ringFindings(contract: ContractDraft): Finding[] {
  const { training, sealing } = contract;
  if (training.mode === 'local' && sealing.updateScale === null) return [];
  const ring = ringFigures(contract);
  if (ring === null)
    return [
      refusal(
        'ring-too-small',
        `Sums of ${contract.roster.length} institutions with this noise could wrap around ${sealing.ringBits} bits.`,
        'Use 32 ring bits, or lower the scale or the noise.',
      ),
    ];
  const findings: Finding[] = [];
  if (ring.room < ring.smallest)
    findings.push(
      refusal(
        'clamp-below-clip',
        `Coordinates are clamped at ${shown(ring.room)} times ${ring.measure}, so even a single contribution is cut.`,
        training.mode === 'local' ? 'Lower the update scale.' : 'Lower the scale, or use 32 ring bits.',
      ),
    );
  else if (ring.room < ring.wanted)
    findings.push(
      warning(
        'clamp-tight',
        `Coordinates are clamped at ${shown(ring.room)} times ${ring.measure}; ${shown(ring.wanted)} would leave room for all of a large batch, so accuracy may suffer (ε does not).`,
        training.mode === 'local' ? 'Lower the update scale.' : 'Lower the scale or the sampling rate.',
      ),
    );
  if (training.mode === 'local') findings.push(...localGridFindings(contract, ring.finestNoise));
  return findings;
}

function localGridFindings({ privacy, sealing, training }: ContractDraft, finestNoise: number): Finding[] {
  const findings: Finding[] = [];
  if (privacy.noise !== 'none' && 1 / sealing.updateScale! > finestNoise / 4)
    findings.push(
      warning(
        'update-scale-coarse',
        'One step of the summed update is as large as the noise already in it, so rounding costs accuracy.',
        `Raise the update scale to about ${2 ** Math.ceil(Math.log2(4 / finestNoise))}.`,
      ),
    );
  try {
    const own = clampBound({ institutions: 1, variance: sealing.noiseVariance });
    if (own < sealing.scale * noisedLength(training))
      throw new RefusalError('ring-too-small', 'The noised local sum has no room for one clipped unit.');
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    findings.push(
      refusal(
        'local-ring-too-small',
        'The local noise and one clipped gradient do not fit into 32 bits on this scale.',
        'Lower the scale.',
      ),
    );
  }
  return findings;
}

function batchCapFindings(contract: ContractDraft, { truncationDelta, samplerDelta }: PrivacyFigures): Finding[] {
  const { training, privacy, roster } = contract;
  if (training.mode === 'institution') return [];
  const findings: Finding[] = [];
  const cap = training.microbatch.units * training.microbatch.count;
  const most = Math.max(0, ...roster.map((one) => one.nominalUnits));
  const tail = worstBatchTail(contract);
  const steps = truncatedSteps(contract);
  const share = privacy.delta * mostChargedShare;
  // A sampler that takes the whole share for itself has a finding of its own.
  const over = truncationDelta > share || (samplerDelta <= share && truncationDelta + samplerDelta > share);
  const tooOften = privacy.noise === 'none' ? tail * steps > 0.01 : over || tail === 1;
  if (tooOften) {
    const allowed = share / (steps * (1 + Math.exp(privacy.epsilon ?? 0)));
    const needed = capForTail({ units: most, samplingRate: training.samplingRate }, allowed);
    findings.push(
      (privacy.noise === 'none' ? warning : refusal)(
        'batch-cap-too-small',
        `A step takes ${cap} units at most, but the largest institution samples ${shown(most * training.samplingRate)} on average, so units would be left out too often.`,
        `Let microbatch units times count be ${needed} or more.`,
      ),
    );
  }
  return findings;
}

/** Below this the term is inside the clip, because training clips that much shorter; then there is nothing to say. */
const mostFloatTerm = 0.01;

function floatFindings(floatTerm: number): Finding[] {
  if (floatTerm <= mostFloatTerm) return [];
  return [
    refusal(
      'float-term',
      `Sums of gradients in 32-bit floating point may shift by ${shown(100 * floatTerm)} % of the clipping norm when one unit is added; ${100 * mostFloatTerm} % is the most.`,
      'Use a model with narrower layers, or the person unit, whose sums are in 64 bits.',
    ),
  ];
}

function samplerFindings({ privacy }: ContractDraft, charged: number): Finding[] {
  if (privacy.noise === 'none' || charged <= privacy.delta * mostChargedShare) return [];
  return [
    refusal(
      'delta-below-sampler',
      `At so large an ε even the tiny distance between drawn noise and exact noise adds more than a tenth of δ = ${privacy.delta}.`,
      'Raise the noise multiplier, so that ε falls.',
    ),
  ];
}

function deltaFindings({ privacy, roster, training }: ContractDraft): Finding[] {
  const findings: Finding[] = [];
  const units =
    training.unit === 'institution' ? roster.length : roster.reduce((sum, one) => sum + one.nominalUnits, 0);
  if (privacy.unitsUpperBound < units)
    findings.push(
      refusal(
        'units-upper-bound',
        `The contract says there are at most ${privacy.unitsUpperBound} units, but its roster adds up to ${units}.`,
        `Set the upper bound to ${units} or more.`,
      ),
    );
  const { level, sentence, most } = deltaFinding(privacy.delta, Math.max(privacy.unitsUpperBound, units, 1));
  const repair = `Set δ to ${roundedDown(most)} or less.`;
  if (level === 'pass') return findings;
  if (privacy.deltaExemption !== null)
    findings.push(
      warning(
        'delta-exempt',
        `${sentence} The contract is exempt from this rule for comparison with "${privacy.deltaExemption}".`,
        'For a study that is not that comparison: remove the exemption.',
      ),
    );
  else findings.push((level === 'refuse' ? refusal : warning)('delta-too-large', sentence, repair));
  return findings;
}

export function roundedDown(value: number): number {
  const step = 10 ** Math.floor(Math.log10(value));
  return Number((Math.floor((value / step) * (1 + 1e-12)) * step).toPrecision(1));
}
