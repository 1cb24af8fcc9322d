// What a language task of a contract is in numbers: the layout of its flat vector and the shape of its texts.

import { InputError } from '../../errors.ts';
import type { LanguageTask } from '../types.ts';
import { adapterLayout } from './adapter.ts';
import type { AdapterLayout } from './adapter.ts';
import type { Objective } from './clipped-sum.ts';
import type { TextShape } from './sequences.ts';

/** @throws InputError `target-unknown`. */
export function languageLayout({ kind, table, model }: LanguageTask): AdapterLayout {
  const classes = kind === 'text-classification' && table.label.kind === 'classes' ? table.label.classes.length : null;
  return adapterLayout(model.checkpoint.configuration, model.adapter, classes);
}

/** @throws InputError `text-missing` where the table has no text, `text-too-long` where a piece exceeds the context. */
export function textShape({ table, model }: LanguageTask): TextShape {
  const feature = table.features[0];
  if (feature?.kind !== 'text' || table.features.length !== 1)
    throw new InputError('text-missing', 'A language task reads exactly one column of text.');
  const { context } = model.checkpoint.configuration;
  if (feature.tokens > context)
    throw new InputError(
      'text-too-long',
      `The study reads pieces of ${feature.tokens} tokens; its model reads ${context} at most.`,
    );
  return feature;
}

export const objectiveOf = ({ kind }: LanguageTask): Objective => (kind === 'causal-lm' ? 'next-token' : 'class');
