// The checkpoint that a study's task trains beside, on the machine of an institution: held to the hash that the contract
// pins before anything is signed or sent. Its weights are read by the trainer alone (main/trainer/language.ts). Design 5.

import { InputError } from '../../../app/errors.ts';
import type { Tokenise } from '../../../app/training/encoder.ts';
import { isLanguageTask } from '../../../app/training/types.ts';
import type { TrainingTask } from '../../../app/training/types.ts';
import { openCheckpoint, requireCheckpoint } from './checkpoint-folder.ts';

/**
 * @param folder in Hugging Face layout; null: none was named
 * @throws InputError `checkpoint-missing`, `checkpoint-unwanted`; RefusalError `checkpoint-differs`; those of openCheckpoint.
 */
export async function requireTaskCheckpoint(task: TrainingTask, folder: string | null): Promise<void> {
  if (!isLanguageTask(task)) {
    if (folder === null) return;
    throw new InputError(
      'checkpoint-unwanted',
      'This study trains on tables and uses no checkpoint. Leave --checkpoint out.',
    );
  }
  const { hash, source } = task.model.checkpoint;
  if (folder === null && source !== undefined)
    throw new InputError(
      'checkpoint-missing',
      `This study adapts a language model, which every institution brings itself: the folder whose hash is ${hash}. The lead says where to get it: "${source}". Name the folder with --checkpoint DIR; "consilience model inspect DIR" shows its hash.`,
    );
  if (folder === null)
    throw new InputError(
      'checkpoint-missing',
      `This study adapts a language model, which every institution brings itself: the folder whose hash is ${hash}. Get it from where the lead says, and name it with --checkpoint DIR; "consilience model inspect DIR" shows its hash.`,
    );
  await requireCheckpoint(folder, hash);
}

/** How the task's texts become token ids; null for tables. @throws as requireTaskCheckpoint. */
export async function taskTokeniser(task: TrainingTask, folder: string | null): Promise<Tokenise | null> {
  await requireTaskCheckpoint(task, folder);
  return folder === null ? null : tokeniserIn(folder);
}

/** The folder's tokenizer, whatever its weights are. @throws those of openCheckpoint. */
export async function tokeniserIn(folder: string): Promise<Tokenise> {
  const checkpoint = await openCheckpoint(folder);
  await checkpoint.close();
  const { tokenizer } = checkpoint;
  return (text, tokens, pieces) => tokenizer.pieces(text, tokens, pieces);
}
