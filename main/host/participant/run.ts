// `participant run`: opens one institution's surroundings for a study and takes it through, round after round, until the
// study is over, the institution stops taking part, or the program is told to stop. Nothing here decides what may be
// signed or sent: the engine and the ledger's guard do. Design 2 ("Processes"), 3 (R0, rollback), 4.

import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { RefusalError, UnavailableError } from '../../../app/errors.ts';
import { studyParameters } from '../../../app/round/parameters.ts';
import type { RoundStage } from '../../../app/round/participant-state.ts';
import { openSignedWithdrawal } from '../../../app/study/consent.ts';
import { nodeCipher } from '../machine.ts';
import { createExclusionWatch } from './exclusions.ts';
import { readTextIfThere } from './home.ts';
import { studyReading } from './ledger.ts';
import { requireAgreeing } from './rollback.ts';
import { noteScore } from './round-scores.ts';
import { openSurroundings } from './surroundings.ts';
import type { ParticipantEvent, SurroundingsOptions, Surroundings } from './surroundings.ts';
import type { StatusEvent } from './status.ts';
import { verifyOwnLedger } from './verify.ts';

export type RunOutcome = {
  /** complete, attempts-spent, too-few-left as the coordinator says; withdrawn or stopped by this institution. */
  readonly outcome: string;
  readonly study: string;
  readonly roundsClosed: number;
  readonly model: string;
  readonly epsilon: ReturnType<typeof studyReading>;
  readonly ledger: { readonly verified: boolean; readonly entries: number; readonly finding: string | null };
};

export type RunOptions = SurroundingsOptions & {
  /** Aborting stops in good order: what is on disk goes on at the next start. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: StatusEvent & { readonly round: number | null }) => void;
};

const longPollMs = 25_000;
const longestPauseMs = 15_000;
/** Consecutive refusals outside a round (a list out of order, a sum nobody vouches for) before the run gives up. */
const mostRefusals = 8;

/** @throws RefusalError, InputError, UnavailableError that forbid to begin or to go on; what is on disk stays whole. */
export async function runParticipant(options: RunOptions): Promise<RunOutcome> {
  const { signal } = options;
  const told = new Set<string>();
  let looksAgain = false;
  let noting: Promise<void> = Promise.resolve();
  let report = (_kind: string, _text: string, _round: number | null): void => {};
  const around = await openSurroundings(options, (event) => hear(event));
  const { engine, guard, connection, status, study, stored, home } = around;
  let result: Omit<RunOutcome, 'ledger'>;

  const watchExclusions = createExclusionWatch(nodeCipher, studyParameters(nodeCipher, stored.contract));
  const reading = () => studyReading(guard.readings(), study, around.adjacency);
  report = (kind, text, round) => {
    const event = { time: new Date().toISOString(), kind, text };
    status.update({ epsilon: reading() }, event);
    options.onEvent({ ...event, round });
  };
  /** Says the same thing once until something else happens. */
  const once = (kind: string, text: string, round: number | null): void => {
    if (told.has(kind + text)) return;
    told.add(kind + text);
    report(kind, text, round);
  };

  function hear(event: ParticipantEvent): void {
    if (event.kind !== 'waiting') told.clear();
    const { closed } = status.current().rounds;
    switch (event.kind) {
      case 'stage':
        status.update({ doing: 'round', round: event.round, stage: event.stage, training: null });
        if (event.stage === 'masked') status.update({ trained: !around.untrained.delete(event.round) });
        return report(
          'stage',
          `Round ${event.round}: ${stageWords[event.stage as RoundStage] ?? event.stage}.`,
          event.round,
        );
      case 'trainer-lost':
        status.update({ training: null });
        return report(
          'trainer-lost',
          `Round ${event.round}: the training process ended unexpectedly; another one takes over. Nothing was sent.`,
          event.round,
        );
      case 'untrained':
        around.untrained.add(event.round);
        return report(
          'untrained',
          `Round ${event.round}: training gave nothing (${event.reason}); zeros and noise take its place.`,
          event.round,
        );
      case 'closed': {
        const rounds = { ...status.current().rounds, closed: closed + 1, lastClosed: event.round };
        const forecast = around.forecast();
        const { metrics } = engine.model();
        const at = { study, contract: stored.contract, round: event.round };
        // Beside the loop: a score that cannot be written costs the round nothing.
        if (!event.spoiled) noting = noting.then(() => noteScore(home, at, metrics)).catch(() => {});
        status.update({ doing: 'waiting', stage: null, rounds, model: around.modelHash(), forecast });
        const spoiled = event.spoiled ? ' Its sum was out of range and is applied by nobody.' : '';
        return report(
          'closed',
          `Round ${event.round} closed with ${event.cohort} institutions.${spoiled}`,
          event.round,
        );
      }
      case 'caught-up':
        return report('caught-up', `Round ${event.round} was missed and is taken over.`, event.round);
      case 'coordinator-key':
        return report(
          'coordinator-key',
          `The lead changed the key of the coordinator, from round ${event.fromRound} on. It is checked, logged and used.`,
          null,
        );
      case 'left':
        status.update({ doing: 'waiting', stage: null });
        return report('left', `Round ${event.round} was left. ${event.sentence}`, event.round);
      case 'waiting':
        if (event.code !== 'checkpoint-changed') return once('waiting', event.sentence, null);
        // What a person mends on this machine moves no cursor of the coordinator's.
        looksAgain = true;
        status.update({ doing: 'waiting', stage: null });
        return once('checkpoint', event.sentence, null);
      case 'finished':
        return status.update({ doing: 'finished', outcome: event.outcome, stage: null });
    }
  }

  const stopTrainer = (): void => void around.trainer.close();
  signal.addEventListener('abort', stopTrainer, { once: true });
  try {
    result = { ...(await loop()), study };
    await around.noteStop(result.outcome);
    const doing = result.outcome === 'stopped' || result.outcome === 'withdrawn' ? result.outcome : 'finished';
    status.update({ pid: null, doing, training: null, epsilon: reading() });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (error instanceof RefusalError) {
      status.update({ doing: 'refused' });
      report('refused', text, null);
    }
    status.update({ pid: null });
    throw error;
  } finally {
    signal.removeEventListener('abort', stopTrainer);
    await noting;
    await around.close();
  }
  return { ...result, ledger: await verifyOwnLedger(home, around.identityKey) };

  function ended(outcome: string): Omit<RunOutcome, 'ledger' | 'study'> {
    const { rounds } = status.current();
    return { outcome, roundsClosed: rounds.closed, model: engine.model().hash, epsilon: reading() };
  }

  async function loop(): Promise<Omit<RunOutcome, 'ledger' | 'study'>> {
    let cursor: number | null = null;
    let failures = 0;
    let refusals = 0;
    let consentSent = false;
    while (!signal.aborted)
      try {
        if (withdrawalDue(around)) return await withdrawNow();
        if (!consentSent && guard.ended() === null) {
          await connection.sendConsent(around.consentText);
          consentSent = true;
        }
        const answer = await connection.status(cursor, longPollMs, signal);
        if (failures > 0) report('reached', 'The coordinator answers again.', null);
        [cursor, failures] = [answer.cursor, 0];
        requireAgreeing(engine.memory().counter, guard.witness(), answer.status.witness);
        status.update({ doing: engine.round() === null || engine.round()!.stage === 'wiped' ? 'waiting' : 'round' });
        await tellExclusions(answer.excluded ?? []);
        if ((answer.keyChanges ?? 0) > around.keys.known()) await around.takeUpKeys();
        looksAgain = false;
        const done = await engine.advance(answer.status);
        refusals = 0;
        if (looksAgain) {
          await pause(3);
          cursor = null;
        }
        await endExpired();
        if (done === 'finished') return ended(answer.status.outcome!);
        if (answer.status.outcome !== null) {
          // Over, but the last sum is not proven yet: the others' closing messages move no cursor.
          await pause(3);
          cursor = null;
        }
      } catch (error) {
        if (signal.aborted) break;
        if (isTransient(error)) {
          // Failures before this one may have been of another kind: a clock that was wrong.
          if (status.current().doing !== 'unreachable') {
            status.update({ doing: 'unreachable' });
            report('unreachable', `${error.message} Nothing is lost; it is tried again.`, null);
          }
          await pause(failures++);
          cursor = null;
        } else if (error instanceof RefusalError && clocks.has(error.code)) {
          // A clock is set right sooner or later, by hand or by its time server.
          once('clock', `${error.message} Nothing is lost; it is tried again.`, null);
          await pause(failures++);
          cursor = null;
        } else if (error instanceof RefusalError && !final.has(error.code) && ++refusals < mostRefusals) {
          once('refused', error.message, null);
          await pause(refusals);
          cursor = null;
        } else throw error;
      }
    report('stopped', 'Stopped as asked. What was begun goes on at the next start.', null);
    return ended('stopped');
  }

  async function tellExclusions(excluded: readonly number[]): Promise<void> {
    const fetch = () => connection.exclusions?.() ?? Promise.resolve([]);
    for (const { sentence } of await watchExclusions(excluded, fetch)) report('excluded', sentence, null);
  }

  async function pause(failures: number): Promise<void> {
    const ms = Math.min(longestPauseMs, 200 * 2 ** failures) * (0.5 + randomInt(500) / 1000);
    await sleep(ms, undefined, { signal }).catch(() => {});
  }

  async function endExpired(): Promise<void> {
    if (guard.ended() !== null || Date.now() < Date.parse(around.consent.expires)) return;
    await guard.end('expired', null);
    report(
      'consent-expired',
      `The consent ended on ${around.consent.expires}; this machine’s clock says ${new Date().toISOString()}. No further round begins here. If the clock is wrong, set it and give consent again.`,
      null,
    );
  }

  /** The log first, then the coordinator; if that cannot be reached, the next start tells it. */
  async function withdrawNow(): Promise<Omit<RunOutcome, 'ledger' | 'study'>> {
    const text = await readTextIfThere(stored.paths.withdrawal);
    if (text === null) throw new RefusalError('withdrawn', 'This institution has stopped taking part in the study.');
    const { withdrawal } = openSignedWithdrawal(nodeCipher, stored.contract, text);
    const charged = guard.isReserved(engine.memory().signedRound);
    await guard.end('withdrawn', withdrawal.reason);
    await connection.sendWithdrawal(text);
    const last = engine.memory().signedRound;
    report(
      'withdrawn',
      `This institution no longer takes part. ${last > 0 && charged ? `What was contributed up to round ${last} stays, and so does the amount used.` : 'Nothing of the last round was sent.'}`,
      null,
    );
    return ended('withdrawn');
  }
}

/** Refusals because this machine's clock and the coordinator's differ. */
const clocks: ReadonlySet<string> = new Set(['request-stale', 'certificate-expired', 'consent-not-yet']);

/** Refusals that trying again cannot mend. */
const final: ReadonlySet<string> = new Set([
  'ledger-behind',
  'ledger-forked',
  'state-behind',
  'withdrawn',
  'consent-not-logged',
]);

/** Before R2 a round is left at once; once the sealed contribution is charged for, the round is seen through. */
function withdrawalDue({ engine, guard, stored }: Surroundings): boolean {
  if (guard.ended() !== 'withdrawn' && !existsSync(stored.paths.withdrawal)) return false;
  const round = engine.round();
  return round === null || !uploadStages.has(round.stage);
}

const uploadStages: ReadonlySet<RoundStage> = new Set(['masked', 'consistency', 'unmask', 'vouched']);

const stageWords: { readonly [Stage in RoundStage]: string } = {
  ready: 'announced',
  revealed: 'the cohort is known, who shares with whom is drawn',
  shares: 'the cohort is known, secrets are shared',
  opened: 'training',
  masked: 'sealed and stored, uploading',
  consistency: 'uploaded, the list of contributions is confirmed',
  unmask: 'its part in opening the sum is given',
  vouched: 'the opened sum is added up again',
  left: 'left with a complaint',
  wiped: 'ended',
};

/** The coordinator's silence, never this machine's own disk or keys. */
function isTransient(error: unknown): error is UnavailableError {
  return error instanceof UnavailableError && !/^(?:disk|ledger|keyring)-/.test(error.code);
}
