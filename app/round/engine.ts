// The participant's engine: takes one institution through a study. Given what the coordinator says is going on, it does
// what is due, in the one order that loses nothing: state to disk, charge to the ledger, then bytes to the wire. After
// a crash it re-sends what the disk holds and goes on. Design 3 (stages, catching up) and 4 ("Charge before release").

import { fromHex, fromUtf8, toHex } from '../encoding/bytes.ts';
import { merkleRoot } from '../encoding/merkle.ts';
import { canonicalBytes } from '../encoding/canonical-json.ts';
import { InputError, InvariantError, RefusalError } from '../errors.ts';
import type { Store } from '../ports.ts';
import { chunkCount, chunkRange } from '../sealed-sum/masks.ts';
import { vectorLeafHash } from '../sealed-sum/vector-root.ts';
import { acceptMissedRound } from './catch-up.ts';
import { realisedHonestShares, roundEvent, worstCaseEvent } from './charge.ts';
import { EquivocationError } from './checks.ts';
import type { CoordinatorPort, LedgerPort, SealerPort, StudyStatus, TrainerPort } from './engine-ports.ts';
import { roundSteps } from './engine-step.ts';
import { decodeBroadcast } from './lists.ts';
import { decodeMessage, expectStage } from './messages.ts';
import type { AnyMessage, Message } from './messages.ts';
import type { ModelChain } from './model-chain.ts';
import { contextOf, isAsked } from './parameters.ts';
import { answerComplaint, leaveRound, signClosingReady, signReady, vouchFor } from './participant.ts';
import type { Participant } from './participant.ts';
import { firstMemory } from './participant-state.ts';
import type { ClosedRound, RoundState, StudyMemory } from './participant-state.ts';
import { checkVouches, decodeRegionSums, isAgainstRelay, readdRegions, regionOf, sumVouchedFor } from './regions.ts';
import { checkResult, readdSum } from './result.ts';

export type EngineSurroundings = {
  readonly participant: Participant;
  readonly coordinator: CoordinatorPort;
  readonly ledger: LedgerPort;
  readonly trainer: TrainerPort;
  /** Where vectors are masked; without it in this thread. */
  readonly sealer?: SealerPort;
  readonly store: Store;
  readonly firstModel: ModelChain;
  /** Rebuilds a model chain from its own `encode()`. */
  readonly decodeModel: (bytes: Uint8Array) => ModelChain;
  /**
   * Asks whether the lead changed the coordinator's key and takes that up, checked and on disk; whether anything was new.
   * @throws UnavailableError where the coordinator cannot be reached.
   */
  readonly newCoordinatorKey?: () => Promise<boolean>;
  /** Told what happens, for progress and logs; holds no content. */
  readonly onEvent: (event: EngineEvent) => void;
};

export type EngineEvent =
  | { readonly kind: 'stage'; readonly round: number; readonly stage: string }
  | { readonly kind: 'caught-up'; readonly round: number }
  | { readonly kind: 'untrained'; readonly round: number; readonly reason: string }
  | { readonly kind: 'closed'; readonly round: number; readonly cohort: number; readonly spoiled: boolean }
  | { readonly kind: 'left'; readonly round: number; readonly code: string; readonly sentence: string }
  | { readonly kind: 'waiting'; readonly code: string; readonly sentence: string }
  | { readonly kind: 'finished'; readonly outcome: string };

export type Engine = {
  /** Does all that is due. @returns whether the study is over for this participant. */
  advance(status: StudyStatus): Promise<'going-on' | 'finished'>;
  readonly memory: () => StudyMemory;
  readonly round: () => RoundState | null;
  readonly model: () => ModelChain;
};

/** A check refused, or the bytes that came are not the protocol's: either way the round is left. */
const isRefusal = (error: unknown): error is RefusalError | InputError =>
  error instanceof RefusalError || error instanceof InputError;

/** Refusals by which a list, or the coordinator itself, contradicts a sum that was taken over. */
const contradicts: ReadonlySet<string> = new Set(['last-sum-differs', 'model-differs', 'sum-not-confirmed']);

/** How a coordinator says that what came is not needed any more. */
const tooLate: ReadonlySet<string> = new Set(['stage-over', 'no-round-open', 'old-round']);

/** What a participant remembers of a model: its hash, and what it decides about the next round. */
const pinned = ({ hash, adaptation }: ModelChain): Pick<StudyMemory, 'model' | 'adaptation'> =>
  adaptation === null ? { model: hash } : { model: hash, adaptation };

/** Opens the engine on what its store holds; a fresh store begins the study. */
export async function openEngine(around: EngineSurroundings): Promise<Engine> {
  const { participant, coordinator, ledger, trainer, sealer, store, onEvent } = around;
  const { machine, parameters } = participant;
  const { contract } = parameters;

  const readJson = async <T>(key: string): Promise<T | null> => {
    const bytes = await store.read(key);
    if (bytes === null) return null;
    const value = JSON.parse(fromUtf8(bytes)) as T;
    bytes.fill(0);
    return value;
  };
  const modelBytes = await store.read('model');
  let model = modelBytes === null ? around.firstModel : around.decodeModel(modelBytes);
  let memory = (await readJson<StudyMemory>('memory')) ?? firstMemory(around.firstModel.hash);
  let round = await readJson<RoundState | null>('round');
  if (memory.model !== model.hash)
    throw new InvariantError('model-not-pinned', 'The stored model is not the one that was pinned.');
  /** What went out since this process began; everything else on disk is re-sent once. */
  const sent = new Set<string>();
  let closing = await readJson<Message<0> | null>('closing');
  let closingSent = false;
  /** Where this institution stood before a newest sum that only the coordinator's word stands for. */
  type Before = { readonly last: ClosedRound; readonly model: ModelChain };
  const lastBefore = await readJson<ClosedRound>('before-newest');
  const modelBefore = await store.read('model-before');
  let before: Before | null =
    lastBefore === null || modelBefore === null ? null : { last: lastBefore, model: around.decodeModel(modelBefore) };

  type Changes = {
    memory?: StudyMemory;
    round?: RoundState | null;
    model?: ModelChain;
    chunks?: readonly Uint8Array[];
    closing?: Message<0>;
    before?: Before | null;
  };
  async function save(changes: Changes): Promise<void> {
    const writes: { key: string; value: Uint8Array | null }[] = [];
    if (changes.memory !== undefined) writes.push({ key: 'memory', value: canonicalBytes(changes.memory) });
    if (changes.round !== undefined) writes.push({ key: 'round', value: canonicalBytes(changes.round) });
    if (changes.model !== undefined) writes.push({ key: 'model', value: changes.model.encode() });
    if (changes.closing !== undefined) writes.push({ key: 'closing', value: canonicalBytes(changes.closing) });
    if (changes.before !== undefined) {
      const kept = changes.before;
      writes.push({ key: 'before-newest', value: kept === null ? null : canonicalBytes(kept.last) });
      writes.push({ key: 'model-before', value: kept === null ? null : kept.model.encode() });
    }
    changes.chunks?.forEach((value, chunk) => writes.push({ key: `masked/${chunk}`, value }));
    await store.write(writes);
    // The store has sealed its own copy; this one held the round's secrets.
    for (const { key, value } of writes) if (key === 'round') value?.fill(0);
    memory = changes.memory ?? memory;
    if (changes.round !== undefined) round = changes.round;
    model = changes.model ?? model;
    closing = changes.closing ?? closing;
    if (changes.before !== undefined) before = changes.before;
  }

  async function sendOnce(message: AnyMessage, send: () => Promise<void>): Promise<void> {
    const key = `${message.round}/${message.stage}/${message.signature}`;
    if (sent.has(key)) return;
    try {
      await send();
    } catch (error) {
      // Stage or round ended without this message: the signed lists will show where this participant stands.
      if (!(error instanceof RefusalError && tooLate.has(error.code))) throw error;
    }
    sent.add(key);
  }

  // ---- between rounds ----

  async function pin(
    changes: Changes,
    last: ClosedRound,
    survivors: readonly number[],
    sum: Uint32Array,
  ): Promise<void> {
    const applied = model.apply(survivors, sum);
    // The log first, which says a thing once: a crash before the pin brings the same sum, and the same words, again.
    await ledger.note('round-closed', {
      study: toHex(parameters.study),
      round: last.round,
      sum: last.sum,
      cohort: survivors,
      verified: last.verified,
      spoiled: applied.spoiled,
    });
    if (!applied.spoiled)
      await ledger.note('model-pinned', {
        study: toHex(parameters.study),
        round: last.round,
        model: applied.chain.hash,
      });
    // A round closed, so whatever graphs were drawn in vain before it count no more.
    const { redraws: _redraws, ...rest } = memory;
    await save({ ...changes, memory: { ...rest, last, ...pinned(applied.chain) }, model: applied.chain });
    onEvent({ kind: 'closed', round: last.round, cohort: survivors.length, spoiled: applied.spoiled });
  }

  /** Takes over every closed round that is not applied yet. */
  async function catchUp(status: StudyStatus, newestMayBeUnproven: boolean): Promise<void> {
    if (status.lastClosed.round <= memory.last.round) return;
    const records = await coordinator.closedAfter(memory.last.round);
    const newest = records.at(-1)?.round ?? memory.last.round;
    if (newest < status.lastClosed.round)
      throw new RefusalError(
        'closed-not-shown',
        `The coordinator says that round ${status.lastClosed.round} is closed, but shows nothing after round ${newest}. Nothing was signed.`,
      );
    for (const record of records) {
      if (record.round <= memory.last.round)
        throw new RefusalError('old-round', 'The coordinator shows closed rounds out of order; nothing was applied.');
      const chunks: Uint32Array[] = [];
      const sum = new Uint32Array(parameters.dimension);
      for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
        const { from, to } = chunkRange(parameters.dimension, chunk);
        const words = await coordinator.sumChunk(record.round, chunk);
        if (words.length !== to - from)
          throw new RefusalError('sum-off-hash', `The sum shown for round ${record.round} has the wrong size.`);
        chunks.push(words);
        sum.set(words, from);
      }
      const unproven = newestMayBeUnproven && record.round === newest;
      const last = acceptMissedRound(machine.cipher, parameters, record, unproven, chunks);
      await pin({ before: unproven ? { last: memory.last, model } : null }, last, record.survivors, sum);
      onEvent({ kind: 'caught-up', round: record.round });
    }
  }

  /** The coordinator or the list says otherwise now: the newest sum is put back, and asked for again. */
  async function putBack(): Promise<void> {
    if (before === null || memory.last.verified) return;
    const { last, model: chain } = before;
    await save({ memory: { ...memory, last, ...pinned(chain) }, model: chain, before: null });
  }

  /** Ends this participant's part in its round, whose number the coordinator has left behind. */
  async function finishRound(state: RoundState, status: StudyStatus): Promise<void> {
    const wiped = leaveRound(state);
    if (state.round <= status.lastClosed.round && state.round > memory.last.round) {
      const late = await lateSteps(state);
      const bytes = late.u3 === undefined ? null : await coordinator.broadcast(state.round, 4);
      if (bytes !== null && (await closeOwn({ ...late, u3: late.u3! }, wiped, bytes))) return;
    }
    const charged = ledger.isReserved(state.round);
    const relayLied = state.vouch?.body.agrees === false;
    await ledger.note('round-aborted', {
      study: toHex(parameters.study),
      round: state.round,
      stage: state.stage,
      charged,
      reason: relayLied
        ? 'region-sum-differs'
        : state.round <= status.lastClosed.round
          ? 'closed-without-this-institution'
          : 'no-sum',
    });
    await save({ round: wiped });
    onEvent({
      kind: 'left',
      round: state.round,
      code: relayLied ? 'region-sum-differs' : 'round-over',
      sentence: relayLied
        ? `The relay of region ${regionOf(parameters, state.index)!.name} signed a sum in round ${state.round} that is not the sum of its members’ contributions. Nothing of it was applied; ask the lead. The amount stays used.`
        : `Round ${state.round} ended without a sum that this institution could check. ${charged ? 'Its amount stays used.' : 'Nothing was used.'}`,
    });
  }

  /**
   * A contribution can be in the sum though its owner answered neither R3 nor R4: on return it reads the same lists, so
   * that it settles its charge and checks the sum like everybody else. What it would have sent is no longer needed.
   */
  async function lateSteps(state: RoundState): Promise<RoundState> {
    let late = state;
    if (late.stage === 'masked' && (await coordinator.broadcast(state.round, 2)) !== null)
      late = (await step(late, 'consistency')) ?? late;
    if (late.stage === 'consistency' && (await coordinator.broadcast(state.round, 3)) !== null)
      late = (await step(late, 'unmask')) ?? late;
    if (late.transcript !== undefined) await settleCharge(late);
    return late;
  }

  async function closeOwn(
    state: RoundState & Required<Pick<RoundState, 'u3'>>,
    wiped: RoundState,
    bytes: Uint8Array,
  ): Promise<boolean> {
    const result = expectStage(decodeMessage(bytes), 132);
    // Rounds closed meanwhile without this participant come first; a sum is applied in order only.
    const missed = (await coordinator.closedAfter(memory.last.round)).some((record) => record.round < state.round);
    if (missed) return false;
    if (parameters.regions.length > 0) {
      const list = await coordinator.broadcast(state.round, 6);
      if (list === null) return false;
      const own = { statement: state.u3.statement, sum: result.body.sum, agrees: true };
      checkVouches(machine.cipher, parameters, state, result.body.sum, decodeBroadcast(list, 134, 6, own));
    }
    const checked = state.vouch?.body.agrees === true && state.vouch.body.sum === result.body.sum;
    const sum = checked
      ? await sumVouchedFor(machine.cipher, parameters, state, result.body.sum, (chunk) =>
          coordinator.sumChunk(state.round, chunk),
        )
      : await addedUp(state, result);
    const survivors = state.u3.members.map((member) => member.index);
    const last = { round: state.round, sum: result.body.sum, verified: true };
    await pin({ round: wiped }, last, survivors, sum);
    return true;
  }

  async function keyIsNew(): Promise<boolean> {
    try {
      return (await around.newCoordinatorKey?.()) ?? false;
    } catch (error) {
      // A statement that the lead did not sign changes nothing.
      if (isRefusal(error)) return false;
      throw error;
    }
  }

  /**
   * Leaves the round because a check refused; what was charged stays charged. A list under a key that is new to this
   * institution is no reason: the coordinator came back under it after its status was read, and is asked again.
   */
  async function leave(state: RoundState, error: RefusalError | InputError): Promise<void> {
    if (error.code === 'coordinator-signature' && (await keyIsNew())) return;
    if (error instanceof EquivocationError)
      await store.write([{ key: 'equivocation', value: canonicalBytes(error.proof) }]);
    await ledger.note('round-aborted', {
      study: toHex(parameters.study),
      round: state.round,
      stage: state.stage,
      charged: ledger.isReserved(state.round),
      reason: error.code,
    });
    await save({ round: leaveRound(state) });
    if (contradicts.has(error.code)) await putBack();
    onEvent({ kind: 'left', round: state.round, code: error.code, sentence: error.message });
  }

  // ---- within a round ----

  async function begin(number: number): Promise<void> {
    const why = ledger.whyNot(worstCaseEvent(model.terms)) ?? (await trainer.whyNot?.()) ?? null;
    if (why !== null) {
      onEvent({ kind: 'waiting', ...why });
      return;
    }
    trainer.begin(number, model.parameters, model.terms, model.subset);
    const head = await ledger.readySigned(number, memory.counter + 1);
    const step = signReady(participant, memory, round, number, head);
    await save({ memory: step.memory, round: step.state });
    onEvent({ kind: 'stage', round: number, stage: 'ready' });
    await resend(step.state);
  }

  /** Sends the stored messages of a round, each once a process. */
  async function resend(state: RoundState): Promise<void> {
    await sendOnce(state.ready, () => coordinator.send(state.ready));
    if (state.reveal !== undefined) {
      const { reveal } = state;
      await sendOnce(reveal, () => coordinator.send(reveal));
    }
    if (state.shares !== undefined && state.bundle !== undefined) {
      const { shares, bundle } = state;
      await sendOnce(shares, () => coordinator.sendShares(shares, fromHex(bundle)));
    }
    for (const complaint of state.complaints) await sendOnce(complaint, () => coordinator.send(complaint));
    if (state.masked !== undefined) await sendMasked(state, state.masked);
    if (state.consistency !== undefined) {
      const { consistency } = state;
      await sendOnce(consistency, () => coordinator.send(consistency));
    }
    if (state.unmask !== undefined) {
      const { unmask } = state;
      await sendOnce(unmask, () => coordinator.send(unmask));
    }
    if (state.vouch !== undefined) {
      const { vouch } = state;
      await sendOnce(vouch, () => coordinator.send(vouch));
    }
  }

  /** The masked bytes are on disk; the charge is put there if a crash came in between; then they leave. */
  async function sendMasked(state: RoundState, masked: Message<2>): Promise<void> {
    if (!ledger.isReserved(state.round))
      await ledger.reserve(state.round, worstCaseEvent(model.terms), masked.body.root);
    await sendOnce(masked, async () => {
      const count = chunkCount(parameters.dimension);
      const read = async (chunk: number): Promise<Uint8Array> => {
        const bytes = await store.read(`masked/${chunk}`);
        if (bytes === null)
          throw new RefusalError(
            'masked-bytes-gone',
            'The sealed contribution is no longer on disk; it is never made again.',
          );
        return bytes;
      };
      const leaves: Uint8Array[] = [];
      const context = contextOf(parameters, state.round);
      for (let chunk = 0; chunk < count; chunk++)
        leaves.push(vectorLeafHash(machine.cipher, context, state.index, chunk, await read(chunk)));
      if (toHex(merkleRoot(machine.cipher, leaves)) !== masked.body.root)
        throw new RefusalError(
          'masked-bytes-changed',
          'The sealed contribution on disk is not the one that was signed; it is never made again.',
        );
      await coordinator.send(masked);
      if (coordinator.uploadFrom !== undefined) return coordinator.uploadFrom(state.round, { count, read });
      const chunks: Uint8Array[] = [];
      for (let chunk = 0; chunk < count; chunk++) chunks.push(await read(chunk));
      await coordinator.upload(state.round, chunks);
    });
  }

  const step = roundSteps({
    participant,
    coordinator,
    ledger,
    trainer,
    ...(sealer === undefined ? {} : { sealer }),
    save,
    onEvent,
    memory: () => memory,
    model: () => model,
    settle: settleCharge,
    vouch,
  });

  /** With regions: adds up what it can see of the opened sum and says so. */
  async function vouch(state: RoundState): Promise<RoundState> {
    const bytes = await coordinator.broadcast(state.round, 4);
    if (bytes === null)
      throw new RefusalError('broadcast-gone', 'The coordinator no longer has the result of this round; it is left.');
    const result = expectStage(decodeMessage(bytes), 132);
    let agrees = true;
    try {
      await addedUp(state, result);
    } catch (error) {
      if (!isAgainstRelay(error)) throw error;
      agrees = false;
    }
    const next = vouchFor(participant, state, result.body.sum, agrees);
    await save({ round: next.state });
    return next.state;
  }

  /** The sum of an opened round, from what this participant may see of it. @throws RefusalError of every check. */
  async function addedUp(state: RoundState, result: Message<132>): Promise<Uint32Array> {
    const { masks } = checkResult(machine.cipher, parameters, state, result);
    const inSum = state as RoundState & Required<Pick<RoundState, 'u1' | 'u2' | 'u3'>>;
    const source = {
      masked: (index: number, chunk: number) => coordinator.maskedChunk(state.round, index, chunk),
      sum: (chunk: number) => coordinator.sumChunk(state.round, chunk),
    };
    if (parameters.regions.length === 0) return readdSum(machine.cipher, parameters, inSum, result, masks, source);
    return readdRegions(machine.cipher, parameters, inSum, result, masks, {
      ...source,
      regionSums: async () => decodeRegionSums(await coordinator.regionSums(state.round)),
      regionSum: (position, chunk) => coordinator.regionChunk(state.round, position, chunk),
    });
  }

  async function settleCharge(state: RoundState): Promise<void> {
    if (contract.privacy.noise === 'none') return;
    const event = roundEvent(
      model.terms,
      realisedHonestShares(
        contract,
        state.u3!.members.map(({ index }) => index),
      ),
    );
    const transcript = machine.cipher.sha256(canonicalBytes(state.transcript));
    await ledger.settle(state.round, event, toHex(transcript));
  }

  async function inRound(state: RoundState, status: StudyStatus): Promise<void> {
    try {
      await resend(state);
      for (const complaint of status.complaints) {
        const answer = answerComplaint(participant, state, complaint);
        await sendOnce(answer, () => coordinator.send(answer));
      }
      let now: RoundState | null = state;
      while (now !== null) {
        const next: RoundState | null = await step(now, status.round!.stage);
        if (next !== null) {
          onEvent({ kind: 'stage', round: next.round, stage: next.stage });
          await resend(next);
        }
        now = next;
      }
    } catch (error) {
      if (!isRefusal(error) || round === null) throw error;
      await leave(round, error);
    }
  }

  async function finish(status: StudyStatus, outcome: string): Promise<'going-on' | 'finished'> {
    // No further list will confirm the newest sum, so it has to be proven by the others' closing Readies.
    if (before !== null) await putBack();
    try {
      await catchUp(status, false);
    } catch (error) {
      if (!(error instanceof RefusalError) || error.code !== 'sum-not-proven') throw error;
      onEvent({ kind: 'waiting', code: error.code, sentence: error.message });
      return 'going-on';
    }
    const { rounds } = contract.schedule;
    if (outcome === 'complete' && ledger.closedRounds() < rounds)
      throw new RefusalError(
        'ended-too-early',
        `The coordinator says that the study is complete, but only ${ledger.closedRounds()} of its ${rounds} rounds closed here. Nothing was signed; it is asked again.`,
      );
    if (closingSent) return 'finished';
    if (closing === null || closing.body.last.round !== memory.last.round) {
      const number = memory.signedRound + 1;
      const head = await ledger.readySigned(number, memory.counter + 1);
      const signed = signClosingReady(participant, memory, round, number, head);
      await save({ memory: signed.memory, closing: signed.ready });
    }
    await coordinator.send(closing!);
    closingSent = true;
    onEvent({ kind: 'finished', outcome });
    return 'finished';
  }

  /** Round numbers only grow. A status that falls back comes from an old copy of the coordinator, or from a liar. */
  function requireForward({ round: open, lastClosed, closed }: StudyStatus): void {
    const { last } = memory;
    const back = lastClosed.round < last.round || (open !== null && open.number < (round?.round ?? 0));
    const other = lastClosed.round === last.round && lastClosed.sum !== last.sum;
    if (back)
      throw new RefusalError(
        'status-went-back',
        `The coordinator speaks of round ${open?.number ?? lastClosed.round}, but this institution was already at round ${Math.max(last.round, round?.round ?? 0)}. An older copy of the coordinator seems to have been put back. Nothing was sent; ask its operator.`,
      );
    if (other || closed > lastClosed.round)
      throw new RefusalError(
        'last-sum-differs',
        `The coordinator names another sum for round ${last.round} than the one that was closed here. It is lying, or its folder was replaced. Nothing was sent; ask its operator.`,
      );
  }

  return {
    memory: () => memory,
    round: () => round,
    model: () => model,
    async advance(status) {
      if (status.lastClosed.round === memory.last.round && status.lastClosed.sum !== memory.last.sum) await putBack();
      requireForward(status);
      if (round !== null && round.stage !== 'wiped' && status.round?.number !== round.round)
        try {
          await finishRound(round, status);
        } catch (error) {
          if (!isRefusal(error)) throw error;
          await leave(round, error);
        }
      if (status.outcome !== null) return finish(status, status.outcome);
      const open = status.round;
      if (open === null) return 'going-on';
      if (round?.round === open.number && round.stage !== 'wiped') await inRound(round, status);
      else if (open.stage === 'ready' && open.number > memory.signedRound) {
        if (!isAsked(parameters, open.number, participant.index)) {
          onEvent({
            kind: 'waiting',
            code: 'not-asked',
            sentence: `Round ${open.number} is for others; this institution’s turn comes by the study terms. Nothing is used meanwhile.`,
          });
          return 'going-on';
        }
        if (!open.eligible) {
          onEvent({
            kind: 'waiting',
            code: 'not-eligible',
            sentence: `The coordinator leaves this institution out of round ${open.number}: it counts it as excluded or withdrawn. Ask the lead if that is not so; nothing is lost.`,
          });
          return 'going-on';
        }
        await catchUp(status, true);
        await begin(open.number);
      }
      return 'going-on';
    },
  };
}
