// What `study new` takes to let clip or noise adapt to the released sums: a few options for the two optional members of a
// draft, with the usual choices filled in, and a refusal of what the check would refuse anyway. Design 4, "Adaptive
// clipping", "Adaptive noise"; Andrew et al. 2021 (arXiv:1905.03871).

import { RefusalError } from '../../app/errors.ts';
import { adaptiveFindings } from '../../app/review/adaptive-rules.ts';
import { evaluationFindings } from '../../app/review/evaluation-rules.ts';
import type { AdaptiveClipping, AdaptiveNoise, ContractDraft } from '../../app/study/contract.ts';
import { numberOption, stringOption, UsageError } from './command.ts';
import type { Command, OptionValues } from './command.ts';

/** Ends of the clip, as multiples of where it starts; public, as nothing learned from records may be. */
const clipRange = 1000;
const usualClip = { update: 'geometric', learningRate: 0.2, countWeight: 0.5 } as const;
const usualNoise: AdaptiveNoise = { factor: 0.9, levels: 3, quietBelow: 0.5, patience: 5 };

export const adaptiveOptions: Command['options'] = {
  'adaptive-clipping': {
    type: 'string',
    value: 'SHARE',
    help: 'Let the clipping norm follow this quantile of the gradient norms (0.5: the median); "none" takes it out.',
  },
  'clip-update': { type: 'string', value: 'KIND', help: 'How the clip moves: geometric (default) or linear.' },
  'clip-rate': { type: 'string', value: 'R', help: 'Learning rate of the clip; 0.2 unless told.' },
  'count-weight': {
    type: 'string',
    value: 'W',
    help: 'Weight of the count beside a gradient of length 1, above 0 to 2; 0.5 unless told, which costs 3 % more noise.',
  },
  'clip-ends': {
    type: 'string',
    value: 'LEAST,MOST',
    help: 'Public ends that the clip never leaves; a thousandth and a thousand times the first clip unless told.',
  },
  'adaptive-noise': {
    type: 'string',
    value: 'FACTOR',
    help: 'Let the noise fall by this factor after quiet sums; ε then ends the study earlier. "none" takes it out.',
  },
  'noise-levels': { type: 'string', value: 'N', help: 'How often the noise may fall; 3 unless told.' },
  'quiet-below': {
    type: 'string',
    value: 'PART',
    help: 'A sum is quiet whose signal is at most this part of its noise; 0.5 unless told.',
  },
  patience: { type: 'string', value: 'N', help: 'Quiet sums in a row before the noise falls; 5 unless told.' },
};

/**
 * The draft with what the options say of adapting; as it was where they say nothing.
 * @throws UsageError for values out of range, and for options that belong to one that is missing.
 */
export function withAdaptation(draft: ContractDraft, options: OptionValues): ContractDraft {
  const clipping = clippingOption(draft, options);
  const noise = noiseOption(options);
  const { adaptiveClipping: oldClipping, ...training } = draft.training;
  const { adaptiveNoise: oldNoise, ...privacy } = draft.privacy;
  const nextClipping = clipping === undefined ? oldClipping : (clipping ?? undefined);
  const nextNoise = noise === undefined ? oldNoise : (noise ?? undefined);
  return {
    ...draft,
    training: { ...training, ...(nextClipping === undefined ? {} : { adaptiveClipping: nextClipping }) },
    privacy: { ...privacy, ...(nextNoise === undefined ? {} : { adaptiveNoise: nextNoise }) },
  };
}

/** @throws RefusalError with the code of the first finding that the check would refuse. */
export function requireAdaptable(draft: ContractDraft): void {
  const [broken] = [...adaptiveFindings(draft), ...evaluationFindings(draft)].filter((one) => one.level === 'refuse');
  if (broken !== undefined)
    throw new RefusalError(broken.code, `${broken.reason} ${broken.repair} Nothing was written.`);
}

/** Undefined: not asked for; null: to be taken out. */
function clippingOption(draft: ContractDraft, options: OptionValues): AdaptiveClipping | null | undefined {
  const details = ['clip-update', 'clip-rate', 'count-weight', 'clip-ends'] as const;
  if (!asked(options, 'adaptive-clipping', details)) return undefined;
  if (stringOption(options, 'adaptive-clipping') === 'none') return null;
  const quantile = inside(options, 'adaptive-clipping');
  const update = stringOption(options, 'clip-update') ?? usualClip.update;
  if (update !== 'geometric' && update !== 'linear') throw new UsageError('--clip-update is geometric or linear.');
  const { clippingNorm } = draft.training;
  const [least, most] = endsOption(options) ?? [clippingNorm / clipRange, clippingNorm * clipRange];
  return {
    quantile,
    update,
    learningRate:
      numberOption(options, 'clip-rate', { least: 0, aboveLeast: true, most: 1e6 }) ?? usualClip.learningRate,
    countWeight:
      numberOption(options, 'count-weight', { least: 0, aboveLeast: true, most: 2 }) ?? usualClip.countWeight,
    least,
    most,
  };
}

function noiseOption(options: OptionValues): AdaptiveNoise | null | undefined {
  const details = ['noise-levels', 'quiet-below', 'patience'] as const;
  if (!asked(options, 'adaptive-noise', details)) return undefined;
  if (stringOption(options, 'adaptive-noise') === 'none') return null;
  const factor = numberOption(options, 'adaptive-noise', { least: 0.1, most: 1 })!;
  if (factor === 1) throw new UsageError('--adaptive-noise must be below 1: the noise only falls.');
  return {
    factor,
    levels: numberOption(options, 'noise-levels', { least: 1, most: 20, whole: true }) ?? usualNoise.levels,
    quietBelow:
      numberOption(options, 'quiet-below', { least: 0, aboveLeast: true, most: 1e6 }) ?? usualNoise.quietBelow,
    patience: numberOption(options, 'patience', { least: 1, most: 10_000, whole: true }) ?? usualNoise.patience,
  };
}

/** Whether the option is given; what only it needs may not stand alone, nor beside its "none". */
function asked(options: OptionValues, name: string, details: readonly string[]): boolean {
  const given = stringOption(options, name);
  const alone = details.filter((detail) => options[detail] !== undefined);
  if (alone.length > 0 && (given === undefined || given === 'none'))
    throw new UsageError(`--${alone.join(', --')} says more of --${name}, which needs a value for it.`);
  return given !== undefined;
}

function inside(options: OptionValues, name: string): number {
  const value = numberOption(options, name, { least: 0, aboveLeast: true, most: 1 })!;
  if (value === 1) throw new UsageError(`--${name} must be below 1.`);
  return value;
}

function endsOption(options: OptionValues): readonly [least: number, most: number] | null {
  const text = stringOption(options, 'clip-ends');
  if (text === undefined) return null;
  const [least, most, ...more] = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (more.length > 0 || !(least! > 0 && most! >= least! && Number.isFinite(most)))
    throw new UsageError(`--clip-ends takes LEAST,MOST, two numbers above 0, rising; it was "${text.slice(0, 40)}".`);
  return [least!, most!];
}
