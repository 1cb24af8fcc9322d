// What a steward has prepared for a study and not agreed to yet: file, name and mapping, and the newest own-site
// measurement. Kept beside the invitation, readable by this account alone; no cell of the records is in it.

import { join } from 'node:path';
import { z } from 'zod';
import type { OutputOf } from '../../../app/bridge.ts';
import { baseline, dataCalls } from '../../../app/bridge/data.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { invitationPaths, readTextIfThere } from '../participant/home.ts';

const draftSchema = dataCalls['data.keep'].input.omit({ study: true });
export type Draft = z.infer<typeof draftSchema>;
export type Baseline = OutputOf<'study.baseline'>;

const draftPath = (home: string, study: string): string => join(invitationPaths(home, study).folder, 'draft.json');
const baselinePath = (home: string, study: string): string =>
  join(invitationPaths(home, study).folder, 'baseline.json');

export const keepDraft = (home: string, study: string, draft: Draft): Promise<void> =>
  writeFileAtomically(draftPath(home, study), `${JSON.stringify(draft)}\n`);

export const keepBaseline = (home: string, study: string, measured: Baseline): Promise<void> =>
  writeFileAtomically(baselinePath(home, study), `${JSON.stringify(measured)}\n`);

export const readDraft = (home: string, study: string): Promise<Draft | null> =>
  readAs(draftPath(home, study), draftSchema);

export const readBaseline = (home: string, study: string): Promise<Baseline | null> =>
  readAs(baselinePath(home, study), baseline);

/** Both are conveniences: one that cannot be read is as good as none. */
async function readAs<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.infer<Schema> | null> {
  const text = await readTextIfThere(path);
  if (text === null) return null;
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
