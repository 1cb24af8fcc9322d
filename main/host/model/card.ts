// The card of an exported model: what it predicts, from whose data, how good it was, what its ε means and against whom,
// what it may be used for. card.json holds the facts, card.md the same in words. Pure over a ModelRun; no record in it.

import { z } from 'zod';
import { canonicalJson } from '../../../app/encoding/canonical-json.ts';
import { roundedUp } from '../../../app/review/finding.ts';
import { hex32, text, wholeFrom } from '../../../app/study/fields.ts';
import type { FeatureSpec, LabelSpec, ModelSpec, Task } from '../../../app/study/task.ts';
import { modelMetricsSchema, modelPrivacySchema } from './run.ts';
import type { ModelRun } from './run.ts';

const featureCard = z.strictObject({
  column: z.string(),
  /** The public range or categories agreed in the contract. */
  accepts: z.string(),
  whenMissing: z.string(),
});

export const modelCardSchema = z.strictObject({
  format: z.literal('consilience/model-card/1'),
  /** False: not to be given away. */
  released: z.boolean(),
  /** The first line of card.md, where it warns; null where there is nothing to warn of. */
  warning: z.string().nullable(),
  study: z.strictObject({ name: text(100), title: text(200), lead: text(200), contractHash: hex32 }),
  predicts: z.string(),
  model: z.strictObject({
    kind: z.string(),
    parameters: wholeFrom(1, 4e9),
    hash: hex32,
    rounds: wholeFrom(0, 100_000),
    planned: wholeFrom(1, 100_000),
  }),
  features: z.array(featureCard).min(1),
  data: z.array(z.strictObject({ name: z.string(), organisation: z.string(), nominalUnits: wholeFrom(1, 1e9) })),
  measure: z.string(),
  metrics: modelMetricsSchema.nullable(),
  privacy: modelPrivacySchema.extend({
    /** True: the ε is what real randomness would have given. */
    hypothetical: z.boolean(),
    colluders: wholeFrom(1, 499),
    institutionsPerPerson: wholeFrom(1, 500),
    deltaExemption: z.string().nullable(),
  }),
  use: z.strictObject({
    purpose: z.string(),
    lawfulBasis: z.string(),
    ethics: z.string(),
    dpia: z.string(),
    retention: z.string(),
    limits: z.array(z.string()),
  }),
  /** SHA-256 of each file beside the card, hex. */
  files: z.record(z.string(), hex32),
});

export type ModelCard = z.infer<typeof modelCardSchema>;

export function modelCard(run: ModelRun, released: boolean, files: { readonly [name: string]: string }): ModelCard {
  const { contract, privacy } = run;
  const { task, training, sealing } = contract;
  const { unit, adjacency, delta, epsilon, accountant, noiseMultiplier } = privacy;
  return modelCardSchema.parse({
    format: 'consilience/model-card/1',
    released,
    warning: warningOf(run, released),
    study: {
      name: contract.name,
      title: contract.title,
      lead: contract.lead.organisation,
      contractHash: run.contractHash,
    },
    predicts: predictionInWords(task.table.label),
    model: {
      kind: modelInWords(task.model),
      parameters: run.released.length,
      hash: run.model,
      rounds: run.rounds,
      planned: contract.schedule.rounds,
    },
    features: task.table.features.map((feature) => ({
      column: feature.column,
      accepts: acceptedInWords(feature),
      whenMissing: missingInWords(feature),
    })),
    data: contract.roster.map(({ name, organisation, nominalUnits }) => ({ name, organisation, nominalUnits })),
    measure: measureInWords(task.kind),
    metrics: run.metrics,
    privacy: {
      unit,
      adjacency,
      delta,
      epsilon,
      accountant,
      noiseMultiplier,
      noise: run.seeded && contract.privacy.noise !== 'none' ? 'seeded, not private' : privacy.noise,
      hypothetical: run.seeded && epsilon.coordinator !== null,
      colluders: sealing.colluders,
      institutionsPerPerson: training.institutionsPerPerson,
      deltaExemption: contract.privacy.deltaExemption,
    },
    use: {
      purpose: contract.purpose,
      lawfulBasis: contract.lawfulBasis,
      ethics: contract.references.ethics,
      dpia: contract.references.dpia,
      retention: contract.retention,
      limits: limitsOf(run),
    },
    files,
  });
}

function warningOf(run: ModelRun, released: boolean): string | null {
  if (run.seeded) return 'Seeded, not private: this model comes from a repeatable run. It must not be released.';
  if (run.contract.privacy.noise === 'none')
    return `No noise, no bound: what one ${run.privacy.unit} contributed may be recoverable from this model.${released ? '' : ' It is not released.'}`;
  return released ? null : 'Not released: for use inside the institutions only.';
}

function limitsOf({ contract, privacy, metrics }: ModelRun): string[] {
  return [
    'Use it only for the purpose above, and on records like those it was trained on.',
    'It is no medical device and no decision: a person answers for what is done with its output.',
    'Values outside the ranges and categories above are treated as the table says; it has learned nothing about them.',
    metrics === null
      ? 'No measured quality comes with it: test it on records of your own before use.'
      : 'The quality above was measured on these institutions’ own test rows without noise; it is outside the ε and may differ elsewhere.',
    privacy.epsilon.coordinator === null
      ? 'Nothing bounds what it tells about the records behind it: treat it as you treat the records.'
      : `The ε bounds what it tells about one ${privacy.unit} at one institution; it says nothing about what is true of everybody, and nothing about the institutions as such.`,
    ...(contract.privacy.deltaExemption === null
      ? []
      : [`Its δ is larger than the rule allows, by name of: ${contract.privacy.deltaExemption}.`]),
  ];
}

function modelInWords(model: ModelSpec): string {
  switch (model.kind) {
    case 'linear':
      return 'linear';
    case 'mlp':
      return `MLP with hidden layers of ${model.hidden.join(', ')}`;
    case 'adapted-checkpoint':
      return `LoRA of rank ${model.adapter.rank} beside a ${model.checkpoint.configuration.family} checkpoint ${model.checkpoint.hash}${model.checkpoint.source === undefined ? '' : `, from: ${model.checkpoint.source}`}`;
  }
}

function measureInWords(kind: Task['kind']): string {
  return kind === 'tabular-regression' ? 'root mean squared error' : kind === 'causal-lm' ? 'perplexity' : 'accuracy';
}

export function predictionInWords(label: LabelSpec): string {
  switch (label.kind) {
    case 'none':
      return 'the next token of a text';
    case 'binary':
      return `the probability that ${label.column} ${label.comparison} ${label.value}`;
    case 'classes':
      return `the class of ${label.column}, one of ${label.classes.join(', ')}`;
    case 'number':
      return `the number ${label.column}, from ${label.least} to ${label.most}`;
  }
}

function acceptedInWords(feature: FeatureSpec): string {
  if (feature.kind === 'text') return `text, its first ${feature.tokens * feature.pieces} tokens`;
  if (feature.kind === 'number') return `${feature.least} to ${feature.most}; outside: ${feature.outside}`;
  return `one of ${feature.categories.join(', ')}; unknown: ${feature.unknown}`;
}

function missingInWords({ whenMissing }: FeatureSpec): string {
  switch (whenMissing.rule) {
    case 'refuse':
      return 'refused';
    case 'drop-row':
      return 'no prediction';
    case 'value':
      return `taken as ${whenMissing.value}`;
    case 'indicator':
      return `taken as ${whenMissing.value}, and marked`;
  }
}

export const cardJson = (card: ModelCard): string => `${canonicalJson(card)}\n`;

export function cardText(card: ModelCard): string {
  const { study, model, privacy, use, metrics } = card;
  const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
    [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cellText).join(' | ')} |`).join('\n');
  const parts = [
    ...(card.warning === null ? [] : [`**${card.warning}**`]),
    `# ${study.title}`,
    `Predicts ${card.predicts}. Model: ${model.kind}, ${model.parameters} parameters, ${model.rounds} of ${model.planned} rounds. Study ${study.name}, led by ${study.lead}.`,
    `Contract (SHA-256 of contract.json): \`${study.contractHash}\`  \nModel state after the last round: \`${model.hash}\``,
    '## What it reads',
    table(
      ['column', 'public range or categories', 'missing'],
      card.features.map((feature) => [feature.column, feature.accepts, feature.whenMissing]),
    ),
    '## Whose data',
    'The numbers are nominal: agreed beforehand, not counted.',
    table(
      ['institution', 'organisation', 'nominal units'],
      card.data.map(({ name, organisation, nominalUnits }) => [name, organisation, String(nominalUnits)]),
    ),
    '## How good it was',
    metrics === null ? 'Not measured with this export.' : metricsText(card.measure, metrics, table),
    '## What it may tell about one of them',
    privacyText(privacy),
    '## What it may be used for',
    `Purpose: ${use.purpose}`,
    `Lawful basis: ${use.lawfulBasis}  \nEthics: ${use.ethics}  \nDPIA: ${use.dpia}  \nRetention: ${use.retention}`,
    use.limits.map((limit) => `- ${limit}`).join('\n'),
    '## Files',
    table(
      ['file', 'SHA-256'],
      Object.entries(card.files).map(([name, hash]) => [name, `\`${hash}\``]),
    ),
  ];
  return `${parts.join('\n\n')}\n`;
}

function metricsText(
  measure: string,
  { federated, ownSite }: NonNullable<ModelCard['metrics']>,
  table: (head: readonly string[], rows: readonly (readonly string[])[]) => string,
): string {
  const shown = (value: (typeof federated)['mean'] | undefined): string => {
    if (value === undefined) return '';
    if (typeof value === 'number') return value.toFixed(3);
    return Object.entries(value)
      .map(([name, one]) => `${name} ${one === null ? 'none' : one.toFixed(3)}`)
      .join(', ');
  };
  const names = Object.keys(federated.perInstitution);
  const rows = names.map((name) => [name, shown(ownSite?.perInstitution[name]), shown(federated.perInstitution[name])]);
  return table(
    ['institution', `own site: ${measure}`, `federated: ${measure}`],
    [...rows, ['mean', shown(ownSite?.mean), shown(federated.mean)]],
  );
}

function privacyText(privacy: ModelCard['privacy']): string {
  const { epsilon, delta, unit, adjacency, accountant, noiseMultiplier, colluders } = privacy;
  if (epsilon.coordinator === null)
    return `No bound: the study has no noise (noise: ${privacy.noise}), so there is no ε.`;
  const figure = (value: number | null): string => (value === null ? 'no bound' : `ε = ${shownEpsilon(value)}`);
  const lines = [
    `Against the coordinator together with ${colluders} ${colluders === 1 ? 'institution' : 'institutions'}: **${figure(epsilon.coordinator)}** at δ = ${delta}  `,
    `Against people outside the roster: ${figure(epsilon.outsiders)} at δ = ${delta}  `,
    `Unit: one ${unit} at one institution (each in at most ${privacy.institutionsPerPerson}); neighbours: ${adjacency}; accountant: ${accountant}; noise: ${privacy.noise}${noiseMultiplier === null ? '' : `, noise multiplier ${noiseMultiplier}`}`,
  ];
  if (privacy.hypothetical)
    lines.push('', '**Hypothetical**: these ε would hold for real randomness. This run was seeded, so none holds.');
  return lines.join('\n');
}

/** Three significant digits, never below the number itself. */
export const shownEpsilon = (value: number): string => (value === 0 ? '0' : String(roundedUp(value)));

const cellText = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
