// What a participant says when a check fails: the round is left, and what was sealed stays sealed.

import { RefusalError } from '../errors.ts';

export function refuse(code: string, sentence: string): RefusalError {
  return new RefusalError(code, `${sentence} This round is left; nothing unsealed was sent.`);
}
