// How long a stage waits: never longer than the contract says, and, where the contract sets a pace, only as long as the
// others' measured progress makes it reasonable. Once enough are done the rest get as long as these took, times the
// contract's patience. So a slow institution is left out of a round and does not hold it. Design 6.

import type { CoordinatorRound } from './coordinator-state.ts';
import type { StudyParameters } from './parameters.ts';

/** R0b takes a message of a hundred bytes, the word on a region's sum a download; a contract names no time for them. */
const secondsOf = {
  ready: 'ready',
  reveals: 'shares',
  shares: 'shares',
  masked: 'masked',
  consistency: 'consistency',
  unmask: 'unmask',
  vouching: 'unmask',
} as const;

/** The contract's longest wait of a stage, ms; null for stages that wait for nobody. */
export function longestWait({ contract }: StudyParameters, stage: CoordinatorRound['stage']): number | null {
  if (stage === 'opening' || stage === 'closed' || stage === 'aborted') return null;
  return 1000 * contract.schedule.stageSeconds[secondsOf[stage]];
}

/** How many have done what the stage is for; null where its pace is not measured. */
function doneIn(state: CoordinatorRound): number | null {
  if (state.stage === 'ready') return state.readies.size;
  if (state.stage === 'shares') return state.shares.size;
  if (state.stage === 'masked') return [...state.masked.values()].filter(({ complete }) => complete).length;
  if (state.stage === 'consistency') return state.consistency.size;
  return null;
}

/** The deadline drawn nearer, at the moment at which enough are done; else the state as it is. */
export function paced(
  parameters: StudyParameters,
  before: CoordinatorRound,
  state: CoordinatorRound,
  now: number,
): CoordinatorRound {
  const { pace } = parameters.contract.schedule;
  if (pace === undefined || state.since === null || state.deadline === null) return state;
  const done = doneIn(state);
  const had = before.stage === state.stage ? (doneIn(before) ?? 0) : 0;
  // Of a complaint the dealer has the whole time to answer.
  if (done === null || done < pace.enough || had >= pace.enough || state.complaints.length > 0) return state;
  const wait = Math.max(pace.patience * (now - state.since), 1000 * pace.leastSeconds);
  return { ...state, deadline: Math.min(state.deadline, state.since + wait) };
}

/** A complaint gives the stage its whole time again. */
export function withWholeTime(parameters: StudyParameters, state: CoordinatorRound): CoordinatorRound {
  const longest = longestWait(parameters, state.stage);
  if (state.since === null || longest === null) return state;
  return { ...state, deadline: state.since + longest };
}
