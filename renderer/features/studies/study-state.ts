// Which studies wait for a person: one rule for the count in the navigation, the pill on top and the cards on Today.

import type { OutputOf } from '../../../app/bridge.ts';

type Study = OutputOf<'study.list'>[number];

export const needsSomebody = ({ state }: Study): boolean => ['decide', 'stopped', 'asks', 'spent'].includes(state);

/** Where a consent can be given, for the first time or again. */
export const takesConsent = ({ state }: Study): boolean => ['decide', 'stopped', 'spent'].includes(state);
