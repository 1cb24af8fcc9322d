// The calls about training rounds and allowances: what happens now, from the participant's status; what happened, from
// the log; pause and resume. Design 1, journeys 3 and 4.

import { RefusalError } from '../../../app/errors.ts';
import type { Handlers, OutputOf } from '../../../app/bridge.ts';
import { mostPastRounds } from '../../../app/bridge.ts';
import { allowances, amountsOf } from './budget.ts';
import type { Terms } from './studies.ts';
import type { HostParts } from './host.ts';
import { readStatus } from '../participant/status.ts';
import type { ParticipantStatus } from '../participant/status.ts';
import { readScores } from '../participant/round-scores.ts';

type Past = OutputOf<'round.list'>['past'][number];

export function roundHandlers(
  parts: HostParts,
): Pick<Handlers, 'round.list' | 'round.pause' | 'round.resume' | 'budget.get' | 'budget.amounts'> {
  const { options, view, book, studies, runs } = parts;

  async function consented(name: string): Promise<string> {
    const { terms, consent, withdrawn } = await studies.find(name);
    if (terms === null || consent === null || withdrawn)
      throw new RefusalError('not-taking-part', 'This institution does not take part in the study, so nothing runs.');
    return terms.hash;
  }

  return {
    'round.list': async () => {
      const now: OutputOf<'round.list'>['now'] = [];
      for (const study of await studies.list()) {
        const { terms } = study;
        const status = terms === null ? null : await readStatus(options.home, terms.hash);
        if (terms !== null && status !== null) now.push(nowOf(parts, terms, status, study.enrolment.identityKey));
      }
      // The newest first: it is the one that the top of a window speaks of.
      now.sort(
        (left, right) => Number(right.running) - Number(left.running) || (left.updated < right.updated ? 1 : -1),
      );
      const past = await scored(options.home, newestRounds(parts));
      return { now, past, pastTotal: view.ofKind('round-closed').length + view.ofKind('round-aborted').length };
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
      return allowances(await book.standings(), view.entries(), title);
    },
    'budget.amounts': async ({ kind, id, from, count }) =>
      amountsOf(await book.standings(), view.entries(), { kind, id }, from, count),
  };
}

function nowOf(
  { runs, view }: HostParts,
  { hash, contract }: Terms,
  status: ParticipantStatus,
  ownKey: string,
): OutputOf<'round.list'>['now'][number] {
  const last = view.ofKind('round-closed').findLast(({ entry }) => entry.body['study'] === hash);
  const body: { readonly [key: string]: unknown } = last?.entry.body ?? {};
  const cohort = Array.isArray(body['cohort']) ? new Set<unknown>(body['cohort']) : null;
  return {
    study: hash,
    name: status.study.name,
    title: status.study.title,
    doing: status.doing,
    running: runs.isRunning(hash),
    round: status.round,
    stage: status.stage,
    trained: status.trained,
    training: status.training,
    planned: status.rounds.planned,
    closed: status.rounds.closed,
    lastClosed: status.rounds.lastClosed,
    updated: status.updated,
    institutions: contract.roster.map(({ organisation, identityKey }, index) => ({
      organisation,
      own: identityKey === ownKey,
      last: cohort === null ? null : cohort.has(index),
    })),
    events: status.events.map(({ time, kind, text }) => ({ time, kind, text })),
  };
}

/** Newest first, as many as a window is told. */
function newestRounds({ view }: HostParts): Past[] {
  const newest = (['round-closed', 'round-aborted'] as const).flatMap((kind) =>
    view.ofKind(kind).slice(-mostPastRounds),
  );
  newest.sort((left, right) => right.entry.seq - left.entry.seq);
  return newest.slice(0, mostPastRounds).map(({ entry }) => {
    const body: { readonly [key: string]: unknown } = entry.body;
    return {
      study: String(body['study']),
      round: Number(body['round']),
      time: entry.time,
      outcome: entry.kind === 'round-closed' ? 'closed' : 'aborted',
      institutions: Array.isArray(body['cohort']) ? body['cohort'].length : null,
      score: null,
      seq: entry.seq,
    };
  });
}

async function scored(home: string, past: readonly Past[]): Promise<Past[]> {
  const scores = new Map<string, Past['score']>();
  for (const study of new Set(past.map((one) => one.study)))
    for (const { round, ...score } of await readScores(home, study)) scores.set(`${study} ${round}`, score);
  return past.map((one) =>
    one.outcome === 'closed' ? { ...one, score: scores.get(`${one.study} ${one.round}`) ?? null } : one,
  );
}
