// A policy that allows almost anything, for tests that change the one limit they are about.

import { policySchema } from '../../../app/study/policy.ts';
import type { Policy } from '../../../app/study/policy.ts';

export const plainPolicy = (change: object = {}): Policy =>
  policySchema.parse({
    format: 'consilience/policy/1',
    contact: null,
    epsilon: { perStudy: null, perDataset: null, datasets: [] },
    mostDelta: 0.001,
    noiseNoneAllowed: false,
    modes: ['union', 'local', 'institution'],
    units: ['record', 'person', 'institution'],
    leastCohort: 3,
    leastRoster: 3,
    mostAttempts: 1000,
    institutions: { known: [], mostUnknown: 10 },
    coordinator: { hosts: null, tlsRequired: true },
    references: { ethics: false, dpia: false },
    latestExpiry: null,
    mostConsentDays: 3660,
    accountants: ['rdp'],
    ...change,
  });
