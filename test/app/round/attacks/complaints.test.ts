// Complaints as a weapon, and the proofs that come of real lies: a coordinator that invents complaints opens no box; every
// accusation convinces a third party that holds the contract alone, and none that is changed by one message does.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fromHex, toHex } from '../../../../app/encoding/bytes.ts';
import { merklePath, merkleRoot } from '../../../../app/encoding/merkle.ts';
import { reduceRound } from '../../../../app/round/coordinator.ts';
import { deliveryBytes } from '../../../../app/round/coordinator-lists.ts';
import type { Accusation } from '../../../../app/round/coordinator-state.ts';
import { signMessage } from '../../../../app/round/messages.ts';
import type { AnyMessage, Message } from '../../../../app/round/messages.ts';
import { answerComplaint, receiveCohort, receiveShares, receiveTranscript } from '../../../../app/round/participant.ts';
import {
  decodeAccusations,
  encodeAccusations,
  verifyAccusation,
  verifyEquivocation,
} from '../../../../app/round/proofs.ts';
import { decodeBundle, decodeDelivery, encodeBundle } from '../../../../app/sealed-sum/box-frames.ts';
import { boxLeafHash, boxRoot } from '../../../../app/sealed-sum/boxes.ts';
import { shareHash } from '../../../../app/sealed-sum/keys.ts';
import { nodeCipher, nodeMachine } from '../../../../main/host/machine.ts';
import {
  agree,
  cohortList,
  deliver,
  expire,
  federation,
  ready,
  seal,
  share,
  sharersList,
  transcriptList,
  unmask,
} from '../federation.ts';
import type { Federation } from '../federation.ts';
import { sampleStudy } from '../sample-study.ts';
import { contextAt, sharersHash, signedAgain, signedByCoordinator } from '../../../../app/simulation/forged-lists.ts';
import { codesOf, lyingStudy } from './lying-study.ts';
import type { LyingStudy } from './lying-study.ts';

const vector = (index: number): Uint32Array => new Uint32Array(5).fill(index + 1);
const make = (): Federation => federation(sampleStudy({ institutions: 4 }), nodeMachine);

function complaintOf(fed: Federation, sender: number, dealer: number): Message<16> {
  const bytes = deliveryBytes(fed.coordinator, fed.round, sender)!;
  return signedComplaint(
    fed,
    sender,
    decodeDelivery(bytes).find((entry) => entry.dealer === dealer)!,
  );
}

function signedComplaint(
  { study, round }: Pick<Federation, 'study' | 'round'>,
  sender: number,
  entry: ReturnType<typeof decodeDelivery>[number],
): Message<16> {
  return signMessage(nodeCipher, study.identities[sender]!, contextAt(study, round.round), 16, sender, {
    u1: round.u1!.body.u1,
    dealer: entry.dealer,
    box: toHex(entry.sealed.box),
    ephemeralKey: toHex(entry.sealed.ephemeralPublicKey),
    shareHashes: { self: toHex(entry.sealed.shareHashB), mask: toHex(entry.sealed.shareHashS) },
    path: entry.path.map(toHex),
  });
}

/** Dealer 2's R1 with the boxes that `spoil` makes, under a root and signature that fit them. */
function spoilBoxes(fed: Federation, spoil: (entries: ReturnType<typeof decodeBundle>) => void): void {
  ready(fed);
  for (const party of fed.parties) {
    const step = receiveCohort(party.participant, party.memory, party.state!, cohortList(fed, party));
    [party.memory, party.state] = [step.memory, step.state];
  }
  const dealer = fed.parties[2]!;
  const entries = decodeBundle(fromHex(dealer.state!.bundle!));
  spoil(entries);
  const root = toHex(boxRoot(nodeCipher, contextAt(fed.study, 1), 2, entries));
  const shares = signedAgain(fed.study, dealer.state!.shares!, { boxes: root });
  dealer.state = { ...dealer.state!, shares, bundle: toHex(encodeBundle(entries)) };
  for (const party of fed.parties) deliver(fed, party.state!.shares!, fromHex(party.state!.bundle!));
}

function badBox(): Federation {
  const fed = make();
  spoilBoxes(fed, (entries) => (entries[0]!.sealed.box[60]! ^= 1));
  const { participant, state } = fed.parties[0]!;
  const left = receiveShares(
    participant,
    state!,
    sharersList(fed, fed.parties[0]!),
    deliveryBytes(fed.coordinator, fed.round, 0)!,
  );
  assert.equal(left.state.stage, 'left');
  deliver(fed, left.state.complaints[0]!);
  deliver(fed, answerComplaint(fed.parties[2]!.participant, fed.parties[2]!.state!, left.state.complaints[0]!));
  return fed;
}

function falseComplaint(): Federation {
  const fed = make();
  ready(fed);
  share(fed);
  const complaint = complaintOf(fed, 0, 2);
  deliver(fed, complaint);
  deliver(fed, answerComplaint(fed.parties[2]!.participant, fed.parties[2]!.state!, complaint));
  return fed;
}

function wrongShare(lost: readonly number[] = []): Federation {
  const fed = make();
  ready(fed);
  share(fed);
  seal(fed, vector, new Set(lost));
  agree(fed);
  const party = fed.parties[2]!;
  const step = receiveTranscript(party.participant, party.state!, transcriptList(fed, party));
  const shares = step.state.unmask!.body.shares.map((one, at) => (at === 1 ? { ...one, share: '01'.repeat(32) } : one));
  deliver(fed, signedAgain(fed.study, step.state.unmask!, { shares }));
  return fed;
}

/** Dealer 2 deals shares of one seed and commits to another. */
function wrongSecret(): Federation {
  const fed = make();
  ready(fed);
  for (const party of fed.parties) {
    const step = receiveCohort(party.participant, party.memory, party.state!, cohortList(fed, party));
    [party.memory, party.state] = [step.memory, step.state];
  }
  const dealer = fed.parties[2]!;
  const shares = signedAgain(fed.study, dealer.state!.shares!, { selfMask: '09'.repeat(32) });
  dealer.state = { ...dealer.state!, shares };
  for (const party of fed.parties) deliver(fed, party.state!.shares!, fromHex(party.state!.bundle!));
  seal(fed, vector);
  agree(fed);
  // Three are t; after them the round is over.
  unmask(fed, new Set([3]));
  return fed;
}

function twoMessages(): Federation {
  const fed = make();
  ready(fed, new Set([3]));
  const other = make();
  ready(other, new Set([1, 2, 3]));
  const again = signedAgain(other.study, other.parties[0]!.state!.ready, { head: '99'.repeat(32) });
  other.round = { ...other.round, stage: 'ready' };
  deliver(other, again);
  return other;
}

const lies: readonly (readonly [string, () => Federation, number, Accusation['reason']])[] = [
  ['a box that does not open', badBox, 2, 'bad-box'],
  ['a false complaint', falseComplaint, 0, 'false-complaint'],
  ['a wrong share', () => wrongShare(), 2, 'wrong-share'],
  ['a wrong share of a dropout’s key', () => wrongShare([3]), 2, 'wrong-share'],
  ['a seed that was not committed to', wrongSecret, 2, 'wrong-secret'],
  ['two messages for one stage', twoMessages, 0, 'two-messages-for-one-stage'],
];

suite('a liar is named with proof that a third party can verify', () => {
  for (const [name, make_, accused, reason] of lies)
    test(name, () => {
      const fed = make_();
      const { parameters } = fed.study;
      assert.deepEqual(
        fed.round.accusations.map((one) => [one.accused, one.reason]),
        [[accused, reason]],
      );
      // Through the wire, and with the contract alone.
      const [accusation] = decodeAccusations(encodeAccusations(fed.round.accusations));
      const verify = (changed: Accusation) => verifyAccusation(nodeCipher, parameters, changed);
      assert.deepEqual(verify(accusation!), { proven: true });
      // The same messages prove nothing against anybody else, of anything else, or when one is missing or altered.
      for (let other = 0; other < 4; other++)
        if (other !== accused) assert.ok(!verify({ ...accusation!, accused: other }).proven, `against ${other}`);
      for (const [, , , another] of lies)
        if (another !== reason) assert.ok(!verify({ ...accusation!, reason: another }).proven, another);
      const { proof, boxes } = accusation!;
      for (const [at, message] of proof.entries()) {
        const without = proof.filter((_, place) => place !== at);
        const spare =
          reason === 'wrong-secret' && message.stage === 4 && proof.filter((one) => one.stage === 4).length > 3;
        if (!spare) assert.ok(!verify({ ...accusation!, proof: without }).proven, `without ${at}`);
        const altered = proof.map((one, place) => (place === at ? { ...one, round: 2 } : one));
        assert.ok(!verify({ ...accusation!, proof: altered }).proven, `altered ${at}`);
      }
      for (const at of boxes.keys())
        assert.ok(!verify({ ...accusation!, boxes: boxes.filter((_, place) => place !== at) }).proven);
      for (const [at, box] of boxes.entries()) {
        const moved = { ...box, shareHashes: { self: '00'.repeat(32), mask: '00'.repeat(32) } };
        assert.ok(!verify({ ...accusation!, boxes: boxes.map((one, place) => (place === at ? moved : one)) }).proven);
      }
    });

  test('an honest share, an honest secret, an honest answer prove nothing', () => {
    const fed = wrongShare();
    const [accusation] = fed.round.accusations;
    const honest = receiveTranscript(
      fed.parties[2]!.participant,
      fed.parties[2]!.state!,
      transcriptList(fed, fed.parties[2]!),
    ).state.unmask!;
    const proof = accusation!.proof.map((one) => (one.stage === 4 ? honest : one));
    assert.deepEqual(verifyAccusation(nodeCipher, fed.study.parameters, { ...accusation!, proof }), {
      proven: false,
      why: 'The share is the one that was dealt.',
    });
    const secret = wrongSecret().round.accusations[0]!;
    const other = { ...secret, accused: 1 };
    assert.ok(!verifyAccusation(nodeCipher, fed.study.parameters, other).proven);
  });

  test('a second leaf for one holder under a dealer’s root frames nobody', () => {
    const fed = make();
    ready(fed);
    share(fed);
    seal(fed, vector);
    agree(fed);
    const party = fed.parties[3]!;
    const unmasked = receiveTranscript(party.participant, party.state!, transcriptList(fed, party)).state.unmask!;
    // Dealer 2 and holder 1 collude: in 1's place stands a second leaf for 3, with a hash that 3's share misses.
    const context = contextAt(fed.study, 1);
    const entries = decodeBundle(fromHex(fed.parties[2]!.state!.bundle!));
    const shareHashB = shareHash(nodeCipher, context, 2, 3, 'b', new Uint8Array(32));
    const forged = { ...entries[3]!.sealed, shareHashB };
    const leaves = entries.map(({ holder, sealed }, place) =>
      place === 1
        ? boxLeafHash(nodeCipher, context, 2, 3, forged)
        : boxLeafHash(nodeCipher, context, 2, holder, sealed),
    );
    const dealt = signedAgain(fed.study, fed.parties[2]!.state!.shares!, {
      boxes: toHex(merkleRoot(nodeCipher, leaves)),
    });
    const sharers = [...fed.round.shares.values()].map(({ message }) => (message.sender === 2 ? dealt : message));
    const masked = signedAgain(fed.study, party.state!.masked!, { u2: sharersHash(fed.study, sharers) });
    const framing = (place: number, sealed: typeof forged): Accusation => ({
      accused: 3,
      reason: 'wrong-share',
      proof: [...fed.round.readies.values(), ...sharers, masked, unmasked],
      boxes: [
        {
          dealer: 2,
          holder: 3,
          box: toHex(sealed.box),
          ephemeralKey: toHex(sealed.ephemeralPublicKey),
          shareHashes: { self: toHex(sealed.shareHashB), mask: toHex(sealed.shareHashS) },
          path: merklePath(nodeCipher, leaves, place).map(toHex),
        },
      ],
    });
    assert.deepEqual(verifyAccusation(nodeCipher, fed.study.parameters, framing(1, forged)), {
      proven: false,
      why: 'A box of the proof is not under the dealer’s root at its holder’s place.',
    });
    assert.deepEqual(verifyAccusation(nodeCipher, fed.study.parameters, framing(3, entries[3]!.sealed)), {
      proven: false,
      why: 'The share is the one that was dealt.',
    });
  });

  test('silence is noted, and said to be unprovable', () => {
    const fed = make();
    ready(fed);
    share(fed);
    deliver(fed, complaintOf(fed, 0, 2));
    expire(fed);
    const [accusation] = fed.round.accusations;
    assert.equal(accusation!.reason, 'silent-on-complaint');
    assert.equal(verifyAccusation(nodeCipher, fed.study.parameters, accusation!).proven, false);
  });

  test('the coordinator’s two lists for one stage, and no frame against it', () => {
    const { study } = make();
    const lists = (['11', '22'] as const).map((byte) => signedByCoordinator(study, 1, 128, { u1: byte.repeat(32) }));
    const [first, second] = lists as [AnyMessage, AnyMessage];
    const verify = (one: AnyMessage, two: AnyMessage) =>
      verifyEquivocation(nodeCipher, study.parameters, { first: one, second: two }).proven;
    assert.ok(verify(first, second));
    assert.ok(!verify(first, first));
    assert.ok(!verify(first, { ...second, signature: first.signature }));
    assert.ok(!verify(first, signedByCoordinator(study, 2, 128, { u1: '22'.repeat(32) })));
    assert.ok(!verify(first, signedByCoordinator(study, 1, 131, { statement: '22'.repeat(32) })));
    const peer = signMessage(nodeCipher, study.identities[0]!, contextAt(study, 1), 128, 0, { u1: '22'.repeat(32) });
    assert.ok(!verify(peer, second));
  });
});

suite('the dealer answers no invented complaint', () => {
  /** Institution 0 is at the stage where it has dealt; the coordinator says that these complaints came. */
  async function asked(complaints: (self: LyingStudy) => Message<16>[]): Promise<LyingStudy> {
    const self = await lyingStudy();
    await self.settle({
      until: () => self.round().stage === 'masked' && self.victim.engine.round()?.stage === 'shares',
    });
    const round = { number: 1, stage: 'masked' as const, eligible: true };
    await self.victim.engine.advance({
      outcome: null,
      closed: 0,
      lastClosed: { round: 0, sum: '0'.repeat(64) },
      round,
      complaints: complaints(self),
      witness: null,
    });
    return self;
  }
  const real = (self: LyingStudy, sender: number): Message<16> => {
    const coordinator = { cipher: nodeCipher, parameters: self.study.parameters, signer: self.study.coordinator };
    const entries = decodeDelivery(deliveryBytes(coordinator, self.round(), sender)!);
    const round = self.round();
    return signedComplaint(
      { study: self.study, round },
      sender,
      entries.find((entry) => entry.dealer === 0)!,
    );
  };

  test('a holder’s own complaint about its own box is answered', async () => {
    const self = await asked((held) => [real(held, 2)]);
    assert.ok(self.victim.sent.includes(17));
  });
  test('complaints that the coordinator signed for others open no box', async () => {
    const self = await asked((held) =>
      [1, 2, 3].map((sender) => ({ ...real(held, sender), signature: real(held, 1).signature.replace(/^../, '00') })),
    );
    assert.deepEqual(codesOf(self.victim), ['list-signature']);
    assert.ok(!self.victim.sent.includes(17));
  });
  test('nor does a complaint about another box, list or round', async () => {
    const otherBox = await asked((held) => {
      const complaint = real(held, 2);
      return [signedAgain(held.study, complaint, { box: `ff${complaint.body.box.slice(2)}` })];
    });
    assert.deepEqual(codesOf(otherBox.victim), ['complaint-off-root']);
    const otherList = await asked((held) => [signedAgain(held.study, real(held, 2), { u1: '00'.repeat(32) })]);
    assert.deepEqual(codesOf(otherList.victim), ['complaint-not-mine']);
    const otherRound = await asked((held) => [signedAgain(held.study, { ...real(held, 2), round: 2 }, {})]);
    assert.deepEqual(codesOf(otherRound.victim), ['complaint-not-mine']);
    for (const self of [otherBox, otherList, otherRound]) assert.ok(!self.victim.sent.includes(17));
  });
  test('the coordinator refuses a complaint off the root, and keeps going', () => {
    const fed = make();
    ready(fed);
    share(fed);
    const complaint = complaintOf(fed, 1, 2);
    const off = signedAgain(fed.study, complaint, { box: `ff${complaint.body.box.slice(2)}` });
    const event = { kind: 'message' as const, message: off as Message, now: fed.now };
    assert.throws(() => reduceRound(fed.coordinator, fed.round, event), { code: 'complaint-off-root' });
  });
});
