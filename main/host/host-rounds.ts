// The calls about training rounds and allowances: what happens now, from the participant's status; what happened, from
// the log; pause and resume. Design 1, journeys 3 and 4.

import { RefusalError } from '../../app/errors.ts';
import type { Handlers, OutputOf } from '../../app/bridge.ts';
import { allowances } from './host-budget.ts';
import type { HostParts } from './host.ts';
import { readStatus } from './participant-status.ts';

type Past = OutputOf<'round.list'>['past'][number];

export function roundHandlers(
  parts: HostParts,
): Pick<Handlers, 'round.list' | 'round.pause' | 'round.resume' | 'budget.get'> {
  const { options, view, studies, runs } = parts;

  async function consented(name: string): Promise<string> {
    const { terms, consent, withdrawn } = await studies.find(name);
    if (terms === null || consent === null || withdrawn)
      throw new RefusalError('not-taking-part', 'This institution does not take part in the study, so nothing runs.');
    return terms.hash;
  }

  return {
    'round.list': async () => {
      const status = await readStatus(options.home);
      const now =
        status === null
          ? []
          : [
              {
                study: status.study.hash,
                name: status.study.name,
                title: status.study.title,
                doing: status.doing,
                running: runs.isRunning(status.study.hash),
                round: status.round,
                stage: status.stage,
                trained: status.trained,
                training: status.training,
                planned: status.rounds.planned,
                closed: status.rounds.closed,
                lastClosed: status.rounds.lastClosed,
                updated: status.updated,
                events: status.events.map(({ time, kind, text }) => ({ time, kind, text })),
              },
            ];
      return { now, past: pastRounds(parts) };
    },
    'round.pause': async ({ study }) => {
      await runs.pause(await consented(study));
      return {};
    },
    'round.resume': async ({ study }) => {
      await runs.resume(await consented(study));
      return {};
    },
    'budget.get': async () => {
      const known = await studies.list();
      const title = (hash: string): string | null =>
        known.find((one) => one.terms?.hash === hash)?.terms?.contract.title ?? null;
      return allowances(view.entries(), title);
    },
  };
}

/** Newest first. */
function pastRounds({ view }: HostParts): Past[] {
  const past: Past[] = [];
  for (const { entry } of view.entries()) {
    if (entry.kind !== 'round-closed' && entry.kind !== 'round-aborted') continue;
    const body: { readonly [key: string]: unknown } = entry.body;
    past.push({
      study: String(body['study']),
      round: Number(body['round']),
      time: entry.time,
      outcome: entry.kind === 'round-closed' ? 'closed' : 'aborted',
      institutions: Array.isArray(body['cohort']) ? body['cohort'].length : null,
      seq: entry.seq,
    });
  }
  return past.reverse();
}
