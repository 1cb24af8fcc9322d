// A study as the page that a steward reads before agreeing: who asks, who takes part and who is known, what is read, what
// it costs by the review, what a consent starts from. Changes nothing. Design 1, journey 2; design 9, "Study page".

import { RefusalError } from '../../../app/errors.ts';
import type { OutputOf } from '../../../app/bridge.ts';
import type { Review } from '../../../app/review/check.ts';
import type { Contract } from '../../../app/study/contract.ts';
import type { Policy } from '../../../app/study/policy.ts';
import { columnsUsed } from '../../../app/training/mapping.ts';
import { isLanguageTask, labelColumn } from '../../../app/training/types.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { baseParameterCount } from '../../../app/training/language/modules.ts';
import { parameterCount } from '../../../app/training/model.ts';
import type { Baseline } from './drafts.ts';
import type { KnownStudy } from './studies.ts';
import { identityCode } from '../participant/home.ts';

export type PageOptions = {
  readonly study: KnownStudy;
  /** Of its terms; null before there are any. */
  readonly review: Review | null;
  readonly others: readonly KnownStudy[];
  readonly summary: OutputOf<'study.review'>['summary'];
  readonly policy: Policy | null;
  readonly now: number;
  /** A records file to begin with, where one is known. */
  readonly path: string | null;
  readonly dataset: string;
  readonly mapping: Mapping | null;
  readonly baseline: Baseline | null;
  /** Whether some persons object, by a list that was loaded here. */
  readonly asksExcludedRemoved: boolean;
};

/** @throws RefusalError `no-terms` before the relay has any. */
export function studyPage(options: PageOptions): OutputOf<'study.review'> {
  const { study, review, policy, now, summary } = options;
  if (study.terms === null || review === null)
    throw new RefusalError(
      'no-terms',
      'The lead has not signed the study terms yet, or the relay service does not hold them. They are looked for every few seconds.',
    );
  const { contract } = study.terms;
  const ownKey = study.enrolment.identityKey;
  const modelDimension = parameterCount(contract.task);
  const { figures } = review;
  return {
    summary,
    purpose: contract.purpose,
    lawfulBasis: contract.lawfulBasis,
    references: contract.references,
    retention: contract.retention,
    created: contract.created,
    expires: contract.expires,
    lead: { organisation: contract.lead.organisation, code: identityCode(contract.lead.identityKey) },
    relay: { operator: contract.coordinator.operator, address: contract.coordinator.address },
    institutions: contract.roster.map(({ name, organisation, identityKey }) => ({
      name,
      organisation,
      code: identityCode(identityKey),
      known: knownAs(identityKey, ownKey, options),
    })),
    colluders: figures.colluders,
    survivableLosses: figures.survivableLosses,
    neighbours: contract.sealing.sparseGraph?.degree ?? null,
    columns: columnsOf(contract),
    checkpoint: checkpointOf(contract),
    parameters: modelDimension,
    attempts: contract.schedule.attempts,
    cost: {
      unit: figures.unit,
      adjacency: figures.adjacency,
      delta: figures.delta,
      epsilon: figures.epsilon.coordinator,
      outsiders: figures.epsilon.outsiders,
    },
    outcome: review.outcome,
    findings: review.findings.map(({ level, code, reason, repair }) => ({ level, code, reason, repair })),
    suggestion: {
      epsilon: contract.privacy.noise === 'none' ? null : contract.privacy.epsilon,
      expires: suggestedEnd(contract.expires, policy, now),
      path: options.path,
      dataset: options.dataset,
      mapping: options.mapping,
    },
    baseline: options.baseline,
    asksExcludedRemoved: options.asksExcludedRemoved && contract.task.table.personColumn === null,
    consent: study.consent && {
      given: study.consent.given,
      expires: study.consent.expires,
      epsilon: study.consent.epsilonCeiling,
      dataset: study.consent.dataset.name,
    },
  };
}

function checkpointOf({ task }: Contract): OutputOf<'study.review'>['checkpoint'] {
  if (!isLanguageTask(task)) return null;
  const { checkpoint, adapter } = task.model;
  return {
    hash: checkpoint.hash,
    family: checkpoint.configuration.family,
    parameters: baseParameterCount(checkpoint.configuration),
    rank: adapter.rank,
    targets: [...adapter.targets],
    source: checkpoint.source ?? null,
  };
}

type Column = OutputOf<'study.review'>['columns'][number];

/** In the order in which they are read, with what the terms say of each. */
function columnsOf({ task }: Contract): Column[] {
  const { features, label, personColumn } = task.table;
  const learned = labelColumn(task.table);
  return columnsUsed(task.table, true).map(({ column, number }): Column => {
    const feature = features.find((one) => one.column === column);
    const kind =
      column === learned
        ? 'label'
        : column === personColumn
          ? 'person'
          : feature?.kind === 'category' || feature?.kind === 'text'
            ? feature.kind
            : 'number';
    return {
      column,
      kind,
      number,
      least: feature?.kind === 'number' ? feature.least : null,
      most: feature?.kind === 'number' ? feature.most : null,
      categories:
        feature?.kind === 'category'
          ? [...feature.categories]
          : column === learned && label.kind === 'classes'
            ? [...label.classes]
            : null,
    };
  });
}

type Known = OutputOf<'study.review'>['institutions'][number]['known'];

function knownAs(key: string, ownKey: string, { policy, others, study }: PageOptions): Known {
  if (key === ownKey) return 'own';
  if (policy?.institutions.known.some((one) => one.identityKey === key) === true) return 'policy';
  const earlier = others.some(
    (one) =>
      one.name !== study.name &&
      one.consent !== null &&
      one.terms?.contract.roster.some((entry) => entry.identityKey === key) === true,
  );
  return earlier ? 'earlier-study' : 'unknown';
}

function suggestedEnd(expires: string, policy: Policy | null, now: number): string {
  const ends = [Date.parse(expires)];
  if (policy !== null) ends.push(now + policy.mostConsentDays * 86_400_000);
  if (policy !== null && policy.latestExpiry !== null) ends.push(Date.parse(policy.latestExpiry));
  return new Date(Math.min(...ends)).toISOString();
}
