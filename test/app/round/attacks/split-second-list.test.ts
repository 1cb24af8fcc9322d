// The split-U2 attack of design 3, written out. A coordinator with c colluders shows one victim another second list than
// the rest, so that what protects the victim's vector is opened piece by piece by institutions that each see a sum of t.
// Two ways: (A) the victim's list holds the colluders alone; (B) it is as long as the floor asks, and the honest members
// in it are left out of the sum. Each needs two locks gone; each lock alone stops it. Locks are taken out of the
// participants' own code by test/mutation/without.ts, which nothing in the product can ask for.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { bytesToWords, fromHex } from '../../../../app/encoding/bytes.ts';
import { RefusalError } from '../../../../app/errors.ts';
import { decodeBroadcast } from '../../../../app/round/lists.ts';
import type { Message } from '../../../../app/round/messages.ts';
import { firstMemory } from '../../../../app/round/participant-state.ts';
import type { RoundState } from '../../../../app/round/participant-state.ts';
import { decodeBundle, encodeDelivery } from '../../../../app/sealed-sum/box-frames.ts';
import { boxLeafHash } from '../../../../app/sealed-sum/boxes.ts';
import { merklePath } from '../../../../app/encoding/merkle.ts';
import { pairMaskKey, selfMaskKey } from '../../../../app/sealed-sum/keys.ts';
import { createMasks, pairSign } from '../../../../app/sealed-sum/masks.ts';
import { reconstructSecret } from '../../../../app/sealed-sum/shamir.ts';
import { nodeCipher, nodeMachine } from '../../../../main/host/machine.ts';
import { participantWithout } from '../../../mutation/without.ts';
import { sampleStudy } from '../sample-study.ts';
import {
  cohortBytes,
  contextAt,
  sharersBytes,
  sharersHash,
  statementOver,
  survivorsBytes,
  transcriptBytes,
} from '../../../../app/simulation/forged-lists.ts';

const model = 'ab'.repeat(32);
const dimension = 5;
const secretVector = Uint32Array.of(0xdeadbeef, 1, 0xffff_fff0, 123_456, 7);

/** Everything that says that others were shown the same sets. */
const equality = ['u2-differs', 'statement-differs'];
const nesting = ['sets-not-nested'];
const floor = ['cohort-below-floor'];

type Variant = {
  /** Who stands in the list that the victim masks against, and who is in the sum. */
  readonly victimSees: readonly number[];
  readonly sum: readonly number[];
};

type Cast = { readonly institutions: number; readonly threshold: number; readonly colluders: readonly number[] };

/** Position 0 is the victim, 1 … c collude, the others are honest. */
function castOf(institutions: number): Cast {
  const { threshold, colluders } = sampleStudy({ institutions }).parameters;
  return { institutions, threshold, colluders: Array.from({ length: colluders }, (_, i) => i + 1) };
}

const everybody = ({ institutions }: Cast): number[] => Array.from({ length: institutions }, (_, i) => i);

function smallList(cast: Cast): Variant {
  return { victimSees: [0, ...cast.colluders], sum: everybody(cast) };
}

/** t members: the victim, the colluders and t − c − 1 honest ones, who are then called lost. */
function fullList(cast: Cast): Variant {
  const left = cast.colluders.length + 1;
  const lost = Array.from({ length: cast.threshold - left }, (_, i) => left + i);
  const victimSees = [0, ...cast.colluders, ...lost];
  return { victimSees, sum: everybody(cast).filter((index) => !lost.includes(index)) };
}

/**
 * Runs the attack against participants that lack the checks of `without`.
 * @returns the vector that the coordinator recovers.
 * @throws RefusalError of the first honest participant that refuses.
 */
async function attack(institutions: number, variant: Variant, without: readonly string[]): Promise<Uint32Array> {
  const study = sampleStudy({ institutions });
  const { parameters, identities } = study;
  const steps = await participantWithout(without);
  const roster = identities.map((_, index) => index);
  const context = contextAt(study, 1);
  const participants = identities.map((identity, index) => ({ machine: nodeMachine, parameters, index, identity }));

  const opened = participants.map((participant, index) =>
    steps.signReady(participant, firstMemory(model), null, 1, new Uint8Array(32).fill(index + 1)),
  );
  const readies = opened.map((step) => step.state.ready);
  const first = cohortBytes(study, 1, readies);
  const shared = participants.map((participant, index) => {
    const { memory, state } = opened[index]!;
    const { round, contract, config } = state.ready.body;
    const list = decodeBroadcast(first, 128, 0, { round, contract, config, model });
    return steps.receiveCohort(participant, memory, state, list).state;
  });
  const u1 = shared[0]!.u1!.hash;
  const shares = shared.map((state) => state.shares!);
  const bundles = shared.map((state) => decodeBundle(fromHex(state.bundle!)));

  const boxesFor = (holder: number, dealers: readonly number[]): Uint8Array =>
    encodeDelivery(
      dealers.map((dealer) => {
        const entries = bundles[dealer]!;
        const leaves = entries.map((entry) => boxLeafHash(nodeCipher, context, dealer, entry.holder, entry.sealed));
        return { dealer, sealed: entries[holder]!.sealed, path: merklePath(nodeCipher, leaves, holder) };
      }),
    );
  const seenBy = (index: number): readonly number[] => (index === 0 ? variant.victimSees : roster);
  const own = (state: RoundState) => ({ u1, u2: state.u2?.hash ?? '' });

  // R2: the victim is shown its own second list.
  const sealed = participants.map((participant, index) => {
    const seen = seenBy(index);
    const list = sharersBytes(
      study,
      u1,
      seen.map((dealer) => shares[dealer]!),
    );
    const { signature } = shared[index]!.u1!;
    const decoded = decodeBroadcast(list, 129, 1, { u1, u1Signature: signature });
    const received = steps.receiveShares(participant, shared[index]!, decoded, boxesFor(index, seen)).state;
    const vector = index === 0 ? secretVector : new Uint32Array(dimension).fill(index);
    return steps.sealVector(participant, received, vector);
  });
  const victimBytes = sealed[0]!.chunks[0]!;
  const masked = variant.sum.map((index) => sealed[index]!.state.masked!);

  // R3: each is told that its own sets are everybody's.
  const agreed = new Map<number, RoundState>();
  for (const index of variant.sum) {
    if (index === 0 && variant.sum.length === roster.length) continue; // (A) does not need the victim any more.
    const { state } = sealed[index]!;
    const sets = {
      u1,
      u2: sharersHash(
        study,
        seenBy(index).map((dealer) => shares[dealer]!),
      ),
    };
    const list = decodeBroadcast(survivorsBytes(study, sets, masked), 130, 2, own(state));
    agreed.set(index, steps.receiveSurvivors(participants[index]!, state, list).state);
  }
  // R4: the signatures that there are, each on what its signer was shown.
  const signatures = [...agreed.values()].map((state) => state.consistency!);
  const given: Message<4>[] = [];
  for (const [index, state] of agreed) {
    const sets = { u1, u2: state.u2!.hash };
    const statement = statementOver(study, sets, masked);
    const list = decodeBroadcast(transcriptBytes(study, statement, signatures), 131, 3, { ...own(state), statement });
    given.push(steps.receiveTranscript(participants[index]!, state, list).state.unmask!);
  }

  // What the coordinator has now: t shares of the victim's seed, and of the mask key of every honest member it saw.
  const secretOf = (dealer: number, kind: 0 | 1): Uint8Array => {
    const held = given.flatMap(({ sender, body }) => {
      const share = body.shares.find((one) => one.dealer === dealer && one.kind === kind);
      return share === undefined ? [] : [{ index: sender, share: fromHex(share.share) }];
    });
    assert.ok(held.length >= parameters.threshold, 'the coordinator has t shares');
    return reconstructSecret(held.slice(0, parameters.threshold));
  };
  const words = bytesToWords(victimBytes);
  const masks = createMasks(nodeCipher);
  const hU1 = fromHex(u1);
  masks.apply(words, 0, { key: selfMaskKey(nodeCipher, context, hU1, 0, secretOf(0, 0)), sign: 'subtract' });
  for (const peer of variant.victimSees.filter((index) => index !== 0)) {
    const colludes = peer <= parameters.colluders;
    const privateKey = colludes ? fromHex(shared[peer]!.secrets.masks) : secretOf(peer, 1);
    const victimKey = fromHex(readies[0]!.body.keys!.masks);
    const key = pairMaskKey(nodeCipher, context, hU1, peer, 0, privateKey, victimKey);
    masks.apply(words, 0, { key, sign: pairSign(peer, 0) });
  }
  return words;
}

async function stopped(code: string, institutions: number, variant: Variant, without: readonly string[]) {
  await assert.rejects(
    attack(institutions, variant, without),
    (error) => error instanceof RefusalError && error.code === code,
    `without ${without.join()}`,
  );
}

for (const institutions of [4, 10]) {
  const cast = castOf(institutions);
  suite(`the split-U2 attack, n = ${institutions}, t = ${cast.threshold}, c = ${cast.colluders.length}`, () => {
    test('B opens the victim’s vector when nesting and equality are removed together', async () => {
      assert.deepEqual(await attack(institutions, fullList(cast), [...nesting, ...equality]), secretVector);
    });
    test('B is stopped by nesting alone, and by equality alone', async () => {
      await stopped('sets-not-nested', institutions, fullList(cast), equality);
      await stopped('u2-differs', institutions, fullList(cast), nesting);
      await stopped('sets-not-nested', institutions, fullList(cast), []);
    });
    test('A opens the victim’s vector when the |U2| floor and equality are removed together', async () => {
      assert.deepEqual(await attack(institutions, smallList(cast), [...floor, ...equality]), secretVector);
    });
    test('A is stopped by the floor alone, and by equality alone', async () => {
      await stopped('cohort-below-floor', institutions, smallList(cast), equality);
      await stopped('u2-differs', institutions, smallList(cast), floor);
      await stopped('cohort-below-floor', institutions, smallList(cast), []);
    });
  });
}

test('nothing but this test takes a check away: the product’s steps are other functions', async () => {
  const whole = await import('../../../../app/round/participant.ts');
  const lesser = await participantWithout(nesting);
  assert.notEqual(whole.receiveSurvivors, lesser.receiveSurvivors);
  assert.equal((await participantWithout([])).receiveSurvivors, whole.receiveSurvivors);
});
