// The calls by which a steward approves training rounds a session at a time. Who approved what stands in the privacy log;
// what is left of a session is the host's own (approvals.ts). Design 1, journey 2.

import { RefusalError } from '../../../app/errors.ts';
import type { Handlers, Session } from '../../../app/bridge.ts';
import type { FreeBody } from '../../../app/ledger/entry.ts';
import type { SessionLength } from './approvals.ts';
import { actorOf } from './study-calls.ts';
import type { HostParts } from './host.ts';

export function sessionHandlers(parts: HostParts): Pick<Handlers, 'session.ask' | 'session.approve'> {
  const { studies, runs, changed } = parts;

  async function consented(name: string): Promise<string> {
    const { terms, consent, withdrawn } = await studies.find(name);
    if (terms === null || consent === null || withdrawn)
      throw new RefusalError('not-taking-part', 'This institution does not take part in the study.');
    return terms.hash;
  }

  return {
    'session.ask': async ({ study, session: length }, session) => {
      const hash = await consented(study);
      await noteSession(parts, hash, length, session);
      await runs.ask(hash, length);
      await changed('study.changed', 'round.changed');
      return {};
    },
    'session.approve': async ({ study }, session) => {
      const hash = await consented(study);
      const { session: length } = runs.approval(hash);
      if (length === null)
        throw new RefusalError(
          'no-session',
          'This study takes part without an approval each time, so there is nothing to approve.',
        );
      await note(parts, { setting: 'rounds-approved', study: hash, ...length }, session);
      await runs.approve(hash);
      runs.want(hash);
      await changed('study.changed', 'round.changed');
      return {};
    },
  };
}

/** Into the log: how training rounds are approved from now on. */
export const noteSession = (
  parts: HostParts,
  study: string,
  length: SessionLength | null,
  session: Session,
): Promise<void> => {
  const { rounds, hours } = length ?? { rounds: null, hours: null };
  return note(parts, { setting: 'rounds-approval', each: length !== null, study, rounds, hours }, session);
};

const note = ({ thread, runs }: HostParts, body: FreeBody, session: Session): Promise<void> =>
  runs.exclusive(() => thread.ask('noteSetting', { body, actor: actorOf(session) }));
