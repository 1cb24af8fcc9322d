// Finds the outside accounting values beside the repository; tests that need them skip with a reason where absent.

import { existsSync, readFileSync } from 'node:fs';

const file = new URL('../../../../shared/reference/accounting.json', import.meta.url);

type SampledCase = {
  readonly q: number;
  readonly sigma: number;
  readonly steps: number;
  readonly delta: number;
  readonly epsilon: number;
  readonly order?: number;
  readonly replace_one?: number;
  readonly tolerance?: number;
};

export type AccountingReference = {
  readonly rdp_poisson_subsampled_gaussian: readonly SampledCase[];
  readonly pld_poisson_subsampled_gaussian: readonly SampledCase[];
  readonly prv_upper_bounds: {
    readonly delta: number;
    readonly tuples_sigma_q_steps_epsilon: readonly (readonly [sigma: number, q: number, steps: number, v: number])[];
  };
  readonly pld_delta: readonly {
    readonly sigma: number;
    readonly q?: number;
    readonly compositions: number;
    readonly epsilon: number;
    readonly delta: number;
  }[];
  readonly person_in_k_institutions: readonly {
    readonly q: number;
    readonly sigma: number;
    readonly steps: number;
    readonly delta: number;
    readonly epsilon: { readonly [k: string]: number };
  }[];
  readonly smallest_sigma_pld: readonly {
    readonly epsilon: number;
    readonly delta: number;
    readonly q: number;
    readonly sigma: number;
  }[];
  readonly zcdp: readonly { readonly rho: number; readonly delta: number; readonly epsilon: number }[];
  readonly rdp_vector: {
    readonly q: number;
    readonly sigma: number;
    readonly steps: number;
    readonly orders: readonly number[];
    readonly rdp: readonly number[];
    readonly rtol: number;
  };
  readonly analytic_gaussian: {
    readonly sigma_for: readonly (readonly [epsilon: number, delta: number, sigma: number])[];
    readonly epsilon_for: readonly (readonly [sigma: number, delta: number, epsilon: number])[];
  };
  readonly adaptive_clip: readonly {
    readonly records: readonly number[];
    readonly clip: number;
    readonly target?: number;
    readonly learning_rate: number | 'ln 2';
    readonly update: 'linear' | 'geometric';
    readonly clips: readonly number[];
  }[];
  readonly skellam: readonly {
    readonly z: number;
    readonly clip: number;
    readonly scale: number;
    readonly d: number;
    readonly rounds: number;
    readonly delta: number;
    readonly epsilon: number;
    readonly gaussian: number;
  }[];
  readonly sealed_sum: {
    readonly tau: readonly { readonly v: number; readonly h: number; readonly tau: number }[];
  };
};

export const reference: AccountingReference | null = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as AccountingReference)
  : null;

export const skipWithoutReference: false | string =
  reference === null ? '../shared/reference/accounting.json is not beside this repository' : false;
