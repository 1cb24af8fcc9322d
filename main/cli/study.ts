// `consilience study new | invite | add | check | sign`: the lead writes a study, invites institutions, takes their
// enrolments into the roster, checks it as every institution will, and signs it. Design 1 (journey 7). What is right is
// decided in app/study and app/review; this file reads, writes and speaks.

import { writeFile } from 'node:fs/promises';
import { toHex } from '../../app/encoding/bytes.ts';
import { InputError, RefusalError } from '../../app/errors.ts';
import { reviewContract } from '../../app/review/check.ts';
import type { Review, ReviewInput } from '../../app/review/check.ts';
import { nearestWithout } from '../../app/review/nearest.ts';
import { deriveDraft } from '../../app/review/derive.ts';
import { scheduleFigures } from '../../app/review/schedule-figures.ts';
import { hasPlaceholder } from '../../app/review/text-rules.ts';
import type { ContractDraft } from '../../app/study/contract.ts';
import { addToRoster, openEnrolment } from '../../app/study/enrolment.ts';
import { signInvitation, signedInvitationText } from '../../app/study/invitation.ts';
import {
  finaliseDraft,
  openSignedContract,
  parseDraft,
  signContract,
  signedContractText,
} from '../../app/study/signed-contract.ts';
import { studyFloatTerm } from '../../app/training/float-term.ts';
import { parameterCount } from '../../app/training/model.ts';
import { writeFileAtomically } from '../host/disk/atomic-file.ts';
import { diskError } from '../host/disk/disk-error.ts';
import { openKeystore } from '../host/keys/keystore.ts';
import type { Keystore } from '../host/keys/keystore.ts';
import { nodeCipher, systemClock } from '../host/machine.ts';
import { readPolicyFile } from '../host/policy-file.ts';
import { UsageError, numberOption, requiredOption, stringOption } from './command.ts';
import type { Command, Invocation } from './command.ts';
import { credentialOptions, keyOptions } from './key-options.ts';
import { say } from './output.ts';
import { adaptiveOptions, requireAdaptable, withAdaptation } from './study-adaptive.ts';
import { readDraft, readText, readToCheck } from './study-file.ts';
import { checkpointSource, checkpointText, nearestText, reviewText } from './study-report.ts';
import { templateDraft, templateNames } from './study-templates.ts';
import { requireScalable, scaleOptions, withScale } from './study-scale.ts';
import { vectorOptions, withVectors } from './study-vectors.ts';

const dayMs = 86_400_000;

export const studyCommand: Command = {
  name: 'study',
  summary: 'Writes, checks and signs the terms of a study.',
  usage: [
    'study new --name NAME --title TEXT --out STUDY.json [--template tabular|heart | --from FILE] [--target-epsilon E] …',
    'study new … [--adaptive-clipping SHARE [--clip-rate R] …] [--adaptive-noise FACTOR [--patience N] …]',
    'study new … [--packing ring] [--subset SHARE] [--selection N [--slow NAME,…]] [--pace N] [--institutions NAME,…]',
    'study new … --region REGION=NAME,… --relay REGION=URL --relay-key REGION=KEY --relay-operator REGION=TEXT (for each)',
    'study invite STUDY.json --out INVITATION.json --home DIR [--days N]',
    'study add STUDY.json ENROLMENT.json… [--colluders C] [--keep]',
    'study check STUDY.json [--policy FILE]',
    'study sign STUDY.json --out SIGNED.json --home DIR [--coordinator-key KEY] [--policy FILE]',
  ],
  example: 'consilience study new --name readmission --title "Readmission within thirty days" --out study.json',
  options: {
    name: { type: 'string', value: 'NAME', help: 'Short name: lower-case letters, digits, inner hyphens.' },
    title: { type: 'string', value: 'TEXT', help: 'What people call the study.' },
    out: { type: 'string', value: 'FILE', help: 'Where the new file goes; it must not exist yet.' },
    template: { type: 'string', value: 'NAME', help: `What to start from: ${templateNames.join(' or ')}.` },
    from: { type: 'string', value: 'FILE', help: 'Start from this draft instead; its roster is left behind.' },
    purpose: { type: 'string', value: 'TEXT', help: 'What the model is for.' },
    'lawful-basis': { type: 'string', value: 'TEXT', help: 'On what lawful basis.' },
    ethics: { type: 'string', value: 'TEXT', help: 'Reference of the ethics approval.' },
    dpia: { type: 'string', value: 'TEXT', help: 'Reference of the data protection impact assessment.' },
    retention: { type: 'string', value: 'TEXT', help: 'How long what is kept.' },
    organisation: { type: 'string', value: 'TEXT', help: 'The lead’s organisation.' },
    operator: { type: 'string', value: 'TEXT', help: 'Who runs the coordinator.' },
    address: { type: 'string', value: 'URL', help: 'Where the coordinator is reached.' },
    'certificate-authority': { type: 'string', value: 'FILE', help: 'PEM of the coordinator’s private CA.' },
    'coordinator-key': { type: 'string', value: 'KEY', help: 'The coordinator’s public key: 64 hex digits.' },
    'target-epsilon': { type: 'string', value: 'E', help: 'Find the noise for this worst-case ε.' },
    ...adaptiveOptions,
    ...vectorOptions,
    ...scaleOptions,
    colluders: { type: 'string', value: 'C', help: 'Institutions assumed to collude with the coordinator.' },
    keep: { type: 'boolean', help: 'Leave thresholds, noise and ε of the draft as they are.' },
    days: { type: 'string', value: 'N', help: 'How long the study (365) or the invitation (30) runs.' },
    policy: { type: 'string', value: 'FILE', help: 'Check against this policy.json, too.' },
    home: { type: 'string', value: 'DIR', help: 'Folder of the lead’s keys; made if it is not there.' },
    ...credentialOptions,
  },
  async run(invocation) {
    const [action, ...files] = invocation.positionals;
    switch (action) {
      case 'new':
        return create(files, invocation);
      case 'invite':
        return invite(oneFile(files), invocation);
      case 'add':
        return add(files, invocation);
      case 'check':
        return check(oneFile(files), invocation);
      case 'sign':
        return sign(oneFile(files), invocation);
      default:
        throw new UsageError('study knows new, invite, add, check and sign.');
    }
  },
};

async function create(files: readonly string[], invocation: Invocation): Promise<0 | 1> {
  const { options } = invocation;
  if (files.length > 0) throw new UsageError('study new takes options only; the file goes into --out.');
  const out = requiredOption(options, 'out');
  const name = requiredOption(options, 'name');
  const title = requiredOption(options, 'title');
  const from = stringOption(options, 'from');
  const template = stringOption(options, 'template');
  if (from !== undefined && template !== undefined) throw new UsageError('Give --from or --template, not both.');
  const known = templateNames.find((one) => one === (template ?? 'tabular'));
  if (known === undefined) throw new UsageError(`--template is ${templateNames.join(' or ')}.`);
  const days = numberOption(options, 'days', { least: 1, most: 3660, whole: true }) ?? 365;
  const now = systemClock.now();
  const facts = { name, title, created: instantOf(now), expires: instantOf(now + days * dayMs) };
  const base: ContractDraft =
    from === undefined ? templateDraft(known, facts) : { ...(await readDraft(from)), ...facts, roster: [] };
  const authority = stringOption(options, 'certificate-authority');
  const coordinatorKey = stringOption(options, 'coordinator-key');
  const draft = parseDraft({
    ...base,
    purpose: stringOption(options, 'purpose') ?? base.purpose,
    lawfulBasis: stringOption(options, 'lawful-basis') ?? base.lawfulBasis,
    references: {
      ethics: stringOption(options, 'ethics') ?? base.references.ethics,
      dpia: stringOption(options, 'dpia') ?? base.references.dpia,
    },
    retention: stringOption(options, 'retention') ?? base.retention,
    // The key is that of whoever invites or signs.
    lead: { organisation: stringOption(options, 'organisation') ?? base.lead.organisation },
    coordinator: {
      ...base.coordinator,
      operator: stringOption(options, 'operator') ?? base.coordinator.operator,
      address: stringOption(options, 'address') ?? base.coordinator.address,
      ...(authority === undefined ? {} : { certificateAuthority: await readText(authority) }),
      ...(coordinatorKey === undefined ? {} : { key: coordinatorKey }),
    },
  });
  const adapted = parseDraft(await withScale(withVectors(withAdaptation(draft, options), options), options));
  const derived = deriveDraft(adapted, {
    modelDimension: parameterCount(draft.task),
    targetEpsilon: epsilonOption(invocation) ?? (draft.privacy.noise === 'none' ? null : draft.privacy.epsilon),
    colluders: colludersOption(invocation),
  });
  requireAdaptable(derived);
  requireScalable(derived);
  await writeNew(out, draftText(derived));
  say(invocation, { study: out, name }, [
    `Wrote the draft to ${out}.`,
    'Write in it what is still marked [to be stated: …] and what is to be learned from which columns; then invite.',
  ]);
  return 0;
}

async function invite(path: string, invocation: Invocation): Promise<0 | 1> {
  const { options } = invocation;
  requiredOption(options, 'home');
  const out = requiredOption(options, 'out');
  const days = numberOption(options, 'days', { least: 1, most: 3660, whole: true }) ?? 30;
  const draft = await readDraft(path);
  if ([draft.title, draft.purpose, draft.lead.organisation].some(hasPlaceholder))
    throw new RefusalError(
      'placeholder-left',
      'The draft does not state its title, its purpose or the lead’s organisation yet, which the invitation shows. Write them first.',
    );
  const now = systemClock.now();
  return withKeys(invocation, async ({ identity }) => {
    const identityKey = toHex(identity.publicKey);
    if (draft.lead.identityKey !== undefined && draft.lead.identityKey !== identityKey)
      throw new RefusalError('lead-key-differs', 'The draft names another key as its lead’s than the one in --home.');
    const signed = signInvitation(nodeCipher, identity, {
      format: 'consilience/invitation/1',
      study: draft.name,
      title: draft.title,
      purpose: draft.purpose,
      address: draft.coordinator.address,
      lead: { organisation: draft.lead.organisation, identityKey },
      certificateAuthority: draft.coordinator.certificateAuthority,
      created: instantOf(now),
      expires: instantOf(now + days * dayMs),
    });
    await writeNew(out, signedInvitationText(signed));
    // So that the contract is signed with the key that the institutions were shown.
    await writeFileAtomically(path, draftText({ ...draft, lead: { ...draft.lead, identityKey } }));
    say(invocation, { invitation: out, leadKey: identityKey }, [
      `Wrote the invitation to ${out}.`,
      `Tell every institution your identity code by another way than this file: ${identityKey}`,
    ]);
    return 0;
  });
}

async function add(files: readonly string[], invocation: Invocation): Promise<0 | 1> {
  const [path, ...enrolments] = files;
  if (path === undefined || enrolments.length === 0)
    throw new UsageError('Say which: study add STUDY.json ENROLMENT.json…');
  const draft = await readDraft(path);
  let grown = draft;
  const names: string[] = [];
  for (const file of enrolments) {
    const enrolment = openEnrolment(nodeCipher, await readText(file));
    grown = addToRoster(grown, enrolment);
    names.push(enrolment.enrolment.name);
  }
  const keep = invocation.options['keep'] === true;
  const derived = keep ? grown : recalibrated(grown, invocation);
  await writeFileAtomically(path, draftText(derived));
  const { sealing, privacy } = derived;
  say(invocation, { added: names, institutions: derived.roster.length, sealing, privacy }, [
    `Added ${names.join(', ')}: the roster has ${derived.roster.length} institutions.`,
    keep
      ? 'Thresholds, noise and ε are as they were; run "study check".'
      : `Quorum ${sealing.threshold}, colluders ${sealing.colluders}, noise variance ${sealing.noiseVariance}, stated ε ${privacy.epsilon ?? 'none'} at δ = ${privacy.delta}.`,
  ]);
  return 0;
}

/** Keeps the lead's noise multiplier unless it no longer meets the ε that the draft states. */
function recalibrated(draft: ContractDraft, invocation: Invocation): ContractDraft {
  const wishes = { modelDimension: parameterCount(draft.task), colluders: colludersOption(invocation) };
  const target = epsilonOption(invocation);
  if (target !== null) return deriveDraft(draft, { ...wishes, targetEpsilon: target });
  const kept = deriveDraft(draft, { ...wishes, targetEpsilon: null });
  const stated = draft.privacy.epsilon;
  const broken = stated !== null && kept.privacy.epsilon !== null && kept.privacy.epsilon > stated;
  return broken ? deriveDraft(draft, { ...wishes, targetEpsilon: stated }) : kept;
}

async function check(path: string, invocation: Invocation): Promise<0 | 1> {
  const { contract, foreign } = await readToCheck(path);
  const input = await reviewInputOf(contract, invocation);
  const own = reviewContract(input);
  const strange = foreign.findings.length > 0;
  const review: Review = strange
    ? { ...own, outcome: 'refuse', findings: [...foreign.findings, ...own.findings] }
    : own;
  const nearest = review.outcome === 'refuse' ? nearestWithout(input, foreign.members) : null;
  const proposal = nearest === null ? null : { outcome: nearest.review.outcome, changes: nearest.changes };
  const schedule = scheduleFigures(contract);
  const checkpoint = checkpointSource(contract.task);
  if (invocation.json) invocation.out(`${JSON.stringify({ ...review, checkpoint, schedule, nearest: proposal })}\n`);
  else {
    const brought = checkpointText(contract.task).map((line) => `${line}\n`);
    invocation.out(`${brought.join('')}${reviewText(review, schedule)}${nearestText(review, nearest)}`);
  }
  return review.outcome === 'refuse' ? 1 : 0;
}

async function sign(path: string, invocation: Invocation): Promise<0 | 1> {
  const { options } = invocation;
  requiredOption(options, 'home');
  const out = requiredOption(options, 'out');
  const draft = await readDraft(path);
  const coordinatorKey = stringOption(options, 'coordinator-key') ?? null;
  return withKeys(invocation, async ({ identity }) => {
    const leadKey = toHex(identity.publicKey);
    const contract = finaliseDraft(draft, { leadKey, coordinatorKey, rosterKeys: new Map() });
    const review = await reviewOf(contract, invocation);
    if (review.outcome === 'refuse') {
      if (invocation.json) invocation.out(`${JSON.stringify(review)}\n`);
      else invocation.out(reviewText(review));
      invocation.warn('Nothing was signed.\n');
      return 1;
    }
    const signed = signContract(nodeCipher, identity, contract);
    const { hash } = openSignedContract(nodeCipher, signed);
    await writeNew(out, signedContractText(signed));
    const { outcome, findings } = review;
    say(invocation, { signed: out, contract: toHex(hash), outcome, findings }, [
      ...findings.map((one) => `Warning ${one.code}: ${one.reason}`),
      `Wrote the signed contract to ${out}.`,
      `Its hash, to which every institution consents: ${toHex(hash)}`,
    ]);
    return 0;
  });
}

async function reviewOf(contract: ContractDraft, invocation: Invocation): Promise<Review> {
  return reviewContract(await reviewInputOf(contract, invocation));
}

async function reviewInputOf(contract: ContractDraft, invocation: Invocation): Promise<ReviewInput> {
  const policyPath = stringOption(invocation.options, 'policy');
  return {
    contract,
    modelDimension: parameterCount(contract.task),
    floatTerm: studyFloatTerm(contract.task, contract.training),
    policy: policyPath === undefined ? null : await readPolicyFile(policyPath, true),
    now: systemClock.now(),
  };
}

async function withKeys(invocation: Invocation, use: (keys: Keystore) => Promise<0 | 1>): Promise<0 | 1> {
  const folder = requiredOption(invocation.options, 'home');
  const keys = await openKeystore({ folder, ...keyOptions(invocation.options) });
  try {
    return await use(keys);
  } finally {
    keys.close();
  }
}

const epsilonOption = ({ options }: Invocation): number | null =>
  numberOption(options, 'target-epsilon', { least: 0, most: 1000, aboveLeast: true }) ?? null;

const colludersOption = ({ options }: Invocation): number | null =>
  numberOption(options, 'colluders', { least: 1, most: 499, whole: true }) ?? null;

function oneFile(files: readonly string[]): string {
  const [path, ...rest] = files;
  if (path === undefined || rest.length > 0) throw new UsageError('Give one study file.');
  return path;
}

const instantOf = (milliseconds: number): string => new Date(milliseconds).toISOString();
const draftText = (draft: ContractDraft): string => `${JSON.stringify(draft, null, 2)}\n`;

/** Never over an existing file: it may be signed or sent already. */
async function writeNew(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new InputError('file-exists', `${path} exists already; choose another name or move it away.`);
    throw diskError(error, path);
  }
}
