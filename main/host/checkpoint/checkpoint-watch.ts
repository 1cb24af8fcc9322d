// Whether the checkpoint that a study trains beside still is what the contract pins. A run lasts weeks; a folder that changed
// meanwhile would be refused by each new trainer, and round after round would be charged for noise alone. So it is looked at
// before each round and before each charge, and while it differs the institution stands aside. Design 5.

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ConsilienceError, RefusalError } from '../../../app/errors.ts';
import { isLanguageTask } from '../../../app/training/types.ts';
import type { TrainingTask } from '../../../app/training/types.ts';
import { checkpointFiles, checkpointParts, hashOfParts } from './checkpoint-folder.ts';
import type { CheckpointPart } from './checkpoint-folder.ts';

/** Why no round may begin, in a code and a sentence; null where the folder is the one that the contract pins. */
export type CheckpointWatch = () => Promise<{ readonly code: string; readonly sentence: string } | null>;

/** Every byte is hashed again where a file's size, times or place changed; otherwise a look costs a few calls of stat. */
export function checkpointWatch(task: TrainingTask, folder: string | null): CheckpointWatch {
  if (folder === null || !isLanguageTask(task)) return () => Promise.resolve(null);
  const { hash } = task.model.checkpoint;
  let right: { readonly print: string; readonly parts: readonly CheckpointPart[] } | null = null;
  return async () => {
    try {
      const print = await printOf(folder);
      if (print !== null && print === right?.print) return null;
      const parts = await checkpointParts(folder);
      if (hashOfParts(parts) === hash) {
        // A file that changed while it was hashed is hashed again at the next look.
        right = { print: print ?? '', parts };
        return null;
      }
      throw new RefusalError(
        'checkpoint-changed',
        `The language model in ${folder} is no longer the one that the study terms name: ${changedSince(right?.parts ?? [], parts).join(', ')} changed.`,
      );
    } catch (error) {
      if (!(error instanceof ConsilienceError)) throw error;
      return {
        code: 'checkpoint-changed',
        sentence: `${error.message} Put the files back as they were: until then no round begins here and nothing is used, and then the study goes on by itself.`,
      };
    }
  };
}

/** Names of what differs; everything where nothing is known of before. */
function changedSince(before: readonly CheckpointPart[], now: readonly CheckpointPart[]): string[] {
  const known = new Map(before.map(({ name, sha256 }) => [name, sha256]));
  const gone = before.map(({ name }) => name).filter((name) => !now.some((one) => one.name === name));
  return [...now.filter(({ name, sha256 }) => known.get(name) !== sha256).map(({ name }) => name), ...gone];
}

/** null where a file cannot be looked at: hashing then says what is wrong. */
async function printOf(folder: string): Promise<string | null> {
  try {
    const seen = (await checkpointFiles(folder)).map(async (name) => {
      const { size, mtimeMs, ctimeMs, ino } = await stat(join(folder, name));
      return [name, size, mtimeMs, ctimeMs, ino];
    });
    return JSON.stringify(await Promise.all(seen));
  } catch {
    return null;
  }
}
