// The calls about invitations, studies, data and consent. Each that writes waits until no run writes, and names the
// person at the window in the log. Design 1, journeys 2 and 3.

import { RefusalError } from '../../../app/errors.ts';
import type { Handlers, OutputOf, Session } from '../../../app/bridge.ts';
import type { Review } from '../../../app/review/check.ts';
import type { FreeBody } from '../../../app/ledger/entry.ts';
import { openInvitation } from '../../../app/study/invitation.ts';
import type { Policy } from '../../../app/study/policy.ts';
import type { KnownStudy, Terms } from './studies.ts';
import { noteSession } from './sessions.ts';
import { studyPage } from './study-page.ts';
import { readBaseline, readDraft } from './drafts.ts';
import type { HostParts } from './host.ts';
import { nodeCipher, nodeMachine } from '../machine.ts';
import { recordsPointer } from '../records/records-copies.ts';
import { identityCode } from '../participant/home.ts';
import { readStatus } from '../participant/status.ts';

type Names =
  'invitation.read' | 'invitation.accept' | 'study.list' | 'study.review' | 'consent.give' | 'consent.withdraw';
type Summary = OutputOf<'study.list'>[number];

/** Stages in which a contribution is on its way: stopping then would cost the others a round. */
const uploadStages = new Set(['masked', 'consistency', 'unmask']);
const longestUploadWaitMs = 20_000;
const reviewedAgainMs = 60_000;

export function studyHandlers(parts: HostParts): Pick<Handlers, Names> {
  const { options, studies, runs, thread, works, view, changed } = parts;
  const { home } = options;
  const review = reviews(parts);

  async function summaryOf(study: KnownStudy): Promise<Summary> {
    const { name, invitation, terms, consent, withdrawn } = study;
    const status = terms === null ? null : await readStatus(home, terms.hash);
    const closed = new Set<unknown>();
    if (terms !== null)
      for (const { entry } of view.ofKind('round-closed'))
        if (entry.body['study'] === terms.hash) closed.add((entry.body as FreeBody)['round']);
    const problem = terms === null ? studies.problem(name) : runs.problem(terms.hash);
    return {
      name,
      hash: terms?.hash ?? null,
      title: terms?.contract.title ?? invitation.title,
      lead: invitation.lead.organisation,
      state: stateOf(),
      roundsClosed: closed.size,
      roundsPlanned: terms?.contract.schedule.rounds ?? null,
      approval: terms === null ? { session: null, left: null } : runs.approval(terms.hash),
      problem,
    };

    function stateOf(): Summary['state'] {
      if (terms === null) return 'waiting-for-terms';
      if (withdrawn) return 'withdrawn';
      if (consent === null) return 'decide';
      if (status?.doing === 'finished') return 'finished';
      if (runs.isPaused(terms.hash)) return 'paused';
      if (problem === null && runs.asksFor(terms.hash)) return 'asks';
      if (problem === null && status?.forecast?.rounds === 0) return 'spent';
      return problem === null ? 'taking-part' : 'stopped';
    }
  }

  const suggestedPath = (study: KnownStudy): string | null => parts.demonstration?.recordsFor(study.name) ?? null;

  return {
    'invitation.read': async ({ text }) => {
      const { invitation } = openInvitation(nodeCipher, text, nodeMachine.clock.now());
      const answered = (await studies.list()).some((one) => one.name === invitation.study);
      return {
        study: invitation.study,
        title: invitation.title,
        purpose: invitation.purpose,
        lead: invitation.lead.organisation,
        leadCode: identityCode(invitation.lead.identityKey),
        address: invitation.address,
        expires: invitation.expires,
        answered,
      };
    },
    'invitation.accept': async ({ text, name, organisation, nominalUnits }, session) => {
      const joined = await runs.exclusive(() =>
        thread.ask('join', { invitation: text, name, organisation, nominalUnits, actor: actorOf(session) }),
      );
      await changed('study.changed');
      return joined;
    },
    'study.list': async () => {
      const all: Summary[] = [];
      for (const study of await studies.list()) all.push(await summaryOf(study));
      return all;
    },
    'study.review': async ({ study: name }) => {
      const study = await studies.find(name);
      const draft = await readDraft(home, name);
      const agreedPath = study.terms === null ? null : await recordsPath(home, study.terms.hash);
      const policy = await parts.policy();
      return studyPage({
        study,
        review: study.terms === null ? null : await review(study.terms, policy, study.enrolment.identityKey),
        baseline: await readBaseline(home, name),
        asksExcludedRemoved: view.ofKind('exclusion-list-loaded').length > 0,
        dataset: draft?.dataset ?? study.consent?.dataset.name ?? 'records',
        mapping: draft?.mapping ?? null,
        others: await studies.list(),
        summary: await summaryOf(study),
        policy,
        now: nodeMachine.clock.now(),
        path: draft?.path ?? agreedPath ?? (study.terms === null ? null : suggestedPath(study)),
      });
    },
    'consent.give': async (input, session) => {
      const study = await studies.find(input.study);
      const terms = termsOf(study);
      const consented = await works.run('consent.give', ({ signal, progress }) =>
        runs.exclusive(() =>
          thread.ask(
            'consent',
            {
              contract: terms.text,
              data: { name: input.dataset, path: input.path },
              keepCopy: true,
              epsilon: input.epsilon,
              datasetEpsilon: input.datasetEpsilon,
              acceptNoNoise: input.acceptNoNoise,
              mapping: input.mapping ?? null,
              checkpoint: input.checkpoint ?? null,
              excludedRemoved: input.excludedRemoved ?? false,
              expires: input.expires === null ? null : new Date(input.expires).toISOString(),
              actor: actorOf(session),
            },
            { signal, progress },
          ),
        ),
      );
      const length = input.session ?? null;
      if (length !== null) await noteSession(parts, consented.study, length, session);
      await runs.ask(consented.study, length);
      // What was just agreed to is approved for its first session by that.
      await runs.approve(consented.study);
      runs.want(consented.study);
      await changed('study.changed', 'round.changed');
      const { study: hash, expires, epsilon, untold } = consented;
      return { hash, expires, epsilon, untold };
    },
    'consent.withdraw': async ({ study: name, reason }, session) => {
      const { hash } = termsOf(await studies.find(name));
      await uploadOver(home, hash, () => runs.isRunning(hash));
      await runs.stop(hash);
      const done = await runs.exclusive(() => thread.ask('withdraw', { study: hash, reason, actor: actorOf(session) }));
      await changed('study.changed', 'round.changed');
      return { by: done.by, untold: done.untold };
    },
  };
}

export const actorOf = ({ id, role, signIn }: Session): Session => ({ id, role, signIn });

export function termsOf({ terms }: KnownStudy): Terms {
  if (terms === null)
    throw new RefusalError('no-terms', 'The study terms are not here yet, so there is nothing to agree to.');
  return terms;
}

/** Waits while a contribution is on its way, but not for a relay that is gone. */
async function uploadOver(home: string, study: string, running: () => boolean): Promise<void> {
  const until = Date.now() + longestUploadWaitMs;
  while (running() && Date.now() < until) {
    const stage = (await readStatus(home, study))?.stage ?? null;
    if (stage === null || !uploadStages.has(stage)) return;
    await new Promise((done) => {
      setTimeout(done, 100);
    });
  }
}

/** The newest review of each study's terms, computed in a thread: once a minute, for terms and consents expire. */
function reviews({ reader }: Pick<HostParts, 'reader'>) {
  const newest = new Map<string, { readonly of: string; readonly at: number; readonly review: Promise<Review> }>();
  return (terms: Terms, policy: Policy | null, ownKey: string): Promise<Review> => {
    const now = nodeMachine.clock.now();
    const of = `${terms.hash} ${JSON.stringify(policy)}`;
    const known = newest.get(terms.contract.name);
    if (known !== undefined && known.of === of && Math.abs(now - known.at) < reviewedAgainMs) return known.review;
    const review = reader.ask('review', { contract: terms.contract, policy, now, ownKey });
    newest.set(terms.contract.name, { of, at: now, review });
    review.catch(() => newest.delete(terms.contract.name));
    return review;
  };
}

/** Where the records of a study that was agreed to lay when they were read; null where it is not noted. */
export async function recordsPath(home: string, hash: string): Promise<string | null> {
  return (await recordsPointer(home, hash))?.path ?? null;
}
