// What the coordinator measures, for Prometheus: numbers of requests, stages, institutions and the study's ε, all from
// public lists and opened, charged sums. Nothing about a single institution's records could be in here: the coordinator
// never sees it. Design 6, "Observability".

import { roundTerms } from '../../../app/round/adaptation.ts';
import { realisedHonestShares } from '../../../app/round/charge.ts';
import type { CoordinatorRound, CoordinatorStage } from '../../../app/round/coordinator-state.ts';
import type { CoordinatorStudy } from '../../../app/round/coordinator-study.ts';
import { driftAlarm, studyDrift } from '../../../app/round/drift.ts';
import type { ChargedRound, StudyDrift } from '../../../app/round/drift.ts';
import { sealedNoiseMultiplier } from '../../../app/privacy/sealed-sum-loss.ts';
import { noisedRoundEvent } from '../../../app/review/round-event.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { sealedEvaluation } from '../../host/sealing/sealed-evaluation.ts';
import type { LogLine, SeenSum } from '../engine.ts';
import { createMeters } from './meters.ts';
import type { ServerMetrics } from './meters.ts';

/** A change of the study's state; `now`: of the event that made it, ms. */
export type StudyChange = {
  readonly before: CoordinatorStudy;
  readonly after: CoordinatorStudy;
  readonly now: number;
  /** Of the newest applied sum. */
  readonly seen: SeenSum | null;
};

export type Metrics = ServerMetrics & { observe(change: StudyChange): void };

const stages = ['ready', 'reveals', 'shares', 'masked', 'consistency', 'unmask', 'opening', 'vouching'] as const;

/** Reasons of rounds that ended because institutions did not come in time: those are missing from the stage it ended in. */
const tooFew: ReadonlySet<string> = new Set([
  'cohort-below-floor',
  'reveal-missing',
  'too-few-shares',
  'too-few-neighbours',
  'too-few-contributions',
  'too-few-signatures',
  'too-few-shares-for-opening',
  'region-not-vouched',
]);

/** @param log is told when the study begins to cost more privacy than planned. */
export function createMetrics(contract: Contract, study: string, log: (line: LogLine) => void): Metrics {
  const { gauge, counter, histogram, server } = createMeters(
    'consilience',
    { study: study.slice(0, 12) },
    {
      requests: 'Time from a request’s head to the end of its reply; status calls that wait are among them.',
      received: 'Bytes of request bodies.',
      sent: 'Bytes of reply bodies.',
    },
  );
  const rounds = counter('rounds_total', 'Rounds that ended: closed, spoiled (closed, applied by nobody) or aborted.', [
    'end',
  ]);
  const stageSeconds = histogram(
    'stage_seconds',
    'How long stages lasted.',
    ['stage'],
    [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400],
  );
  const dropouts = counter(
    'dropouts_total',
    'Institutions that were in a stage and not in the next, by the stage they missed; of a round that too few ended, those missing from its last stage.',
    ['stage'],
  );
  const open = gauge('round', 'Number of the open round; 0 between rounds.');
  const stage = gauge('stage', '1 for the stage of the open round.', ['stage']);
  const cohort = gauge('cohort', 'Institutions in the newest opened sum.');
  const roster = gauge('roster', 'Institutions in the study terms.');
  const excluded = gauge('excluded', 'Institutions excluded with proof.');
  const withdrawn = gauge('withdrawn', 'Institutions that stopped taking part.');
  const ended = gauge('study_ended', '1 when the study is over.');
  const multiplier = gauge(
    'noise_multiplier',
    'Realised z of the newest opened sum, against the coordinator and c colluders.',
  );
  const epsilon = gauge('epsilon', 'ε so far at the terms’ δ, by the RDP accountant; absent where nothing bounds it.', [
    'against',
  ]);
  const plan = gauge('epsilon_plan', 'ε that the closed rounds would have cost with every institution present.');
  const agreed = gauge(
    'epsilon_agreed',
    'Worst-case ε of the whole study in its terms; absent where nothing bounds it.',
  );
  const ratio = gauge('epsilon_drift_ratio', 'ε so far ÷ ε planned.');
  const alarm = gauge('epsilon_drift_alarm', `1 while the drift ratio is above ${driftAlarm}.`);

  const updateLength = gauge('update_norm', 'L2 norm of the newest opened average, its noise included.');
  const noiseShare = gauge('update_noise_norm', 'Expected L2 norm of the noise in the newest opened average.');
  const clip = gauge('clipping_norm', 'Clipping norm C of the newest opened sum.');
  const within = gauge(
    'within_clip',
    'Share of units within C as the newest sum released it; absent where not counted.',
    ['of'],
  );
  const score = gauge(
    'evaluation',
    'Model metrics from the newest opened sum, inside ε, noise included; absent where the terms test nothing or too few.',
    ['metric'],
  );
  const charged: ChargedRound[] = [];
  let entered = 0;
  let alarmed = false;
  roster.set(contract.roster.length);
  if (contract.privacy.epsilon !== null) agreed.set(contract.privacy.epsilon);
  showDrift(studyDrift(contract, charged));

  function showDrift(drift: StudyDrift): void {
    for (const against of ['coordinator', 'outsiders'] as const) {
      const value = drift[against];
      if (value === null) epsilon.remove({ against });
      else epsilon.set({ against }, value);
    }
    if (drift.plan !== null) plan.set(drift.plan);
    if (drift.ratio !== null) ratio.set(drift.ratio);
    const now = drift.ratio !== null && drift.ratio > driftAlarm;
    alarm.set(now ? 1 : 0);
    if (now && !alarmed) log({ event: 'privacy-drift', ratio: drift.ratio, epsilon: drift.coordinator });
    alarmed = now;
  }

  function showSum({ measured, metrics }: SeenSum): void {
    updateLength.set(measured.length);
    noiseShare.set(measured.noise);
    clip.set(measured.clip);
    if (measured.within !== null) within.set({ of: 'units' }, measured.within);
    const newest = sealedEvaluation(contract, [metrics])?.pooled;
    for (const metric of ['accuracy', 'loss', 'auc', 'f1'] as const) {
      const value = newest?.[metric] ?? null;
      if (value === null) score.remove({ metric });
      else score.set({ metric }, value);
    }
  }

  function roundEnded(round: CoordinatorRound, { before, after, seen }: StudyChange): void {
    const end = round.stage === 'aborted' ? 'aborted' : after.spoiled > before.spoiled ? 'spoiled' : 'closed';
    rounds.inc({ end });
    const left = [
      ['ready', round.u1 === null ? 0 : round.eligible.length - round.members.length],
      ['shares', round.u2 === null ? 0 : round.members.length - round.sharers.length],
      ['masked', round.u3 === null ? 0 : round.sharers.length - round.survivors.length],
      ['consistency', round.transcript === null ? 0 : round.survivors.length - round.signers.length],
    ] as const;
    for (const [missed, count] of left) if (count > 0) dropouts.inc({ stage: missed }, count);
    const last = before.round?.stage;
    if (last !== undefined && tooFew.has(round.aborted?.body.reason ?? '')) {
      const count = missingFrom(last, before.round!);
      if (count > 0) dropouts.inc({ stage: last }, count);
    }
    // R2 was reached: a charge may have been made.
    if (round.u2 === null) return;
    const terms = roundTerms(contract, before.adaptation ?? null);
    const closed = round.stage === 'closed';
    charged.push({ terms, survivors: closed ? round.survivors : null });
    if (closed) {
      cohort.set(round.survivors.length);
      const event = noisedRoundEvent(terms, realisedHonestShares(terms, round.survivors));
      if (event !== null) multiplier.set(sealedNoiseMultiplier(event));
      if (seen !== null && end === 'closed') showSum(seen);
    }
    showDrift(studyDrift(contract, charged));
  }

  return {
    ...server,
    observe(change) {
      const { before, after, now } = change;
      const [was, is] = [before.round, after.round];
      if (was?.round !== is?.round || was?.stage !== is?.stage) {
        if (was !== null) stageSeconds.observe({ stage: was.stage }, Math.max(0, now - entered) / 1000);
        entered = now;
        for (const one of stages) stage.set({ stage: one }, is?.stage === one ? 1 : 0);
        open.set(is?.round ?? 0);
      }
      const last = after.ended.at(-1);
      if (last !== undefined && after.ended !== before.ended) roundEnded(last, change);
      excluded.set(after.excluded.size);
      withdrawn.set(after.withdrawn.size);
      ended.set(after.outcome === null ? 0 : 1);
    },
  };
}

/** Institutions of whom something is still awaited in that stage. */
function missingFrom(stage: CoordinatorStage, round: CoordinatorRound): number {
  switch (stage) {
    case 'ready':
      return round.eligible.length - round.readies.size;
    case 'reveals':
      return round.members.length - round.reveals.size;
    case 'shares':
      return round.members.length - round.shares.size;
    case 'masked':
      return round.sharers.length - [...round.masked.values()].filter(({ complete }) => complete).length;
    case 'consistency':
      return round.survivors.length - round.consistency.size;
    case 'unmask':
      return round.survivors.length - round.unmask.size;
    case 'vouching':
      return round.survivors.length - round.vouches.size;
    case 'opening':
    case 'closed':
    case 'aborted':
      return 0;
  }
}
