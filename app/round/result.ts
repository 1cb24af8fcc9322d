// The end of a round: what H(sum) covers, how opened secrets become the masks to take away, and how a participant
// checks both for itself instead of believing the coordinator. Design 3, R5.

import { concat, fromHex, toHex, u16, utf8 } from '../encoding/bytes.ts';
import { merkleRoot } from '../encoding/merkle.ts';
import { InvariantError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { contextBytes } from '../sealed-sum/context.ts';
import { chunkCount, chunkRange, createMasks } from '../sealed-sum/masks.ts';
import type { SignedKey } from '../sealed-sum/masks.ts';
import type { Ring } from '../sealed-sum/harary-ring.ts';
import { packWords, packedLength, unpackWords } from '../sealed-sum/packing.ts';
import { addWords, reduceWords, remainingMasks } from '../sealed-sum/unmask.ts';
import { vectorLeafHash, vectorRoot } from '../sealed-sum/vector-root.ts';
import { checkCloserSigned } from './checks.ts';
import type { OpenedSeed } from './coordinator-state.ts';
import { roundGraph } from './graph.ts';
import type { Message } from './messages.ts';
import { coordinatorSender } from './messages.ts';
import { isCommitted, kindFor } from './opening.ts';
import { contextOf, nameOf, wordBits } from './parameters.ts';
import type { StudyParameters } from './parameters.ts';
import type { CohortMember, RoundState } from './participant-state.ts';
import { refuse } from './refuse.ts';

/**
 * H(sum) = SHA-256("css1/sum" ‖ ctx ‖ u16 |U3| ‖ (u16 index)… ‖ Merkle root of the sum's chunks), 32 bytes; the root's
 * leaves are those of a vector of sender 0xffff. It covers who is in the sum, because the divisor depends on it.
 */
export function sumHash(
  cipher: Cipher,
  parameters: StudyParameters,
  round: number,
  survivors: readonly number[],
  chunks: Iterable<Uint32Array>,
): Uint8Array {
  const context = contextOf(parameters, round);
  const root = vectorRoot(cipher, context, coordinatorSender, bytesOf(parameters, chunks));
  return cipher.sha256(
    utf8('css1/sum'),
    contextBytes(context),
    u16(survivors.length),
    concat(...survivors.map(u16)),
    root,
  );
}

function* bytesOf(parameters: StudyParameters, chunks: Iterable<Uint32Array>): Iterable<Uint8Array> {
  for (const words of chunks) yield packWords(words, wordBits(parameters));
}

/** The masks that are left in the plain addition of U3's vectors, from the opened secrets. */
export function masksLeft(
  cipher: Cipher,
  parameters: StudyParameters,
  round: number,
  u1: { readonly hash: string; readonly members: readonly CohortMember[]; readonly ring?: Ring },
  seeds: readonly OpenedSeed[],
): SignedKey[] {
  const publicKeys = new Map(u1.members.map((member): [number, string] => [member.index, member.masks]));
  return remainingMasks(
    cipher,
    contextOf(parameters, round),
    fromHex(u1.hash),
    seeds
      .filter((seed) => seed.kind === 0)
      .map(({ index, secret }) => ({
        index,
        selfSeed: fromHex(secret),
        maskPublicKey: fromHex(publicKeys.get(index)!),
      })),
    seeds.filter((seed) => seed.kind === 1).map(({ index, secret }) => ({ index, maskPrivateKey: fromHex(secret) })),
    roundGraph(parameters, u1.members, u1.ring).areNeighbours,
  );
}

/**
 * The result as a participant of U3 sees it: signed, on the statement it signed, with exactly one secret for each member
 * of U2, of the kind its state asks for, each equal to its commitment.
 * @throws RefusalError `statement-differs`, `seeds-incomplete`, `seed-wrong`, `coordinator-signature`, `old-round`.
 */
export function checkResult(
  cipher: Cipher,
  parameters: StudyParameters,
  state: RoundState,
  result: Message<132>,
): { readonly masks: SignedKey[]; readonly survivors: readonly number[] } {
  const { u1, u2, u3 } = state;
  if (u1 === undefined || u2 === undefined || u3 === undefined)
    throw new InvariantError('not-in-sum', 'This institution did not take part in the sum it is asked to check.');
  checkCloserSigned(cipher, parameters, state.round, result);
  if (result.body.statement !== u3.statement)
    throw refuse('statement-differs', 'The result belongs to another statement than the one that was signed.');
  const survivors = u3.members.map((member) => member.index);
  const inSum = new Set(survivors);
  const needed = roundGraph(parameters, u1.members, u1.ring).neededFor(inSum);
  const opening = u2.members.filter((member) => needed(member.index));
  const asked = opening.map((member) => `${member.index}:${kindFor(inSum, member.index)}`).join();
  if (result.body.seeds.map((seed) => `${seed.index}:${seed.kind}`).join() !== asked)
    throw refuse('seeds-incomplete', 'The opened secrets are not exactly one for each member, of the kind it must be.');
  const keys = new Map(u1.members.map((member): [number, string] => [member.index, member.masks]));
  const seeds = result.body.seeds.map((seed) => ({ ...seed, kind: kindFor(inSum, seed.index) }));
  for (const seed of seeds) {
    const commitment = {
      selfMask: u2.members.find((member) => member.index === seed.index)!.selfMask,
      masks: keys.get(seed.index)!,
    };
    const opened = { index: seed.index, kind: seed.kind, secret: fromHex(seed.secret) };
    if (!isCommitted(cipher, parameters, state.round, opened, commitment))
      throw refuse(
        'seed-wrong',
        `The secret opened for ${nameOf(parameters, seed.index)} is not the one it committed to.`,
      );
  }
  return { masks: masksLeft(cipher, parameters, state.round, u1, seeds), survivors };
}

export type ChunkSource = {
  /** Bytes of one chunk of a survivor's masked vector, and words of one chunk of the sum, as the coordinator shows them. */
  masked(index: number, chunk: number): Promise<Uint8Array>;
  sum(chunk: number): Promise<Uint32Array>;
};

/**
 * Adds the sum up again from every survivor's signed vector, chunk by chunk, one chunk in memory.
 * @returns the sum, d ring words, which is then this participant's own.
 * @throws RefusalError `vector-off-root`, `sum-differs` (the coordinator's sum is not the sum), `sum-off-hash`.
 */
export async function readdSum(
  cipher: Cipher,
  parameters: StudyParameters,
  state: RoundState & Required<Pick<RoundState, 'u3'>>,
  result: Message<132>,
  masksToRemove: readonly SignedKey[],
  source: ChunkSource,
): Promise<Uint32Array> {
  const context = contextOf(parameters, state.round);
  const members = state.u3.members;
  const leaves = members.map((): Uint8Array[] => []);
  const masks = createMasks(cipher);
  const bits = wordBits(parameters);
  const sum = new Uint32Array(parameters.dimension);
  const chunks: Uint32Array[] = [];
  for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
    const { from, to } = chunkRange(parameters.dimension, chunk);
    const words = sum.subarray(from, to);
    for (const [at, { index }] of members.entries()) {
      const bytes = await source.masked(index, chunk);
      if (bytes.length !== packedLength(words.length, bits)) throw offRoot(parameters, index);
      leaves[at]!.push(vectorLeafHash(cipher, context, index, chunk, bytes));
      addWords(words, unpackWords(bytes, bits));
    }
    masks.applyAll(words, chunk, masksToRemove);
    reduceWords(words, bits);
    const shown = await source.sum(chunk);
    if (shown.length !== words.length || words.some((word, at) => word !== shown[at]))
      throw refuse('sum-differs', 'The coordinator’s sum is not the sum of the contributions.');
    chunks.push(words);
  }
  for (const [at, { index, root }] of members.entries())
    if (toHex(merkleRoot(cipher, leaves[at]!)) !== root) throw offRoot(parameters, index);
  const survivors = members.map((member) => member.index);
  if (toHex(sumHash(cipher, parameters, state.round, survivors, chunks)) !== result.body.sum)
    throw refuse('sum-off-hash', 'The coordinator signed another sum than it shows.');
  return sum;
}

const offRoot = (parameters: StudyParameters, index: number) =>
  refuse('vector-off-root', `The sealed contribution shown for ${nameOf(parameters, index)} is not the one it signed.`);
