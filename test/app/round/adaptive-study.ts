// The sample study with clip or noise that adapts, in any mode, calibrated like any draft.

import { reviewContract } from '../../../app/review/check.ts';
import { deriveDraft } from '../../../app/review/derive.ts';
import type { AdaptiveClipping, AdaptiveNoise, Contract } from '../../../app/study/contract.ts';
import { contractSchema } from '../../../app/study/contract.ts';
import { studyFloatTerm } from '../../../app/training/float-term.ts';
import { parameterCount } from '../../../app/training/model.ts';
import type { TrainingMode } from '../../../app/units.ts';
import { sampleStudy } from './sample-study.ts';
import type { SampleStudy } from './sample-study.ts';

export const adaptiveClipping: AdaptiveClipping = {
  quantile: 0.5,
  update: 'geometric',
  learningRate: 0.2,
  countWeight: 0.5,
  least: 0.01,
  most: 10,
};

export const adaptiveNoise: AdaptiveNoise = { factor: 0.8, levels: 3, quietBelow: 0.5, patience: 2 };

export type AdaptiveOptions = {
  readonly clipping?: AdaptiveClipping;
  readonly noise?: AdaptiveNoise;
  readonly mode?: TrainingMode;
  readonly rounds?: number;
  readonly institutions?: number;
  readonly change?: (contract: Contract) => Contract;
};

/** @throws Error where the contract check refuses what comes out. */
export function adaptiveStudy(options: AdaptiveOptions): SampleStudy {
  const { mode = 'union', rounds = 5, institutions = 4, change = (same) => same } = options;
  const study = sampleStudy({
    institutions,
    change: (base) => {
      const wanted = change({
        ...base,
        coordinator: { ...base.coordinator, address: 'http://127.0.0.1:1' },
        training: {
          ...base.training,
          mode,
          unit: mode === 'institution' ? 'institution' : base.training.unit,
          localSteps: mode === 'union' ? 1 : 3,
          localLearningRate: mode === 'union' ? null : 0.1,
          ...(options.clipping === undefined ? {} : { adaptiveClipping: options.clipping }),
        },
        privacy: {
          ...base.privacy,
          unitsUpperBound: mode === 'institution' ? institutions : base.privacy.unitsUpperBound,
          ...(options.noise === undefined ? {} : { adaptiveNoise: options.noise }),
        },
        schedule: { ...base.schedule, rounds, attempts: rounds + 3 },
      });
      const wishes = { modelDimension: parameterCount(wanted.task), targetEpsilon: null, colluders: null };
      return contractSchema.parse(deriveDraft(wanted, wishes));
    },
  });
  const { contract } = study;
  const review = reviewContract({
    contract,
    modelDimension: parameterCount(contract.task),
    floatTerm: studyFloatTerm(contract.task, contract.training),
    policy: null,
    now: Date.parse(contract.created),
  });
  const refused = review.findings.filter(({ level }) => level === 'refuse');
  if (refused.length > 0) throw new Error(refused.map(({ reason }) => reason).join(' '));
  return study;
}
