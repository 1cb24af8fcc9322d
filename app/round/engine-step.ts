// The steps of one round, as the engine takes them: which list is due at which stage of the coordinator, what it is decoded
// with, and what is on disk before the next bytes leave. Design 3, stages R0–R4.

import { RefusalError } from '../errors.ts';
import { worstCaseEvent } from './charge.ts';
import { stageOrder } from './coordinator-state.ts';
import type { CoordinatorStage } from './coordinator-state.ts';
import type { EngineEvent } from './engine.ts';
import type { CoordinatorPort, LedgerPort, SealerPort, TrainerPort } from './engine-ports.ts';
import { decodeBroadcast } from './lists.ts';
import type { ModelChain } from './model-chain.ts';
import {
  receiveCohort,
  receiveReveals,
  receiveShares,
  receiveSurvivors,
  receiveTranscript,
  sealVector,
  sealVectorBy,
} from './participant.ts';
import type { Participant } from './participant.ts';
import type { RoundState, StudyMemory } from './participant-state.ts';

export type StepSurroundings = {
  readonly participant: Participant;
  readonly coordinator: CoordinatorPort;
  readonly ledger: LedgerPort;
  readonly trainer: TrainerPort;
  readonly sealer?: SealerPort;
  readonly memory: () => StudyMemory;
  readonly model: () => ModelChain;
  /** Resolves when it is on disk. `before`: what stood before a newest sum is needed no more, now that a list confirms it. */
  readonly save: (changes: {
    readonly memory?: StudyMemory;
    readonly round: RoundState;
    readonly chunks?: readonly Uint8Array[];
    readonly before?: null;
  }) => Promise<void>;
  readonly settle: (state: RoundState) => Promise<void>;
  /** With regions: adds up what it can see of the opened sum, and says so. */
  readonly vouch: (state: RoundState) => Promise<RoundState>;
  readonly onEvent: (event: EngineEvent) => void;
};

/** −1 of an aborted round: nothing has passed then. */
const placeOf = (stage: CoordinatorStage): number => (stage === 'aborted' ? -1 : stageOrder.indexOf(stage));
const isPast = (stage: CoordinatorStage, ended: CoordinatorStage): boolean => placeOf(stage) > placeOf(ended);

/** One step of the round, if the coordinator's stage allows it. @returns the new state, null when nothing is due. */
export type RoundStep = (state: RoundState, stage: CoordinatorStage) => Promise<RoundState | null>;

export function roundSteps(around: StepSurroundings): RoundStep {
  const { participant, coordinator, ledger, trainer, sealer } = around;

  async function needed(number: number, stage: 0 | 1 | 2 | 3 | 5): Promise<Uint8Array> {
    const bytes = await coordinator.broadcast(number, stage);
    if (bytes === null)
      throw new RefusalError(
        'broadcast-gone',
        'The coordinator no longer has a list of this round; the round is left.',
      );
    return bytes;
  }

  async function step(state: RoundState, stage: CoordinatorStage): Promise<RoundState | null> {
    const number = state.round;
    if (state.stage === 'ready' && isPast(stage, 'ready')) {
      const { body } = state.ready;
      const own = { round: number, contract: body.contract, config: body.config, model: body.model };
      const list = decodeBroadcast(await needed(number, 0), 128, 0, own);
      const next = receiveCohort(participant, around.memory(), state, list);
      await around.save({ memory: next.memory, round: next.state, before: null });
      return next.state;
    }
    if (state.stage === 'revealed' && isPast(stage, 'reveals')) {
      const own = { u1: state.u1!.hash, u1Signature: state.u1!.signature };
      const next = receiveReveals(participant, state, decodeBroadcast(await needed(number, 5), 133, 5, own));
      await around.save({ round: next.state });
      return next.state;
    }
    if (state.stage === 'shares' && isPast(stage, 'shares')) {
      const { ring } = state.shares!.body;
      const own = { u1: state.u1!.hash, u1Signature: state.u1!.signature, ...(ring === undefined ? {} : { ring }) };
      const list = decodeBroadcast(await needed(number, 1), 129, 1, own);
      const next = receiveShares(participant, state, list, await coordinator.boxes(number));
      await around.save({ round: next.state });
      return next.state;
    }
    // Once the stage is over nothing that is sealed can be used any more, so nothing is sealed or charged.
    if (state.stage === 'opened' && !isPast(stage, 'masked')) {
      const { parameters, terms, subset } = around.model();
      const trained = await trainer.vector(number, parameters, terms, subset);
      if (!trained.trained)
        around.onEvent({
          kind: 'untrained',
          round: number,
          reason: trained.reason ?? 'the training process gave no reason',
        });
      const why = ledger.whyNot(worstCaseEvent(around.model().terms)) ?? (await trainer.whyNot?.()) ?? null;
      if (why !== null) throw new RefusalError(why.code, why.sentence);
      const next =
        sealer === undefined
          ? sealVector(participant, state, trained.words)
          : await sealVectorBy(sealer.mask, participant, state, trained.words);
      trained.words.fill(0);
      await around.save({ round: next.state, chunks: next.chunks });
      return next.state;
    }
    const own = { u1: state.u1?.hash ?? '', u2: state.u2?.hash ?? '' };
    if (state.stage === 'masked' && isPast(stage, 'masked')) {
      const next = receiveSurvivors(participant, state, decodeBroadcast(await needed(number, 2), 130, 2, own));
      await around.save({ round: next.state });
      return next.state;
    }
    if (state.stage === 'consistency' && isPast(stage, 'consistency')) {
      const statement = state.u3!.statement;
      const list = decodeBroadcast(await needed(number, 3), 131, 3, { ...own, statement });
      const next = receiveTranscript(participant, state, list);
      await around.save({ round: next.state });
      await around.settle(next.state);
      return next.state;
    }
    if (state.stage === 'unmask' && stage === 'vouching') return around.vouch(state);
    return null;
  }

  return step;
}
