// An institution's consent to a signed contract: who signed it, does the roster hold this institution, does the review
// pass, do the records fit, is there room in the allowance; then the log, then the signature. Design 1 (journey 2), 4.

import { resolve } from 'node:path';
import { toHex } from '../../../app/encoding/bytes.ts';
import { canonicalJson } from '../../../app/encoding/canonical-json.ts';
import { InputError, RefusalError } from '../../../app/errors.ts';
import { hostActor } from '../../../app/ledger/entry.ts';
import type { Actor } from '../../../app/ledger/entry.ts';
import { withCeiling } from '../../../app/privacy/budget.ts';
import { reviewContract } from '../../../app/review/check.ts';
import type { Review } from '../../../app/review/check.ts';
import { checkConsent, consentTo, signConsent, signedConsentText } from '../../../app/study/consent.ts';
import type { SignedConsent } from '../../../app/study/consent.ts';
import { signedInvitationText } from '../../../app/study/invitation.ts';
import { consentPolicyFindings } from '../../../app/study/policy.ts';
import type { Policy } from '../../../app/study/policy.ts';
import type { Task } from '../../../app/study/task.ts';
import { openSignedContract, signedContractText } from '../../../app/study/signed-contract.ts';
import type { SignedContract } from '../../../app/study/signed-contract.ts';
import { studyFloatTerm } from '../../../app/training/float-term.ts';
import { mappingHash } from '../../../app/training/mapping.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { parameterCount } from '../../../app/training/model.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { taskTokeniser } from '../checkpoint/task-checkpoint.ts';
import { placeImport, requireCanonicalUnit } from '../records/dataset-lineage.ts';
import { requireExcludable } from '../records/exclusion-list.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import { keepMapping } from '../import/mapping-file.ts';
import type { ReadProgress } from '../import/read-progress.ts';
import { nodeMachine } from '../machine.ts';
import { budgetOf, datasetCeilings, requireRoom, wantedCeilings, writeCeiling } from './ceilings.ts';
import type { DatasetFilter } from './ceilings.ts';
import { importDataset } from './dataset.ts';
import type { ImportedDataset } from './dataset.ts';
import { makeFolder, openHome, readTextIfThere, studyPaths } from './home.ts';
import type { StoredStudy } from './home.ts';
import type { Keystore } from '../keys/keystore.ts';
import { readJoined } from './join.ts';
import { consentHash } from './ledger.ts';
import { recordedLedger } from '../ledger/recorded-ledger.ts';
import { keepRecords, sweepRecords } from '../records/records-copies.ts';
import { openRegister, printKeyOf } from '../records/register.ts';

export type ConsentOptions = {
  readonly home: string;
  readonly keys: KeySourceOptions;
  /** Text of the signed contract. */
  readonly contract: string;
  readonly policy: Policy | null;
  readonly data: { readonly name: string; readonly path: string };
  /** Folder of the checkpoint that a language study adapts, in Hugging Face layout; null for tables. */
  readonly checkpoint?: string | null;
  /** How its columns become the contract's; null: they are the contract's already. */
  readonly mapping?: Mapping | null;
  /** null: the contract's worst case. */
  readonly epsilon: number | null;
  /** ε of the dataset across all studies; null: as the policy says, or this consent's ε where it is the first. */
  readonly datasetEpsilon: number | null;
  /** Filter of the dataset's ceiling where this consent sets it; null: RDP, or what stands. */
  readonly datasetFilter?: DatasetFilter | null;
  /** Where no column names persons: the steward says that those who object are not in the file. */
  readonly excludedRemoved?: boolean;
  /** The person says that a contract without noise, which nothing bounds, is accepted. */
  readonly acceptNoNoise: boolean;
  /** ISO 8601, UTC; null: when the contract ends, or earlier where the policy wants it. */
  readonly expires: string | null;
  /** Whom the log names; the program itself where nobody sits at a window. */
  readonly actor?: Actor;
  /** Called while the records are read; what it throws ends the consent before anything is written. */
  readonly onProgress?: ReadProgress | undefined;
  /** Keeps an encrypted copy of what the study uses, and trains from it; else the file is read where it lies. */
  readonly keepCopy?: boolean;
  /** Tells the coordinator; a failure leaves that to `run`. */
  readonly send: (stored: StoredStudy, index: number, keystore: Keystore, text: string) => Promise<void>;
};

export type Consented = {
  readonly study: string;
  readonly task: Task;
  readonly index: number;
  readonly review: Review;
  readonly dataset: Omit<ImportedDataset, 'records'>;
  /** Whether an encrypted copy of the records was kept. */
  readonly copied: boolean;
  /** Hash of the mapping, as the log has it; null without one. */
  readonly mapping: string | null;
  readonly consent: SignedConsent;
  /** Other datasets that share persons with this one: one allowance counts for all. */
  readonly sharesWith: readonly string[];
  /** ε of the dataset's ceiling, and where it comes from, in words. */
  readonly datasetCeiling: { readonly epsilon: number | null; readonly said: string };
  /** Why the coordinator was not told yet; null where it was. */
  readonly untold: string | null;
};

/** @throws RefusalError and InputError of each check; nothing is signed then. */
export async function consentToStudy(options: ConsentOptions): Promise<Consented> {
  const { home, policy } = options;
  const mapping = options.mapping ?? null;
  const { cipher, clock } = nodeMachine;
  const now = clock.now();
  const signed = openSignedContract(cipher, options.contract);
  const { contract } = signed;
  const study = toHex(signed.hash);
  const opened = await openHome(home, options.keys);
  try {
    const { keystore } = opened;
    const { writer: ledger, entries } = recordedLedger(opened, options.actor ?? hostActor);
    const paths = studyPaths(home, study);
    if ((await readTextIfThere(paths.withdrawal)) !== null)
      throw new RefusalError('withdrawn', 'This institution has stopped taking part; a new study is needed to return.');
    const joined = await readJoined(home, contract.name);
    const index = requireOwnPlace(signed, joined, toHex(keystore.identity.publicKey));
    const ownKey = toHex(keystore.identity.publicKey);
    const modelDimension = parameterCount(contract.task);
    const floatTerm = studyFloatTerm(contract.task, contract.training);
    const review = reviewContract({ contract, modelDimension, floatTerm, policy, now, ownKey });
    refuseByReview(review);
    const checkpoint =
      options.checkpoint === undefined || options.checkpoint === null ? null : resolve(options.checkpoint);
    const tokenise = await taskTokeniser(contract.task, checkpoint);
    const register = await openRegister({ home, keystore, entries });
    await sweepRecords(home);
    const { records, ...dataset } = await importDataset(
      contract,
      index,
      { ...options.data, mapping, tokenise, onProgress: options.onProgress },
      entries,
      printKeyOf(keystore),
    );
    const placed = placeImport(entries, register, dataset);
    requireCanonicalUnit(placed, contract.training.unit, dataset.name);
    const excludedRemoved = options.excludedRemoved === true ? register.excludedDigest() : null;
    requireExcludable(register, {
      namesPersons: dataset.prints.persons !== null,
      removedDigest: excludedRemoved,
    });
    const consent = signConsent(
      cipher,
      keystore.identity,
      consentTo(cipher, contract, {
        index,
        dataset: {
          name: dataset.name,
          lineage: placed.inherits && /^[0-9a-f]{64}$/.test(placed.id) ? placed.id : null,
        },
        epsilonCeiling: ceilingOf(options, signed),
        noise: noiseOf(options, signed),
        given: new Date(now).toISOString(),
        expires: options.expires ?? latestEnd(signed, policy, now),
      }),
    );
    checkConsent(cipher, contract, consent, now);
    refuseByPolicy(policy, consent);
    const mapped = mapping === null ? null : mappingHash(cipher, mapping);

    let budget = budgetOf(entries);
    const wanted = wantedCeilings(budget, {
      contract,
      study,
      dataset: dataset.name,
      lineage: placed.datasets,
      epsilon: consent.consent.epsilonCeiling,
      datasetEpsilon: options.datasetEpsilon,
      datasetFilter: options.datasetFilter ?? null,
      policy,
    });
    for (const { ceiling } of wanted) budget = withCeiling(budget, ceiling);
    requireRoom(budget, contract, study, dataset.name);

    // Before anything is logged: a copy that nothing points to yet is swept away by the next opening.
    const copy =
      options.keepCopy === true ? await keepRecords(home, keystore, { study, digest: dataset.digest }, records) : null;
    await makeFolder(paths.folder);
    await writeFileAtomically(paths.contract, signedContractText({ contract, signature: signed.signature }));
    await writeFileAtomically(paths.invitation, signedInvitationText(joined.invitation));
    await ledger.append('contract-reviewed', {
      study,
      outcome: review.outcome,
      findings: review.findings.map((one) => one.code),
      epsilon: review.figures.epsilon.coordinator,
      delta: review.figures.delta,
      unit: review.figures.unit,
      adjacency: review.figures.adjacency,
      accountant: review.figures.accountant,
    });
    await keepMapping(paths.mapping, mapping);
    if (mapped !== null) await ledger.append('mapping-chosen', { study, dataset: dataset.name, mapping: mapped });
    const registered = await register.add(placed.id, placed.merged, dataset.prints);
    await ledger.append('dataset-imported', {
      study,
      dataset: dataset.name,
      ...(mapped === null ? {} : { mapping: mapped }),
      schema: toHex(cipher.sha256(new TextEncoder().encode(canonicalJson(contract.task.table)))),
      salt: dataset.salt,
      digest: dataset.digest,
      countFrom: dataset.count.from,
      countTo: dataset.count.to,
      unit: contract.training.unit,
      lineage: placed.id,
      ...(placed.merged.length === 0 ? {} : { merged: placed.merged }),
      persons: dataset.prints.persons !== null,
      ...(excludedRemoved === null ? {} : { excludedRemoved }),
      register: registered,
    });
    for (const { ceiling, because } of wanted) await writeCeiling(ledger, ceiling, because);
    await ledger.append('consent-given', {
      study,
      dataset: dataset.name,
      purpose: contract.purpose,
      lawfulBasis: contract.lawfulBasis,
      references: contract.references,
      epsilon: consent.consent.epsilonCeiling,
      delta: contract.privacy.delta,
      unit: contract.training.unit,
      noise: contract.privacy.noise,
      expires: consent.consent.expires,
      consent: consentHash(consent),
    });
    await opened.ledger.checkpoint();
    const noted = { ...(checkpoint === null ? {} : { checkpoint }), ...(copy === null ? {} : { copy }) };
    await writeFileAtomically(
      paths.dataset,
      `${JSON.stringify({ name: dataset.name, path: dataset.path, ...noted })}\n`,
    );
    // Last: `run` takes part only with a consent that the log already holds.
    await writeFileAtomically(paths.consent, signedConsentText(consent));
    // The version before this one.
    await sweepRecords(home);
    const [standing] = [...datasetCeilings(budget, dataset.name)].sort(
      (left, right) => (left.epsilon ?? Infinity) - (right.epsilon ?? Infinity),
    );
    const because = wanted.find((one) => one.ceiling.kind === 'dataset')?.because ?? null;
    const stored = { contract, signature: signed.signature, hash: signed.hash, paths };
    const untold = await options.send(stored, index, keystore, signedConsentText(consent)).then(
      () => null,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    return {
      study,
      index,
      untold,
      task: contract.task,
      review,
      dataset,
      copied: copy !== null,
      mapping: mapped,
      consent,
      sharesWith: placed.datasets.filter((name) => name !== dataset.name),
      datasetCeiling: { epsilon: standing!.epsilon, said: ceilingWords[because ?? 'standing'] },
    };
  } finally {
    await opened.close();
  }
}

const ceilingWords = {
  consent: 'set by this consent',
  policy: 'set by the policy',
  'first-consent': 'no policy sets one, so it is the ε of this first consent; later studies share it',
  steward: 'set by --dataset-epsilon',
  lineage: 'set earlier for the same persons, and it stands',
  standing: 'set earlier, and it stands',
} as const;

type Joined = Awaited<ReturnType<typeof readJoined>>;

function requireOwnPlace(signed: SignedContract, joined: Joined, ownKey: string): number {
  const { contract } = signed;
  const { invitation } = joined.invitation;
  const { enrolment } = joined.enrolment;
  if (contract.lead.identityKey !== invitation.lead.identityKey)
    throw new RefusalError(
      'lead-differs',
      'The contract is signed by another lead than the one whose invitation was answered. Ask the lead by telephone.',
    );
  const index = contract.roster.findIndex((entry) => entry.identityKey === ownKey);
  const own = contract.roster[index];
  if (own === undefined)
    throw new RefusalError(
      'not-in-roster',
      'This institution’s key is not in the contract’s roster. Send enrolment.json to the lead and ask for a new contract.',
    );
  if (
    own.name !== enrolment.name ||
    own.organisation !== enrolment.organisation ||
    own.nominalUnits !== enrolment.nominalUnits
  )
    throw new RefusalError(
      'roster-entry-differs',
      `The roster lists this institution under "${own.name}" with ${own.nominalUnits} units; it enrolled as "${enrolment.name}" with ${enrolment.nominalUnits}. Ask the lead to correct it.`,
    );
  return index;
}

function refuseByReview(review: Review): void {
  const refused = review.findings.filter((one) => one.level === 'refuse');
  if (refused.length === 0) return;
  const more = refused.length > 1 ? ` And ${refused.length - 1} more.` : '';
  throw new RefusalError(refused[0]!.code, `${refused[0]!.reason} ${refused[0]!.repair}${more}`);
}

function refuseByPolicy(policy: Policy | null, consent: SignedConsent): void {
  const broken = policy === null ? undefined : consentPolicyFindings(policy, consent)[0];
  if (broken !== undefined) throw new RefusalError(broken.code, `${broken.reason} ${broken.repair}`);
}

function noiseOf({ acceptNoNoise }: ConsentOptions, { contract }: SignedContract): 'discrete-gaussian' | 'none' {
  if (contract.privacy.noise === 'none' && !acceptNoNoise)
    throw new RefusalError(
      'no-noise-not-accepted',
      'The contract adds no noise: no ε bounds what can be learned about a record. To accept that, say --accept-no-noise.',
    );
  return contract.privacy.noise;
}

function ceilingOf({ epsilon }: ConsentOptions, { contract }: SignedContract): number | null {
  if (contract.privacy.noise === 'none') {
    if (epsilon !== null)
      throw new InputError(
        'epsilon-without-noise',
        'The contract adds no noise, so no --epsilon can be kept. Leave it out.',
      );
    return null;
  }
  return epsilon ?? contract.privacy.epsilon;
}

function latestEnd({ contract }: SignedContract, policy: Policy | null, now: number): string {
  const ends = [Date.parse(contract.expires)];
  if (policy !== null) {
    ends.push(now + policy.mostConsentDays * 86_400_000);
    if (policy.latestExpiry !== null) ends.push(Date.parse(policy.latestExpiry));
  }
  return new Date(Math.min(...ends)).toISOString();
}
