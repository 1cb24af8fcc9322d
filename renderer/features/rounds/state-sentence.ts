// One sentence about where the study stands, for the pill on top and for the Rounds screen. Design 9, "Frame".

import type { OutputOf } from '../../../app/bridge.ts';
import type { Words } from '../../ui/words.tsx';

export type RoundNow = OutputOf<'round.list'>['now'][number];
export type State = { readonly tone: 'quiet' | 'decision' | 'broken'; readonly sentence: string };

/** The six stages of the rail, and how many of them a participant's stage has reached. */
export const railStages = ['ready', 'shared', 'sealed', 'agreed', 'opened', 'applied'] as const;
const reached: { readonly [stage: string]: number } = {
  ready: 1,
  shares: 2,
  opened: 2,
  masked: 3,
  consistency: 4,
  unmask: 5,
};

/** Stages behind us of the round now; all six between two rounds. */
export function stagesReached(now: RoundNow): number {
  if (now.stage === null) return now.closed === 0 ? 0 : railStages.length;
  return reached[now.stage] ?? 0;
}

export function stateOf({ say, sayKnown }: Words, now: RoundNow | null, decisions: number): State {
  if (decisions > 0) return { tone: 'decision', sentence: say('state.decisions', { count: decisions }) };
  if (now === null) return { tone: 'quiet', sentence: say('state.nothing') };
  if (now.doing === 'unreachable') return { tone: 'quiet', sentence: say('state.unreachable') };
  if (now.doing === 'finished') return { tone: 'quiet', sentence: say('state.finished', { closed: now.closed }) };
  if (now.doing === 'withdrawn') return { tone: 'quiet', sentence: say('state.withdrawn') };
  if (now.doing === 'refused') return { tone: 'broken', sentence: say('state.refused') };
  if (!now.running) return { tone: 'quiet', sentence: say('state.paused', { closed: now.closed }) };
  if (now.stage === null || now.round === null)
    return { tone: 'quiet', sentence: say('state.waiting', { closed: now.closed, planned: now.planned }) };
  const stage = sayKnown('stage', now.stage) ?? now.stage;
  return { tone: 'quiet', sentence: say('state.round', { round: now.round, stage }) };
}
