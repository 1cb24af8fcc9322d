// IT's policy: limits that nobody below can raise, in one file that users cannot write. Pure checks of a contract and of
// a consent against it; reading the file is main/host/policy-file.ts. Every limit that is broken is reported, each under
// its own code. Design 1 (journey 6), design 4 ("Budgets and consent"). FROZEN as consilience/policy/1.

import { z } from 'zod';
import type { SignedConsent } from './consent.ts';
import type { ContractDraft } from './contract.ts';
import { parseAddress } from './address.ts';
import { hex32, instant, positive, text, wholeFrom } from './fields.ts';

const host = z
  .string()
  .max(253)
  .regex(
    /^(?:\*\.)?[a-z0-9](?:[a-z0-9.:-]*[a-z0-9])?$|^::1$/,
    'must be a host name in lower case, with "*." in front for all below it',
  );

export const policySchema = z.strictObject({
  format: z.literal('consilience/policy/1'),
  /** Shown beside a refusal: whom to ask. */
  contact: text(500).nullable(),
  epsilon: z.strictObject({
    /** Most one study may cost by its worst case; null: no ceiling. */
    perStudy: positive.nullable(),
    /** Most all studies together may cost a dataset that is not named below; null: no ceiling. */
    perDataset: positive.nullable(),
    datasets: z.array(z.strictObject({ name: text(200), epsilon: positive })).max(1000),
  }),
  mostDelta: z.number().gt(0).lt(1),
  /** Contracts without noise: nothing bounds what is learned. */
  noiseNoneAllowed: z.boolean(),
  modes: z.array(z.enum(['union', 'local', 'institution'])).max(3),
  units: z.array(z.enum(['record', 'person', 'institution'])).max(3),
  leastCohort: wholeFrom(3, 500),
  leastRoster: wholeFrom(3, 500),
  mostAttempts: wholeFrom(1, 200_000),
  institutions: z.strictObject({
    /** Known by key; a known organisation under another key is refused. */
    known: z.array(z.strictObject({ organisation: text(200), identityKey: hex32 })).max(10_000),
    /** Institutions not listed that a roster may hold. Whatever this says, they count towards the colluders c. */
    mostUnknown: wholeFrom(0, 500),
  }),
  coordinator: z.strictObject({
    /** null: any host. "*.example.org" covers every name below example.org. */
    hosts: z.array(host).max(1000).nullable(),
    /** https, except on this machine itself. */
    tlsRequired: z.boolean(),
  }),
  /**
   * The HTTP CONNECT proxy to coordinators beyond this machine, http://NAME:PASSWORD@HOST:PORT, and hosts reached without
   * it. Absent: what the environment says.
   */
  proxy: z
    .strictObject({
      address: z
        .string()
        .max(500)
        .regex(/^https?:\/\//, 'must begin with http:// or https://'),
      except: z.array(host).max(1000),
    })
    .optional(),
  /** An ethics and a DPIA reference that say something: not "none", "n/a" or the like. */
  references: z.strictObject({ ethics: z.boolean(), dpia: z.boolean() }),
  /** No contract and no consent may run beyond it; null: any. */
  latestExpiry: instant.nullable(),
  mostConsentDays: wholeFrom(1, 3660),
  accountants: z
    .array(z.enum(['rdp', 'pld', 'gdp']))
    .min(1)
    .max(3),
});

export type Policy = z.infer<typeof policySchema>;

export type PolicyFinding = { readonly code: string; readonly reason: string; readonly repair: string };

export type PolicySubject = {
  readonly contract: ContractDraft;
  /** The reader's own key, which is known to itself. */
  readonly ownKey?: string | undefined;
  readonly accountant: 'rdp' | 'pld' | 'gdp';
  /** Worst case against coordinator + c colluders, as computed here; null: nothing bounds it or it could not be computed. */
  readonly epsilon: number | null;
};

/** Everything in the contract that the policy refuses. */
export function policyFindings(policy: Policy, subject: PolicySubject): readonly PolicyFinding[] {
  return [
    ...privacyFindings(policy, subject),
    ...studyFindings(policy, subject.contract),
    ...institutionFindings(policy, subject),
    ...coordinatorFindings(policy, subject.contract),
  ];
}

function privacyFindings(policy: Policy, { contract, accountant, epsilon }: PolicySubject): PolicyFinding[] {
  const { privacy, training } = contract;
  const findings: PolicyFinding[] = [];
  const worst = Math.max(privacy.epsilon ?? 0, epsilon ?? 0);
  if (policy.epsilon.perStudy !== null && privacy.noise !== 'none' && worst > policy.epsilon.perStudy)
    findings.push({
      code: 'policy-epsilon-per-study',
      reason: `The study may cost ε = ${worst}; the policy allows ${policy.epsilon.perStudy} for one study.`,
      repair: 'Raise the noise multiplier, or lower the sampling rate or the attempts.',
    });
  if (privacy.delta > policy.mostDelta)
    findings.push({
      code: 'policy-delta',
      reason: `δ is ${privacy.delta}; the policy allows ${policy.mostDelta} at most.`,
      repair: `Set δ to ${policy.mostDelta} or less.`,
    });
  if (privacy.noise === 'none' && !policy.noiseNoneAllowed)
    findings.push({
      code: 'policy-noise-none',
      reason: 'The contract adds no noise, and the policy does not allow that.',
      repair: 'Set the noise to discrete-gaussian with a noise multiplier.',
    });
  if (!policy.modes.includes(training.mode))
    findings.push({
      code: 'policy-mode',
      reason: `The mode "${training.mode}" is not among those the policy allows.`,
      repair: `Use ${policy.modes.join(' or ') || 'no mode: the policy allows none'}.`,
    });
  if (!policy.units.includes(training.unit))
    findings.push({
      code: 'policy-unit',
      reason: `The privacy unit "${training.unit}" is not among those the policy allows.`,
      repair: `Use ${policy.units.join(' or ') || 'no unit: the policy allows none'}.`,
    });
  if (!policy.accountants.includes(accountant))
    findings.push({
      code: 'policy-accountant',
      reason: `ε was computed by the accountant "${accountant}", which the policy does not accept.`,
      repair: `Have ε computed by ${policy.accountants.join(' or ')}.`,
    });
  return findings;
}

function studyFindings(policy: Policy, contract: ContractDraft): PolicyFinding[] {
  const { roster, sealing, schedule, references } = contract;
  const findings: PolicyFinding[] = [];
  const cohort = Math.max(sealing.cohortFloor, sealing.threshold);
  if (cohort < policy.leastCohort)
    findings.push({
      code: 'policy-cohort',
      reason: `A round may run with ${cohort} institutions; the policy wants ${policy.leastCohort} at least.`,
      repair: `Set the cohort floor to ${policy.leastCohort} or more.`,
    });
  if (roster.length < policy.leastRoster)
    findings.push({
      code: 'policy-roster',
      reason: `The roster has ${roster.length} institutions; the policy wants ${policy.leastRoster} at least.`,
      repair: 'Invite more institutions.',
    });
  if (schedule.attempts > policy.mostAttempts)
    findings.push({
      code: 'policy-attempts',
      reason: `The contract allows ${schedule.attempts} rounds to be tried; the policy allows ${policy.mostAttempts}.`,
      repair: `Set the attempts to ${policy.mostAttempts} or fewer.`,
    });
  for (const kind of ['ethics', 'dpia'] as const)
    if (policy.references[kind] && saysNothing(references[kind]))
      findings.push({
        code: `policy-reference-${kind}`,
        reason: `The policy requires a reference to the ${kind === 'dpia' ? 'data protection impact assessment' : 'ethics approval'}, and the contract gives none.`,
        repair: 'Name the document in the contract’s references.',
      });
  if (policy.latestExpiry !== null && Date.parse(contract.expires) > Date.parse(policy.latestExpiry))
    findings.push({
      code: 'policy-expiry',
      reason: `The study runs until ${contract.expires}; the policy allows none beyond ${policy.latestExpiry}.`,
      repair: `Let the study end by ${policy.latestExpiry}.`,
    });
  return findings;
}

function saysNothing(reference: string): boolean {
  const words = reference.toLowerCase().replaceAll(/[^a-z0-9]+/g, '');
  return ['', 'none', 'na', 'no', 'nil', 'null', 'tbd', 'tba', 'todo', 'pending', 'notapplicable', 'x'].includes(words);
}

/** Roster positions whose key the policy does not know; entries still without a key count as unknown. */
export function unknownInstitutions(policy: Policy, contract: ContractDraft, ownKey?: string): readonly number[] {
  const known = new Set(policy.institutions.known.map((one) => one.identityKey));
  if (ownKey !== undefined) known.add(ownKey);
  return contract.roster.flatMap(({ identityKey }, index) =>
    identityKey !== undefined && known.has(identityKey) ? [] : [index],
  );
}

function institutionFindings(policy: Policy, { contract, ownKey }: PolicySubject): PolicyFinding[] {
  const findings: PolicyFinding[] = [];
  const { known, mostUnknown } = policy.institutions;
  const { colluders } = contract.sealing;
  const nameOf = (index: number): string => `"${contract.roster[index]!.name}"`;
  const unknown = unknownInstitutions(policy, contract, ownKey);
  const listed = unknown.slice(0, 10).map(nameOf).join(', ') + (unknown.length > 10 ? ' and others' : '');
  if (unknown.length > mostUnknown)
    findings.push({
      code: 'policy-unknown-institutions',
      reason: `The policy does not know ${listed}; it allows ${mostUnknown} unknown institutions.`,
      repair: 'Have IT check their identity codes and add them to the policy’s list.',
    });
  if (unknown.length > colluders)
    findings.push({
      code: 'unknown-exceed-colluders',
      reason: `${unknown.length} institutions are not recognised (${listed}) and might be inventions of the lead, but the contract assumes ${colluders} colluders only.`,
      repair:
        'Have their identity codes checked and listed, or ask the lead for a contract that assumes more colluders.',
    });
  const sameName = (left: string, right: string): boolean =>
    left.normalize('NFKC').trim().toLowerCase() === right.normalize('NFKC').trim().toLowerCase();
  contract.roster.forEach(({ organisation, identityKey }, index) => {
    const byKey = known.find((one) => one.identityKey === identityKey);
    const byName = known.some((one) => sameName(one.organisation, organisation));
    if (byKey !== undefined && !sameName(byKey.organisation, organisation))
      findings.push({
        code: 'policy-institution-renamed',
        reason: `The roster calls the holder of a known key by another organisation’s name (${nameOf(index)}).`,
        repair: 'Ask the lead and IT which of the two names is right.',
      });
    if (byKey === undefined && identityKey !== undefined && byName && identityKey !== ownKey)
      findings.push({
        code: 'policy-institution-key',
        reason: `${nameOf(index)} bears the name of an organisation the policy knows, with a key it does not know.`,
        repair: 'Check the identity code with that organisation by telephone before going on.',
      });
  });
  return findings;
}

function coordinatorFindings(policy: Policy, contract: ContractDraft): PolicyFinding[] {
  const address = parseAddress(contract.coordinator.address);
  if (address === null)
    return [
      {
        code: 'policy-coordinator-address',
        reason: 'The coordinator’s address is no plain http or https address, so the policy cannot allow it.',
        repair: 'Give it as https://host or https://host:port.',
      },
    ];
  const findings: PolicyFinding[] = [];
  const { hosts, tlsRequired } = policy.coordinator;
  const matches = (pattern: string): boolean =>
    pattern.startsWith('*.') ? address.host.endsWith(pattern.slice(1)) : address.host === pattern;
  if (hosts !== null && !hosts.some(matches))
    findings.push({
      code: 'policy-coordinator-host',
      reason: `The coordinator's host ${address.host} is not among those the policy allows.`,
      repair: 'Ask IT to allow the host, or the lead to use an allowed one.',
    });
  if (tlsRequired && !address.secure && !address.loopback)
    findings.push({
      code: 'policy-tls',
      reason: 'The coordinator’s address is not https, and the policy requires it.',
      repair: 'Give the coordinator a certificate and use https.',
    });
  return findings;
}

/** The ε that the policy allows this dataset across all studies; null: no ceiling. */
export function datasetCeiling(policy: Policy, dataset: string): number | null {
  return policy.epsilon.datasets.find((one) => one.name === dataset)?.epsilon ?? policy.epsilon.perDataset;
}

/** Everything in a consent that the policy refuses: its ceilings, its length, its end. */
export function consentPolicyFindings(policy: Policy, { consent }: SignedConsent): readonly PolicyFinding[] {
  const findings: PolicyFinding[] = [];
  const dataset = datasetCeiling(policy, consent.dataset.name);
  const { perStudy } = policy.epsilon;
  if (consent.epsilonCeiling === null && !policy.noiseNoneAllowed)
    findings.push({
      code: 'policy-noise-none',
      reason: 'The consent accepts a study without noise, and the policy does not allow that.',
      repair: 'Consent only to contracts with noise.',
    });
  if (perStudy !== null && consent.epsilonCeiling !== null && consent.epsilonCeiling > perStudy)
    findings.push({
      code: 'policy-epsilon-per-study',
      reason: `The consent allows ε = ${consent.epsilonCeiling}; the policy allows ${perStudy} for one study.`,
      repair: `Lower the ceiling to ${perStudy} or less.`,
    });
  if (dataset !== null && consent.epsilonCeiling !== null && consent.epsilonCeiling > dataset)
    findings.push({
      code: 'policy-epsilon-per-dataset',
      reason: `The consent allows ε = ${consent.epsilonCeiling}; the policy allows this dataset ${dataset} across all studies.`,
      repair: `Lower the ceiling to ${dataset} or less.`,
    });
  const days = (Date.parse(consent.expires) - Date.parse(consent.given)) / 86_400_000;
  if (days > policy.mostConsentDays)
    findings.push({
      code: 'policy-consent-days',
      reason: `The consent runs for ${Math.ceil(days)} days; the policy allows ${policy.mostConsentDays}.`,
      repair: 'Choose an earlier end; a consent can be given again.',
    });
  if (policy.latestExpiry !== null && Date.parse(consent.expires) > Date.parse(policy.latestExpiry))
    findings.push({
      code: 'policy-expiry',
      reason: `The consent runs until ${consent.expires}; the policy allows none beyond ${policy.latestExpiry}.`,
      repair: `Let the consent end by ${policy.latestExpiry}.`,
    });
  return findings;
}
