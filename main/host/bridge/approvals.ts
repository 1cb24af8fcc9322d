// Which studies a steward approves a session at a time, and what is left of the approved session: so many training rounds
// or hours. Kept in host.json beside what is paused. Design 1, journey 2 ("asks for a session at a time").

import { z } from 'zod';
import type { OutputOf } from '../../../app/bridge.ts';

export type Approval = OutputOf<'study.list'>[number]['approval'];
export type SessionLength = NonNullable<Approval['session']>;

const whole = z.number().int().min(0);
const approvalSchema = z.strictObject({
  session: z.strictObject({ rounds: whole.min(1).nullable(), hours: z.number().positive().nullable() }),
  left: z.strictObject({ rounds: whole.nullable(), until: z.iso.datetime().nullable() }).nullable(),
});
export const approvalsSchema = z.record(z.string(), approvalSchema);
export type StoredApprovals = z.infer<typeof approvalsSchema>;

export type Approvals = {
  get(study: string): Approval;
  /** null: no approval is needed each time. What was approved before ends. */
  ask(study: string, session: SessionLength | null): void;
  /** Begins a session of the study's length. Does nothing where none is needed. */
  approve(study: string): void;
  /** A round closed: @returns whether the session ended with it. */
  closed(study: string): boolean;
  allows(study: string): boolean;
  stored(): StoredApprovals;
};

export function approvalsFrom(before: StoredApprovals, now: () => number = Date.now): Approvals {
  const all = new Map(Object.entries(before));
  const allows = (study: string): boolean => {
    const one = all.get(study);
    if (one === undefined) return true;
    if (one.left === null || one.left.rounds === 0) return false;
    return one.left.until === null || now() < Date.parse(one.left.until);
  };
  return {
    allows,
    get(study) {
      const one = all.get(study);
      if (one === undefined) return { session: null, left: null };
      return { session: one.session, left: allows(study) ? one.left : null };
    },
    ask(study, session) {
      if (session === null) all.delete(study);
      else all.set(study, { session, left: null });
    },
    approve(study) {
      const one = all.get(study);
      if (one === undefined) return;
      const { rounds, hours } = one.session;
      const until = hours === null ? null : new Date(now() + hours * 3_600_000).toISOString();
      all.set(study, { ...one, left: { rounds, until } });
    },
    closed(study) {
      const one = all.get(study);
      if (one === undefined || one.left === null) return false;
      const { rounds } = one.left;
      if (rounds !== null) all.set(study, { ...one, left: { ...one.left, rounds: Math.max(0, rounds - 1) } });
      return !allows(study);
    },
    stored: () => Object.fromEntries(all),
  };
}
