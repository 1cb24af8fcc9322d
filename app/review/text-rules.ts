// Rules about words: what only the lead knows must have been written before anybody agrees to it; `study new` leaves marks
// in its drafts for that. Design 1, journey 7.

import type { ContractDraft } from '../study/contract.ts';
import { refusal } from './finding.ts';
import type { Finding } from './finding.ts';

const opening = '[to be stated:';

/** The mark that stands in a new draft where the lead has to write. */
export const placeholder = (what: string): string => `${opening} ${what}]`;

export const hasPlaceholder = (text: string): boolean => text.includes(opening);

export function textFindings({ lead, coordinator, references, ...contract }: ContractDraft): Finding[] {
  const { model } = contract.task;
  const texts: readonly (readonly [where: string, text: string])[] = [
    ['title', contract.title],
    ['purpose', contract.purpose],
    ['lawful basis', contract.lawfulBasis],
    ['ethics reference', references.ethics],
    ['DPIA reference', references.dpia],
    ['retention', contract.retention],
    ['lead’s organisation', lead.organisation],
    ['coordinator’s operator', coordinator.operator],
    ...(model.kind === 'adapted-checkpoint' && model.checkpoint.source !== undefined
      ? ([['source of the language model', model.checkpoint.source]] as const)
      : []),
  ];
  return texts
    .filter(([, text]) => hasPlaceholder(text))
    .map(([where]) =>
      refusal('placeholder-left', `The contract does not state its ${where} yet.`, 'Write it in the draft.'),
    );
}
