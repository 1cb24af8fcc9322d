// `model personalise`: an exported text classifier with a head of one institution's own, fitted to its texts without noise
// after the study is over. The result stays here: its card is "not released" and says why. Design 5, "local head".

import { InputError } from '../../../app/errors.ts';
import { evaluateLanguage } from '../../../app/training/language/evaluate.ts';
import { fitLocalHead } from '../../../app/training/language/local-head.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { heldOut } from '../../../app/training/own-site.ts';
import { requireAccepted } from '../../../app/training/records.ts';
import type { Records } from '../../../app/training/records.ts';
import { isLanguageTask } from '../../../app/training/types.ts';
import { chooseBackend } from '../../trainer/candidates.ts';
import { openLanguage } from '../../trainer/language.ts';
import { requireTaskCheckpoint } from '../checkpoint/task-checkpoint.ts';
import { readTable } from '../import/read-table.ts';
import { openModelFolder, writePersonalModel } from './folder.ts';

export type Personalised = {
  /** Rows that the head was fitted to, and rows that measured it. */
  readonly fitted: number;
  readonly tested: number;
  /** On rows that the fit did not see (every fifth row or person), by this machine alone; null where there are none. */
  readonly accuracy: { readonly shared: number; readonly own: number } | null;
};

const warning =
  'Not to be given away: its classification head was fitted to this institution’s own texts without noise, so nothing bounds what it tells about them.';

/** @throws InputError `head-missing`, those of readTable and openModelFolder; RefusalError `checkpoint-differs`. */
export async function personaliseModel(options: {
  readonly model: string;
  readonly data: string;
  readonly mapping: Mapping | null;
  readonly checkpoint: string | null;
  readonly out: string;
}): Promise<Personalised> {
  const opened = await openModelFolder(options.model);
  const { task, parameters } = opened;
  if (!isLanguageTask(task) || task.kind !== 'text-classification')
    throw new InputError(
      'head-missing',
      'Only a model that sorts texts into classes has a head that can be fitted. Use the model as it is.',
    );
  await requireTaskCheckpoint(task, options.checkpoint);
  await chooseBackend();
  const language = await openLanguage(task, options.checkpoint);
  try {
    const { mapping } = options;
    const reading = { labels: true, mapping, tokenise: language.tokenise };
    const all = requireAccepted(await readTable(options.data, task.table, reading));
    const { training, test } = heldOut(all);
    const accuracyOf = async (of: Float32Array, records: Records): Promise<number> => {
      const metrics = await evaluateLanguage(language, of, records);
      return metrics.kind === 'text-classification' ? metrics.accuracy : NaN;
    };
    const fitted = await fitLocalHead(language, parameters, training);
    const accuracy =
      test.rows === 0 ? null : { shared: await accuracyOf(parameters, test), own: await accuracyOf(fitted, test) };
    await writePersonalModel(opened, options.out, { parameters: fitted, warning });
    return { fitted: training.rows, tested: test.rows, accuracy };
  } finally {
    language.model.dispose();
  }
}
