// Rules about the table and its label: columns are named once, ranges are ranges, stand-in values lie inside them, the
// label fits the task and is no feature. Design 5, "Tasks and models". Column names are the contract's, not records.

import type { ContractDraft } from '../study/contract.ts';
import type { FeatureSpec, TableSpec } from '../study/task.ts';
import { refusal, warning } from './finding.ts';
import type { Finding } from './finding.ts';

export function taskFindings({ task }: ContractDraft): Finding[] {
  const { table } = task;
  return [
    ...columnFindings(table),
    ...table.features.flatMap(featureFindings),
    ...labelFindings(task.kind, table),
    ...contextFindings(task),
    ...sourceFindings(task),
  ];
}

function columnFindings(table: TableSpec): Finding[] {
  const findings: Finding[] = [];
  const learned = table.label.kind === 'none' ? null : table.label.column;
  const features = table.features.map((one) => one.column);
  for (const column of repeated(features))
    findings.push(
      refusal('column-repeated', `The column "${column}" is used as a feature twice.`, 'Use each column once.'),
    );
  if (table.columnNames !== null) {
    const names = new Set(table.columnNames);
    for (const column of repeated(table.columnNames))
      findings.push(
        refusal(
          'column-repeated',
          `The list of columns names "${column}" twice.`,
          'Give each column a name of its own.',
        ),
      );
    const used = [...features, learned, table.personColumn].filter((one) => one !== null);
    for (const column of new Set(used))
      if (!names.has(column))
        findings.push(
          refusal(
            'column-unknown',
            `The column "${column}" is used but stands in no place of the headerless file.`,
            'Add it to the list of columns, or use a listed one.',
          ),
        );
  }
  if (learned !== null && features.includes(learned))
    findings.push(
      refusal(
        'label-is-feature',
        `The column "${learned}" is both what is to be predicted and a feature.`,
        'Remove it from the features.',
      ),
    );
  if (table.personColumn !== null && (features.includes(table.personColumn) || learned === table.personColumn))
    findings.push(
      refusal(
        'person-is-feature',
        `The column "${table.personColumn}" names persons, so nothing may be learned from it.`,
        'Remove it from features and label.',
      ),
    );
  return findings;
}

function featureFindings(feature: FeatureSpec): Finding[] {
  const findings: Finding[] = [];
  if (feature.kind === 'text') return findings;
  const { column, whenMissing } = feature;
  const standIn = 'value' in whenMissing ? whenMissing.value : undefined;
  if (feature.kind === 'number') {
    if (!(feature.least < feature.most))
      findings.push(
        refusal('range-empty', `The range of "${column}" is empty.`, 'Let its least value be below its most.'),
      );
    if (standIn !== undefined && !(typeof standIn === 'number' && standIn >= feature.least && standIn <= feature.most))
      findings.push(
        refusal(
          'stand-in-outside',
          `What stands in for a missing "${column}" is no number within its range.`,
          'Choose a number within the range.',
        ),
      );
    return findings;
  }
  for (const category of repeated(feature.categories.map(asCategory)))
    findings.push(
      refusal(
        'category-repeated',
        `The category "${category}" of "${column}" is listed twice (numbers are compared as numbers).`,
        'List each category once.',
      ),
    );
  if (standIn !== undefined && !feature.categories.map(asCategory).includes(asCategory(String(standIn))))
    findings.push(
      refusal(
        'stand-in-outside',
        `What stands in for a missing "${column}" is none of its categories.`,
        'Choose one of the categories.',
      ),
    );
  return findings;
}

function labelFindings(kind: ContractDraft['task']['kind'], { label }: TableSpec): Finding[] {
  const findings: Finding[] = [];
  if ((kind === 'tabular-regression') !== (label.kind === 'number'))
    findings.push(
      refusal(
        'label-and-task',
        `A label of the kind "${label.kind}" does not go with the task "${kind}".`,
        'Regression predicts a number; classification a yes or no, or classes.',
      ),
    );
  if (label.kind === 'number' && !(label.least < label.most))
    findings.push(
      refusal('range-empty', `The range of "${label.column}" is empty.`, 'Let its least value be below its most.'),
    );
  if (label.kind === 'classes')
    for (const one of repeated(label.classes.map(asCategory)))
      findings.push(
        refusal(
          'category-repeated',
          `The class "${one}" of "${label.column}" is listed twice.`,
          'List each class once.',
        ),
      );
  if (label.kind === 'binary' && typeof label.value === 'string' && !['=', '!='].includes(label.comparison))
    findings.push(
      warning(
        'label-compares-text',
        `The label asks whether "${label.column}" is ${label.comparison} a text, which orders by characters.`,
        'Compare with a number, or ask for equality.',
      ),
    );
  return findings;
}

/** "1" is "1.0" where both are numbers (design 5). */
function asCategory(text: string): string {
  const trimmed = text.trim();
  const value = trimmed === '' ? Number.NaN : Number(trimmed);
  return Number.isFinite(value) ? String(value) : trimmed;
}

function repeated(names: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  return names.filter((name) => seen.size === seen.add(name).size);
}

/** A piece of a text must fit before the model. */
function contextFindings({ table, model }: ContractDraft['task']): Finding[] {
  if (model.kind !== 'adapted-checkpoint') return [];
  const { context } = model.checkpoint.configuration;
  const longest = Math.max(...table.features.map((one) => (one.kind === 'text' ? one.tokens : 0)));
  if (longest <= context) return [];
  return [
    refusal(
      'text-too-long',
      `The study reads pieces of ${longest} tokens, but its model reads ${context} at most.`,
      `Set the tokens to ${context} or fewer, and more pieces instead.`,
    ),
  ];
}

function sourceFindings({ model }: ContractDraft['task']): Finding[] {
  if (model.kind !== 'adapted-checkpoint' || model.checkpoint.source !== undefined) return [];
  return [
    warning(
      'checkpoint-source-missing',
      'Every institution brings the language model itself, and the terms do not say where to get it.',
      'State its name and revision, or a place, as the source of the checkpoint.',
    ),
  ];
}
