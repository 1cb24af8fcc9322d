// Long work of the host, one of a kind at a time: how far it is, and its cancelling. The call that began it is answered
// when it ends; a window asks here meanwhile. Design 1, "Every long job has progress, an estimate and a cancel".

import { z } from 'zod';
import { nothing, readers, whole } from './fields.ts';

/** Calls that may take longer than a person waits without asking. */
export const longCalls = [
  'data.preview',
  'data.check',
  'study.baseline',
  'consent.give',
  'audit.verify',
  'audit.export',
  'system.doctor',
] as const;
export type LongCall = (typeof longCalls)[number];

export const workCalls = {
  'work.list': {
    roles: readers,
    input: nothing,
    output: z.array(
      z.strictObject({
        name: z.enum(longCalls),
        began: z.string(),
        /** In whatever it counts; `total` null where nobody knows it yet. */
        done: z.number().min(0),
        total: z.number().min(0).nullable(),
      }),
    ),
  },
  /** Only for who may make the call itself. Cancelling what has ended does nothing. */
  'work.cancel': {
    roles: readers,
    input: z.strictObject({ name: z.enum(longCalls) }),
    output: z.strictObject({ cancelled: z.boolean(), left: whole }),
  },
} as const;
