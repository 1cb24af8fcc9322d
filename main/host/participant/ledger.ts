// The engine's ledger on disk: app/round/study-ledger.ts over the institution's ledger file and the ceilings in it, with
// what only a machine knows: a withdrawal that waits in a file, checkpoints, which consent stands. Design 4.

import { toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { RefusalError } from '../../../app/errors.ts';
import type { Clock } from '../../../app/ports.ts';
import { budgetReadings } from '../../../app/privacy/budget.ts';
import type { Reading } from '../../../app/privacy/budget.ts';
import type { PrivacyEvent } from '../../../app/privacy/events.ts';
import type { StudyParameters } from '../../../app/round/parameters.ts';
import { studyLedger } from '../../../app/round/study-ledger.ts';
import type { EntryWithHash, StudyLedger } from '../../../app/round/study-ledger.ts';
import { checkConsent, signedConsentText } from '../../../app/study/consent.ts';
import type { SignedConsent } from '../../../app/study/consent.ts';
import type { Keystore } from '../keys/keystore.ts';
import type { Ledger } from '../ledger/ledger-file.ts';
import { nodeCipher } from '../machine.ts';
import { budgetOf, ceilingsFrom } from './ceilings.ts';

export type ParticipantLedger = StudyLedger & {
  /** Writes that the consent ended; from then on nothing begins. Does nothing where it has ended already. */
  readonly end: (why: 'withdrawn' | 'expired', reason: string | null) => Promise<void>;
  readonly ended: () => 'withdrawn' | 'expired' | null;
};

export type ParticipantLedgerOptions = {
  readonly ledger: Pick<Ledger, 'append' | 'checkpoint'>;
  /** All entries so far, verified. */
  readonly entries: readonly EntryWithHash[];
  readonly keystore: Pick<Keystore, 'ledgerHeadSecret'>;
  readonly parameters: StudyParameters;
  readonly consent: SignedConsent;
  readonly clock: Clock;
  /** Whether a withdrawal was asked for and not yet honoured; asked before every charge. */
  readonly withdrawalWaits: () => boolean;
};

/** The hash by which the ledger knows a consent document. */
export const consentHash = (signed: SignedConsent): string =>
  toHex(nodeCipher.sha256(utf8(signedConsentText(signed).trimEnd())));

/**
 * @throws RefusalError `consent-not-logged` where the consent's file is not the one that the ledger holds; those of
 * checkConsent except for an expiry, which is said when a round would begin.
 */
export function openParticipantLedger(options: ParticipantLedgerOptions): ParticipantLedger {
  const { ledger, entries, parameters, consent, clock, withdrawalWaits } = options;
  const study = toHex(parameters.study);
  const dataset = consent.consent.dataset.name;
  const expires = Date.parse(consent.consent.expires);
  checkConsent(nodeCipher, parameters.contract, consent, Math.min(clock.now(), expires - 1, beforeEnd(parameters)));
  requireLogged(entries, study, consent);
  let ended: 'withdrawn' | 'expired' | null = null;
  for (const { entry } of entries) {
    if (entry.body['study'] !== study) continue;
    if (entry.kind === 'consent-given') ended = null;
    if (entry.kind === 'consent-withdrawn') ended = 'withdrawn';
    if (entry.kind === 'consent-expired') ended = 'expired';
  }
  const inner = studyLedger({
    cipher: nodeCipher,
    clock,
    parameters,
    dataset,
    consentEnds: expires,
    ceilings: ceilingsFrom(entries),
    entries,
    writer: ledger,
    headSecret: options.keystore.ledgerHeadSecret,
  });

  const whyNot = (event: PrivacyEvent): ReturnType<StudyLedger['whyNot']> =>
    withdrawalWaits()
      ? {
          code: 'consent-withdrawn',
          sentence: 'This institution stops taking part, as it asked to. Nothing more was sent.',
        }
      : inner.whyNot(event);

  return {
    ...inner,
    whyNot,
    async reserve(round, event, outbox) {
      const why = whyNot(event);
      if (why !== null) throw new RefusalError(why.code, why.sentence);
      await inner.reserve(round, event, outbox);
    },
    async note(kind, body) {
      await inner.note(kind, body);
      if (kind === 'round-closed') await ledger.checkpoint();
    },
    async end(why, reason) {
      if (ended !== null) return;
      await (why === 'withdrawn'
        ? ledger.append('consent-withdrawn', { study, dataset, ...(reason === null ? {} : { reason }) })
        : ledger.append('consent-expired', { study, dataset, expires: consent.consent.expires }));
      ended = why;
      inner.endConsent(why);
      await ledger.checkpoint();
    },
    ended: () => ended,
  };
}

const beforeEnd = (parameters: StudyParameters): number => Date.parse(parameters.contract.expires) - 1;

function requireLogged(entries: readonly EntryWithHash[], study: string, consent: SignedConsent): void {
  let logged: string | null = null;
  for (const { entry } of entries)
    if (entry.kind === 'consent-given' && entry.body.study === study) logged = entry.body.consent ?? null;
  if (logged !== consentHash(consent))
    throw new RefusalError(
      'consent-not-logged',
      'The consent on disk is not the one that the privacy log holds. Give consent again; nothing was sent.',
    );
}

export type EpsilonReading = {
  /** null: no noise, so nothing bounds it. */
  readonly used: number | null;
  readonly ceiling: number | null;
  /** Used part of what the ceiling allows: what people are shown; above 1 where it was lowered; null without noise. */
  readonly share: number | null;
  readonly delta: number;
  readonly unit: string;
  readonly adjacency: string;
};

/** What stands at the ceiling of this study's consent. */
export function studyReading(readings: readonly Reading[], study: string, adjacency: string): EpsilonReading {
  const reading = readings.find(({ ceiling }) => ceiling.kind === 'consent' && ceiling.id === study);
  if (reading === undefined)
    throw new RefusalError('no-consent', 'The privacy log holds no ceiling for this study. Give consent again.');
  const { ceiling, used, share } = reading;
  return {
    used: Number.isFinite(used) ? used : null,
    ceiling: ceiling.epsilon,
    share: share !== null && Number.isFinite(share) ? share : null,
    delta: ceiling.delta,
    unit: ceiling.unit,
    adjacency,
  };
}

/** The same from entries alone, for whoever does not run the study. */
export function readingFromEntries(
  entries: readonly EntryWithHash[],
  study: string,
  adjacency: string,
): EpsilonReading {
  return studyReading(budgetReadings(budgetOf(entries)), study, adjacency);
}
