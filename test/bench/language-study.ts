// Study terms for language tasks, for the bench and the tests: what is chosen comes in, everything that follows from it is
// derived as a lead's `study check` would.

import { deriveDraft } from '../../app/review/derive.ts';
import type { ContractDraft } from '../../app/study/contract.ts';
import type { Task } from '../../app/study/task.ts';
import { parameterCount } from '../../app/training/model.ts';

export type LanguageStudy = {
  readonly name: string;
  readonly task: Task;
  /** Institutions with the number of texts that each brings at most. */
  readonly roster: readonly { readonly name: string; readonly nominalUnits: number }[];
  readonly training: Partial<ContractDraft['training']>;
  readonly rounds: number;
  /** Null: no noise. */
  readonly epsilon: number | null;
  readonly delta?: number;
};

export function languageDraft({ name, task, roster, training, rounds, epsilon, delta = 1e-5 }: LanguageStudy) {
  const draft: ContractDraft = {
    format: 'consilience/contract/1',
    name,
    title: 'A language model adapted by several institutions',
    created: '2026-11-26T09:00:00.000Z',
    expires: '2027-11-26T09:00:00.000Z',
    purpose: 'Benchmark on public clinical notes.',
    lawfulBasis: 'Public, de-identified data (CC BY 4.0).',
    references: { ethics: 'not required: public data', dpia: 'not required: public data' },
    retention: 'Working copies are deleted after the benchmark.',
    lead: { organisation: 'Consilience benchmark' },
    coordinator: { operator: 'Consilience benchmark', address: 'http://127.0.0.1:8440', certificateAuthority: null },
    roster: roster.map((one) => ({ ...one, organisation: `Institution ${one.name}` })),
    task,
    training: {
      mode: 'union',
      unit: 'record',
      samplingRate: 0.1,
      localSteps: 1,
      localLearningRate: null,
      clippingNorm: 1,
      weightDecay: 0,
      person: null,
      institutionsPerPerson: 1,
      microbatch: { units: 16, count: 1 },
      server: { kind: 'fedadam', learningRate: 0.02, firstDecay: 0.9, secondDecay: 0.99, adaptivity: 1e-3 },
      averageFromRound: null,
      ...training,
    },
    privacy: {
      noise: epsilon === null ? 'none' : 'discrete-gaussian',
      noiseMultiplier: null,
      delta,
      unitsUpperBound: 2000,
      deltaExemption: 'MTS-Dialog benchmark of private fine-tuning at δ = 1e-5',
      epsilon: null,
    },
    sealing: {
      version: 'css1',
      suite: 1,
      graph: 'complete',
      cohortFloor: 3,
      threshold: 3,
      colluders: 1,
      dimension: 1,
      ringBits: 32,
      scale: 1,
      updateScale: null,
      noiseVariance: 0,
      openableBatches: [],
    },
    schedule: {
      rounds,
      attempts: rounds,
      stageSeconds: { ready: 60, shares: 60, masked: 60, consistency: 60, unmask: 60 },
      intervalSeconds: 0,
    },
  };
  return deriveDraft(draft, { modelDimension: parameterCount(task), targetEpsilon: epsilon, colluders: null });
}
