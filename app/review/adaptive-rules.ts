// Rules about what adapts from released sums: the ends of the clip, whether its count can be heard above the noise, and
// whether the filter that adaptive noise runs under leaves room for the rounds. Design 4, "Adaptive clipping".

import type { ContractDraft } from '../study/contract.ts';
import { refusal, roundedUp, shown, warning } from './finding.ts';
import type { Finding } from './finding.ts';
import { filterAttempts, filterEpsilon } from './study-filter.ts';

export function adaptiveFindings(contract: ContractDraft): Finding[] {
  return [...clipFindings(contract), ...adaptiveNoiseFindings(contract)];
}

/** Standard deviation that the noise of all institutions gives the released share of units within C. */
export function countNoise({ training, sealing, roster }: ContractDraft): number {
  const { adaptiveClipping, samplingRate, localSteps, mode } = training;
  if (adaptiveClipping === undefined) return 0;
  const one = Math.sqrt(sealing.noiseVariance) / (sealing.scale * adaptiveClipping.countWeight);
  const n = Math.max(1, roster.length);
  if (mode === 'institution') return one / Math.sqrt(n);
  const units = Math.max(
    1,
    roster.reduce((sum, entry) => sum + entry.nominalUnits, 0),
  );
  return (one * Math.sqrt(n)) / (samplingRate * units) / Math.sqrt(mode === 'local' ? localSteps : 1);
}

/** Beyond this the clip would follow the noise. */
const mostCountNoise = 0.5;

function clipFindings(contract: ContractDraft): Finding[] {
  const { adaptiveClipping, clippingNorm } = contract.training;
  if (adaptiveClipping === undefined) return [];
  const findings: Finding[] = [];
  const { least, most } = adaptiveClipping;
  if (!(least <= clippingNorm && clippingNorm <= most))
    findings.push(
      refusal(
        'adaptive-clip-ends',
        `The clipping norm starts at ${shown(clippingNorm)}, outside the ends ${shown(least)} and ${shown(most)} that it is to stay within.`,
        'Let the least be at most the clipping norm, and the most at least.',
      ),
    );
  const noise = countNoise(contract);
  if (noise > mostCountNoise)
    findings.push(
      warning(
        'adaptive-count-drowned',
        `The share of units within the clip is released with noise of ${shown(noise)}, so the clip would follow the noise.`,
        'Raise the count weight or the sampling rate, or keep the clip fixed.',
      ),
    );
  return findings;
}

function adaptiveNoiseFindings(contract: ContractDraft): Finding[] {
  const { privacy, schedule } = contract;
  if (privacy.adaptiveNoise === undefined) return [];
  if (privacy.noise === 'none')
    return [
      refusal(
        'adaptive-noise-without-noise',
        'The noise is to adapt, but the contract adds none.',
        'Remove the adaptive noise, or set the noise to discrete-gaussian.',
      ),
    ];
  const admitted = filterAttempts(contract);
  if (admitted === null || admitted >= schedule.rounds) return [];
  const needed = filterEpsilon(contract);
  return [
    refusal(
      'adaptive-noise-no-room',
      `With noise that adapts, ε = ${shown(privacy.epsilon ?? 0)} ends the study after ${admitted} rounds even if the noise never falls; ${schedule.rounds} are wanted.`,
      needed === null ? 'State a larger ε.' : `State ε = ${roundedUp(needed)}, or raise the noise multiplier.`,
    ),
  ];
}
