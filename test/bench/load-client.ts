// A generator of load: institutions as the coordinator sees them. Every message, signature, hash, length and mask that the
// coordinator checks, stores or takes away is real, and so is every request. Left out is what only protects institutions
// from each other, so that one machine can be hundreds of them: boxes hold random bytes of their length, the sharing
// polynomial is constant, the masks between survivors (which cancel) are not drawn, and lists are fetched but not checked
// again. Full clients run in test/main/coordinator and in `demo`.

import { toHex } from '../../app/encoding/bytes.ts';
import { signerFromSeed } from '../../app/encoding/signature.ts';
import { encodeBundle } from '../../app/sealed-sum/box-frames.ts';
import { boxLength, boxRoot } from '../../app/sealed-sum/boxes.ts';
import { chunkCount, chunkRange, createMasks } from '../../app/sealed-sum/masks.ts';
import { selfMaskKey, selfSeedCommitment, shareHash } from '../../app/sealed-sum/keys.ts';
import { packWords } from '../../app/sealed-sum/packing.ts';
import { drawSecret } from '../../app/sealed-sum/shamir.ts';
import { vectorRoot } from '../../app/sealed-sum/vector-root.ts';
import { fromHex } from '../../app/encoding/bytes.ts';
import { configHash, contextOf, wordBits } from '../../app/round/parameters.ts';
import { signMessage } from '../../app/round/messages.ts';
import type { Message } from '../../app/round/messages.ts';
import { connectCoordinator } from '../../main/host/connection/coordinator-client.ts';
import type { CoordinatorClient } from '../../main/host/connection/coordinator-client.ts';
import { nodeCipher as cipher, nodeMachine, systemRandom as random } from '../../main/host/machine.ts';
import type { SampleStudy } from '../app/round/sample-study.ts';

/** What every institution of the round holds of the others: shares of a constant polynomial are the secret. */
export type RoundSecrets = { readonly self: Map<number, string>; readonly mask: Map<number, string> };

export type Head = { readonly hash: string; readonly signature: string };

export type LoadClient = {
  readonly index: number;
  readonly client: CoordinatorClient;
  ready(round: number, model: string, last: { readonly round: number; readonly sum: string }): Message<0>;
  shares(
    round: number,
    members: readonly number[],
    u1: Head,
    secrets: RoundSecrets,
  ): { readonly message: Message<1>; readonly bundle: Uint8Array };
  masked(round: number, u1: string, u2: string): { readonly message: Message<2>; readonly chunks: Uint8Array[] };
  consistency(round: number, u1: string, u2: string, statement: string): Message<3>;
  unmask(round: number, statement: string, secrets: RoundSecrets): Message<4>;
};

/** The plain vector of an institution: small, so that no sum is spoiled. */
export const plainWord = (index: number, at: number): number => (index + at) % 8;

export function loadClient(study: SampleStudy, index: number, address: string): LoadClient {
  const { parameters } = study;
  const identity = study.identities[index]!;
  const seed = new Uint8Array(32).fill(0x51);
  seed[0] = index & 0xff;
  seed[1] = index >> 8;
  const transport = signerFromSeed(cipher, seed);
  // No try is repeated: each failure counts.
  const patience = { attempts: 1, firstMs: 1, longestMs: 1 };
  const client = connectCoordinator({
    machine: nodeMachine,
    parameters,
    index,
    identity,
    transport,
    address,
    patience,
  });
  const masks = createMasks(cipher);
  let counter = 0;
  let maskSecret = new Uint8Array(32);
  let selfSeed = new Uint8Array(32);
  return {
    index,
    client,
    ready(round, model, last) {
      maskSecret = new Uint8Array(random.bytes(32));
      counter += 1;
      return signMessage(cipher, identity, contextOf(parameters, round), 0, index, {
        round,
        contract: toHex(parameters.study),
        config: toHex(configHash(cipher, parameters, round)),
        model,
        keys: {
          boxes: toHex(cipher.x25519PublicKey(random.bytes(32))),
          masks: toHex(cipher.x25519PublicKey(maskSecret)),
          nonce: toHex(random.bytes(32)),
        },
        last: { ...last, verified: last.round > 0 },
        counter,
        head: toHex(random.bytes(32)),
      });
    },
    shares(round, members, u1, secrets) {
      const context = contextOf(parameters, round);
      selfSeed = new Uint8Array(drawSecret(random));
      secrets.self.set(index, toHex(selfSeed));
      secrets.mask.set(index, toHex(maskSecret));
      const entries = members.map((holder) => ({
        holder,
        sealed: {
          ephemeralPublicKey: random.bytes(32),
          shareHashB: shareHash(cipher, context, index, holder, 'b', selfSeed),
          shareHashS: shareHash(cipher, context, index, holder, 's', maskSecret),
          box: random.bytes(boxLength),
        },
      }));
      const body = {
        u1: u1.hash,
        u1Signature: u1.signature,
        selfMask: toHex(selfSeedCommitment(cipher, context, index, selfSeed)),
        boxes: toHex(boxRoot(cipher, context, index, entries)),
      };
      return { message: signMessage(cipher, identity, context, 1, index, body), bundle: encodeBundle(entries) };
    },
    masked(round, u1, u2) {
      const context = contextOf(parameters, round);
      const key = selfMaskKey(cipher, context, fromHex(u1), index, selfSeed);
      const chunks: Uint8Array[] = [];
      for (let chunk = 0; chunk < chunkCount(parameters.dimension); chunk++) {
        const { from, to } = chunkRange(parameters.dimension, chunk);
        const words = Uint32Array.from({ length: to - from }, (_, at) => plainWord(index, from + at));
        masks.apply(words, chunk, { key, sign: 'add' });
        chunks.push(packWords(words, wordBits(parameters)));
      }
      const root = toHex(vectorRoot(cipher, context, index, chunks));
      return { message: signMessage(cipher, identity, context, 2, index, { u1, u2, root }), chunks };
    },
    consistency: (round, u1, u2, statement) =>
      signMessage(cipher, identity, contextOf(parameters, round), 3, index, { u1, u2, statement }),
    unmask(round, statement, secrets) {
      const dealers = [...secrets.self.keys()].sort((left, right) => left - right);
      const shares = dealers.map((dealer) => ({ dealer, kind: 0, share: secrets.self.get(dealer)! }));
      return signMessage(cipher, identity, contextOf(parameters, round), 4, index, { statement, shares });
    },
  };
}
