// A language task's checkpoint, opened for training: held to the hash and the configuration that the contract pins, brought
// to the current backend, with the tokenizer by which the task's texts are read.

import { canonicalJson } from '../../app/encoding/canonical-json.ts';
import { InputError, RefusalError } from '../../app/errors.ts';
import type { Tokenise } from '../../app/training/encoder.ts';
import { frozenDowns } from '../../app/training/language/adapter.ts';
import type { AdaptedLanguage } from '../../app/training/language/evaluate.ts';
import { loadLanguageModel } from '../../app/training/language/model.ts';
import { languageLayout, textShape } from '../../app/training/language/task.ts';
import type { LanguageTask } from '../../app/training/types.ts';
import { openCheckpoint, requireCheckpoint } from '../host/checkpoint/checkpoint-folder.ts';

export type OpenedLanguage = AdaptedLanguage & { readonly tokenise: Tokenise };

/**
 * @throws InputError `checkpoint-missing`; RefusalError `checkpoint-differs`; and those of openCheckpoint. Choose the
 * backend first.
 */
export async function openLanguage(task: LanguageTask, folder: string | null): Promise<OpenedLanguage> {
  if (folder === null)
    throw new InputError(
      'checkpoint-missing',
      'The study trains beside a checkpoint. Name its folder with --checkpoint DIR.',
    );
  const { hash, configuration } = task.model.checkpoint;
  await requireCheckpoint(folder, hash);
  const checkpoint = await openCheckpoint(folder);
  try {
    if (canonicalJson(checkpoint.configuration) !== canonicalJson(configuration))
      throw new RefusalError(
        'checkpoint-differs',
        'The study terms describe another architecture than the config.json whose hash they pin. Ask the lead to mend them.',
      );
    const layout = languageLayout(task);
    const { tokenizer } = checkpoint;
    return {
      task,
      layout,
      shape: textShape(task),
      downs: frozenDowns(layout),
      model: await loadLanguageModel(configuration, checkpoint, { training: true }),
      tokenise: (text, tokens, pieces) => tokenizer.pieces(text, tokens, pieces),
    };
  } finally {
    await checkpoint.close();
  }
}
