// Each entry as an English sentence, for the report and for `ledger show`. Only the ledger's own fields are said; text
// that people typed is shortened and put in quotation marks. The words are the auditor's: reserved, settled, round.

import { canonicalJson } from '../encoding/canonical-json.ts';
import type { JsonValue } from '../encoding/canonical-json.ts';
import type { Actor, Entry, EntryKind, FreeBody } from './entry.ts';

const short = (hash: string): string => hash.slice(0, 12);

/** One line: control characters become spaces, at most `most` characters. */
export function quoted(text: string, most = 120): string {
  const characters = [...text.replaceAll(/\p{C}+/gu, ' ')];
  return `“${characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : characters.join('')}”`;
}

export const describeActor = (actor: Actor): string =>
  actor.role === 'host' ? 'the program' : `${quoted(actor.id, 60)} (${actor.role}, signed in by ${actor.signIn})`;

/** The event whole, by its own names: mechanism first, parts of a composed event as JSON. */
export function describeEvent(event: FreeBody): string {
  const { mechanism, ...rest } = event;
  const said = Object.entries(rest).map(
    ([name, value]) => `${name} ${typeof value === 'string' ? value : canonicalJson(value)}`,
  );
  const name = typeof mechanism === 'string' ? mechanism : 'event';
  return said.length === 0 ? name : `${name} (${said.join(', ')})`;
}

const isPlain = (value: JsonValue | undefined): boolean =>
  typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean';

const freePhrases: { readonly [Kind in EntryKind]?: string } = {
  enrolled: 'The institution enrolled.',
  'dataset-imported': 'A dataset was imported.',
  'mapping-chosen': 'The mapping of a dataset’s columns was chosen.',
  'contract-reviewed': 'A study contract was reviewed.',
  'policy-changed': 'The policy changed.',
  'round-stage-reached': 'A round reached a stage.',
  'round-closed': 'A round was closed.',
  'round-aborted': 'A round was aborted; what was reserved for it stays charged.',
  'model-pinned': 'A model was pinned.',
  'release-voted': 'A vote on a release was given.',
  'export-made': 'An export was made.',
  'exclusion-list-loaded': 'A list of persons to exclude was loaded.',
  'settings-changed': 'Settings changed.',
  start: 'The program started.',
  'clean-stop': 'The program stopped in good order.',
  recovery: 'The program recovered after a crash.',
  'device-replaced': 'The device was replaced.',
  'coordinator-key-changed': 'The lead changed the key of a study’s coordinator.',
};

/** The sentence, without number and time. */
export function describeEntry(entry: Entry): string {
  switch (entry.kind) {
    case 'budget-reserved': {
      const { study, round, dataset, event } = entry.body;
      return `Before round ${round} of study ${short(study)} sent anything, its worst case was reserved for dataset ${quoted(dataset, 60)}: ${describeEvent(event as FreeBody)}.`;
    }
    case 'budget-settled': {
      const { study, round, reservedSeq, event } = entry.body;
      return `Round ${round} of study ${short(study)} was settled: entry ${reservedSeq} now counts as ${describeEvent(event as FreeBody)}.`;
    }
    case 'consent-given': {
      const { study, dataset, purpose, epsilon, delta, expires } = entry.body;
      const limit = epsilon === null ? 'with no bound on ε' : `up to ε ${epsilon} at δ ${delta}`;
      return `The institution consented to study ${short(study)} on dataset ${quoted(dataset, 60)}, ${limit}, until ${expires}, for ${quoted(purpose)}.`;
    }
    case 'consent-withdrawn':
      return `The institution stopped taking part in study ${short(entry.body.study)} with dataset ${quoted(entry.body.dataset, 60)}.`;
    case 'consent-expired':
      return `The consent to study ${short(entry.body.study)} on dataset ${quoted(entry.body.dataset, 60)} expired.`;
    case 'device-replaced': {
      const { charged } = entry.body;
      const rounds = Array.isArray(charged) ? charged.filter((round) => typeof round === 'number') : [];
      const said = rounds.length === 0 ? 'No round had' : `Rounds ${rounds.join(', ')} had`;
      return `${freePhrases[entry.kind]!}${describeDetails(entry.body)} ${said} to be charged at the worst case because of it.`;
    }
    case 'round-stage-reached':
    case 'round-closed':
    case 'round-aborted':
    case 'model-pinned':
      return describeRound(entry.kind, entry.body) ?? `${freePhrases[entry.kind]!}${describeDetails(entry.body)}`;
    default:
      return `${freePhrases[entry.kind]!}${describeDetails(entry.body)}`;
  }
}

/** null where the members that every round has are not there. */
function describeRound(kind: EntryKind, { round, study, ...body }: FreeBody): string | null {
  if (typeof round !== 'number' || typeof study !== 'string') return null;
  const which = `ound ${round} of study ${short(study)}`;
  const { stage, ...others } = body;
  if (kind === 'round-stage-reached' && typeof stage === 'string')
    return `R${which} reached the stage ${quoted(stage)}.${describeDetails(others)}`;
  if (kind === 'round-closed') return `R${which} was closed.${describeDetails(body)}`;
  if (kind === 'round-aborted')
    return `R${which} was aborted; what was reserved for it stays charged.${describeDetails(body)}`;
  if (kind === 'model-pinned') return `The model after r${which} was pinned.${describeDetails(body)}`;
  return null;
}

function describeDetails(body: FreeBody): string {
  const plain = Object.entries(body).filter(([, value]) => isPlain(value));
  if (plain.length === 0) return '';
  const said = plain.slice(0, 12).map(([name, value]) => `${name} ${detail(value)}`);
  return ` (${said.join('; ')}${plain.length > 12 ? '; …' : ''})`;
}

function detail(value: JsonValue | undefined): string {
  if (typeof value !== 'string') return canonicalJson(value);
  return /^[0-9a-f]{64,128}$/.test(value) ? short(value) : quoted(value);
}
