// Where the small real model and the clinical notes lie, and why a test cannot run without them.

import { existsSync } from 'node:fs';
import path from 'node:path';

const shared = path.resolve(import.meta.dirname, '../../../../shared');
export const storiesFolder = path.join(shared, 'models/stories260K');
export const notesFolder = path.join(shared, 'data/mts-dialog');

export const storiesMissing: false | string = existsSync(storiesFolder)
  ? false
  : 'the small model (../shared/models/stories260K) is not on this machine';
export const notesMissing: false | string =
  storiesMissing ||
  (existsSync(notesFolder) ? false : 'the clinical notes (../shared/data/mts-dialog) are not on this machine');
