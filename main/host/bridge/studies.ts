// The studies a home knows: invitations that were answered, terms that the relay has by now, consents given here. Changes
// nothing on disk. Design 1, journey 2.

import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../../app/encoding/bytes.ts';
import { ConsilienceError, RefusalError } from '../../../app/errors.ts';
import type { BridgeError } from '../../../app/bridge.ts';
import { openSignedConsent } from '../../../app/study/consent.ts';
import type { Consent } from '../../../app/study/consent.ts';
import { openEnrolment } from '../../../app/study/enrolment.ts';
import type { Enrolment } from '../../../app/study/enrolment.ts';
import { openInvitation } from '../../../app/study/invitation.ts';
import type { Invitation } from '../../../app/study/invitation.ts';
import { openSignedContract } from '../../../app/study/signed-contract.ts';
import type { SignedContract } from '../../../app/study/signed-contract.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import { nodeCipher } from '../machine.ts';
import { fetchContract } from '../participant/connection.ts';
import { invitationPaths, readTextIfThere, studyPaths } from '../participant/home.ts';

export type Terms = SignedContract & { readonly hash: string; readonly text: string };

export type KnownStudy = {
  readonly name: string;
  readonly invitation: Invitation;
  readonly enrolment: Enrolment;
  readonly terms: Terms | null;
  readonly consent: Consent | null;
  readonly withdrawn: boolean;
};

export type KnownStudies = {
  list(): Promise<readonly KnownStudy[]>;
  /** @throws RefusalError `study-unknown`. */
  find(name: string): Promise<KnownStudy>;
  /** Asks the relays for terms that are not here yet; resolves with whether any came. */
  lookForTerms(): Promise<boolean>;
  /** Something of them changed here: the next question reads the folder anew. */
  forget(): void;
  /** Why the last asking brought nothing; null where it was not asked or simply has no terms yet. */
  problem(name: string): BridgeError | null;
};

/**
 * What was read serves for so long: the several questions of one screen. What this host changes shows at once (`forget`),
 * what a command beside it changes after that time.
 */
const readAgainMs = 500;

export function knownStudies(home: string): KnownStudies {
  const fetched = new Map<string, Terms>();
  const problems = new Map<string, BridgeError>();
  const opened = openedOnce();
  let newest: { readonly at: number; readonly studies: Promise<readonly KnownStudy[]> } | null = null;

  async function read(name: string): Promise<KnownStudy | null> {
    const paths = invitationPaths(home, name);
    const [invited, enrolled] = [await readTextIfThere(paths.invitation), await readTextIfThere(paths.enrolment)];
    if (invited === null || enrolled === null) return null;
    const { invitation } = opened(invited, () => openInvitation(nodeCipher, invited, null));
    const { enrolment } = opened(enrolled, () => openEnrolment(nodeCipher, enrolled));
    const agreed = await agreedTerms(name);
    const terms = agreed?.terms ?? fetched.get(name) ?? null;
    return {
      name,
      invitation,
      enrolment,
      terms,
      consent: agreed?.consent ?? null,
      withdrawn: terms !== null && existsSync(studyPaths(home, terms.hash).withdrawal),
    };
  }

  /** Terms that were consented to here, under this study's name. */
  async function agreedTerms(name: string): Promise<{ terms: Terms; consent: Consent } | null> {
    for (const hash of await namesIn(join(home, 'studies'))) {
      if (!/^[0-9a-f]{64}$/.test(hash)) continue;
      const paths = studyPaths(home, hash);
      const [contract, consent] = [await readTextIfThere(paths.contract), await readTextIfThere(paths.consent)];
      if (contract === null || consent === null) continue;
      const terms = opened(contract, () => termsOf(contract));
      if (terms.contract.name !== name) continue;
      const signed = opened(consent, () => openSignedConsent(nodeCipher, terms.contract, consent));
      return { terms, consent: signed.consent };
    }
    return null;
  }

  function list(): Promise<readonly KnownStudy[]> {
    const now = performance.now();
    if (newest !== null && now - newest.at < readAgainMs) return newest.studies;
    const studies = readAll();
    const reading = { at: now, studies };
    newest = reading;
    // A failure is told to whoever asked, and not kept.
    studies.catch(() => {
      if (newest === reading) newest = null;
    });
    return studies;
  }

  async function readAll(): Promise<readonly KnownStudy[]> {
    const all: KnownStudy[] = [];
    for (const name of await namesIn(join(home, 'invitations'))) {
      const study = await read(name);
      if (study !== null) all.push(study);
    }
    return all;
  }

  return {
    list,
    async find(name) {
      const study = (await list()).find((one) => one.name === name);
      if (study === undefined)
        throw new RefusalError('study-unknown', `No invitation to the study "${name}" was answered here.`);
      return study;
    },
    async lookForTerms() {
      let came = false;
      for (const study of await list()) {
        if (study.terms !== null || Date.now() > Date.parse(study.invitation.expires)) continue;
        try {
          const terms = termsOf(await fetchContract(study.invitation));
          requireSameLead(study, terms);
          fetched.set(study.name, terms);
          problems.delete(study.name);
          newest = null;
          came = true;
        } catch (error) {
          if (!(error instanceof ConsilienceError)) throw error;
          problems.set(study.name, { code: error.code, message: error.message });
        }
      }
      return came;
    },
    forget: () => (newest = null),
    problem: (name) => problems.get(name) ?? null,
  };
}

/** A document is parsed and its signature checked once for as long as its text stays the same. */
function openedOnce() {
  const known = new Map<string, unknown>();
  return <Document>(text: string, open: () => Document): Document => {
    const document = known.has(text) ? (known.get(text) as Document) : open();
    known.delete(text);
    known.set(text, document);
    if (known.size > mostOpened) known.delete(known.keys().next().value!);
    return document;
  };
}

const mostOpened = 200;

function termsOf(text: string): Terms {
  const opened = openSignedContract(nodeCipher, text);
  return { contract: opened.contract, signature: opened.signature, hash: toHex(opened.hash), text };
}

/** The consent checks this again; here it keeps another lead's words off the screen. */
function requireSameLead({ name, invitation }: KnownStudy, { contract }: Terms): void {
  if (contract.lead.identityKey !== invitation.lead.identityKey || contract.name !== name)
    throw new RefusalError(
      'lead-differs',
      'The relay service holds study terms of another lead or study than the invitation. Ask the lead by telephone.',
    );
}

async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return [];
    throw diskError(error, `The folder ${folder}`);
  });
  return names.sort();
}
