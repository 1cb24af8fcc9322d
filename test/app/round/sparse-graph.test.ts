// A round on a sparse graph: the draw, boxes and masks among neighbours, dropouts, liars named with proof, and what a
// participant and the coordinator refuse. Design 3, "Complete graph" and R0b.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { reduceRound } from '../../../app/round/coordinator.ts';
import { deliveryBytes } from '../../../app/round/coordinator-lists.ts';
import { openRound } from '../../../app/round/coordinator-state.ts';
import { mostRedraws, roundGraph } from '../../../app/round/graph.ts';
import { signMessage } from '../../../app/round/messages.ts';
import { configHash } from '../../../app/round/parameters.ts';
import {
  answerComplaint,
  leaveRound,
  receiveCohort,
  receiveReveals,
  receiveShares,
  receiveSurvivors,
} from '../../../app/round/participant.ts';
import { verifyAccusation } from '../../../app/round/proofs.ts';
import { checkResult } from '../../../app/round/result.ts';
import { decodeBundle, decodeDelivery, encodeBundle } from '../../../app/sealed-sum/box-frames.ts';
import { boxRoot } from '../../../app/sealed-sum/boxes.ts';
import { signedAgain, contextAt, sharersHash, signedByCoordinator } from '../../../app/simulation/forged-lists.ts';
import { nodeCipher, nodeMachine } from '../../../main/host/machine.ts';
import {
  agree,
  cohortList,
  deliver,
  expire,
  federation,
  open,
  ready,
  reveal,
  revealsList,
  seal,
  share,
  sharersList,
  survivorsList,
  unmask,
} from './federation.ts';
import type { Federation } from './federation.ts';
import { sampleStudy } from './sample-study.ts';

const vector = (index: number): Uint32Array => new Uint32Array(5).fill(1000 * index + 1);
const plainSum = (members: readonly number[]): number[] => [
  ...members.reduce((sum, index) => sum.map((word, at) => word + vector(index)[at]!), new Uint32Array(5)),
];
/** Nine institutions, one colluder, two losses: six neighbours each, of whom four open a secret. */
const make = (): Federation =>
  federation(sampleStudy({ institutions: 9, sparse: { colluders: 1, losses: 1 } }), nodeMachine);
const graphOf = (fed: Federation) => roundGraph(fed.coordinator.parameters, fed.round.members, fed.round.ring);
const refuses = (code: string) => (error: unknown) => (error as { code?: string }).code === code;

function nextRound(fed: Federation): void {
  const { parameters, cipher } = fed.coordinator;
  const number = fed.round.round + 1;
  const config = toHex(configHash(cipher, parameters, number));
  for (const party of fed.parties) party.state = party.state && leaveRound(party.state);
  fed.round = openRound(number, { ...fed.round.expected, round: number, config }, fed.round.eligible);
}

suite('a round on a sparse graph', () => {
  test('opens the exact sum, with boxes and shares among neighbours alone', () => {
    const fed = make();
    const { degree, shareThreshold } = fed.coordinator.parameters.sparse!;
    assert.ok(degree < 8);
    ready(fed);
    assert.equal(fed.round.stage, 'reveals');
    share(fed);
    for (const { message, bundle } of fed.round.shares.values()) {
      const holders = decodeBundle(bundle).map(({ holder }) => holder);
      assert.equal(holders.length, degree);
      assert.deepEqual(holders, graphOf(fed).holdersOf(message.sender));
      assert.ok(!holders.includes(message.sender));
    }
    seal(fed, vector);
    for (const { state } of fed.parties) assert.equal(Object.keys(state!.received!).length, degree);
    agree(fed);
    unmask(fed);
    for (const { body } of fed.round.unmask.values()) assert.ok(body.shares.length <= degree);
    assert.equal(fed.round.stage, 'opening');
    assert.ok(shareThreshold < fed.coordinator.parameters.threshold);
    assert.deepEqual([...open(fed)], plainSum(fed.round.survivors));
    for (const { state } of fed.parties)
      assert.doesNotThrow(() => checkResult(nodeCipher, fed.coordinator.parameters, state!, fed.round.result!));
  });

  test('opens with any one institution lost after it shared', () => {
    for (const lost of [0, 4, 8]) {
      const fed = make();
      ready(fed);
      share(fed);
      seal(fed, vector, new Set([lost]));
      agree(fed, new Set([lost]));
      unmask(fed, new Set([lost]));
      assert.equal(fed.round.stage, 'opening', `without ${lost}`);
      assert.deepEqual([...open(fed)], plainSum([0, 1, 2, 3, 4, 5, 6, 7, 8].filter((index) => index !== lost)));
    }
  });

  test('draws another ring each time, which all work out alike', () => {
    const rings = new Set<string>();
    for (let time = 0; time < 3; time++) {
      const fed = make();
      ready(fed);
      share(fed);
      const seen = new Set(fed.parties.map(({ state }) => state!.u1!.ring!.join()));
      assert.equal(seen.size, 1);
      assert.deepEqual([...seen], [fed.round.ring!.join()]);
      rings.add(fed.round.ring!.join());
    }
    assert.ok(rings.size > 1);
  });

  test('aborts when one does not reveal; after two such rounds the complete graph is used', () => {
    const fed = make();
    for (let time = 0; time < mostRedraws; time++) {
      ready(fed);
      reveal(fed, new Set([3]));
      assert.equal(fed.round.aborted?.body.reason, 'reveal-missing');
      nextRound(fed);
    }
    ready(fed);
    assert.equal(fed.round.stage, 'shares');
    share(fed);
    assert.equal(fed.round.ring, undefined);
    seal(fed, vector);
    agree(fed);
    unmask(fed);
    assert.deepEqual([...open(fed)], plainSum(fed.round.survivors));
  });

  test('counts draws that ended in vain even where the one that saw them first is away', () => {
    const fed = make();
    ready(fed, new Set([8]));
    reveal(fed, new Set([8, 0]));
    nextRound(fed);
    ready(fed, new Set([1]));
    reveal(fed, new Set([1, 2]));
    nextRound(fed);
    // Institution 8 saw one of the two, and took over what the others knew of the other.
    assert.equal(fed.parties[8]!.memory.redraws, 2);
  });

  test('uses the complete graph where all others are neighbours anyway', () => {
    const study = sampleStudy({
      institutions: 9,
      sparse: { colluders: 1, losses: 1 },
      change: (contract) => ({
        ...contract,
        sealing: { ...contract.sealing, sparseGraph: { kind: 'harary', degree: 8, shareThreshold: 5 } },
      }),
    });
    const fed = federation(study, nodeMachine);
    ready(fed);
    assert.equal(fed.round.stage, 'shares');
  });
});

suite('on a sparse graph a participant refuses', () => {
  const drawn = (): Federation => {
    const fed = make();
    ready(fed);
    reveal(fed);
    return fed;
  };

  test('a draw in which a part is missing, or differs from what was committed to', () => {
    const fed = drawn();
    const party = fed.parties[0]!;
    const list = revealsList(fed, party);
    const without = { ...list, members: list.members.filter(({ sender }) => sender !== 4) };
    assert.throws(() => receiveReveals(party.participant, party.state!, without), refuses('reveal-missing'));
    const forged = list.members.map((member) =>
      member.sender === 4 ? signedAgain(fed.study, member, { nonce: '42'.repeat(32) }) : member,
    );
    assert.throws(
      () => receiveReveals(party.participant, party.state!, { ...list, members: forged }),
      refuses('nonce-differs'),
    );
    const unsigned = list.members.map((member) =>
      member.sender === 4 ? { ...member, signature: '00'.repeat(64) } : member,
    );
    assert.throws(
      () => receiveReveals(party.participant, party.state!, { ...list, members: unsigned }),
      refuses('list-signature'),
    );
    const own = list.members.filter(({ sender }) => sender !== 0);
    assert.throws(
      () => receiveReveals(party.participant, party.state!, { ...list, members: own }),
      refuses('self-missing'),
    );
  });

  test('a draw with a part of somebody who is not in the first list', () => {
    const fed = make();
    ready(fed, new Set([8]));
    reveal(fed, new Set([8]));
    const party = fed.parties[0]!;
    const list = revealsList(fed, party);
    const { u1, u1Signature } = list.members[0]!.body;
    const body = { u1, u1Signature, nonce: '42'.repeat(32) };
    const extra = signMessage(nodeCipher, fed.study.identities[8]!, contextAt(fed.study, 1), 5, 8, body);
    assert.throws(
      () => receiveReveals(party.participant, party.state!, { ...list, members: [...list.members, extra] }),
      refuses('sets-not-nested'),
    );
  });

  test('another graph than the one that was drawn', () => {
    const fed = drawn();
    const party = fed.parties[0]!;
    const list = revealsList(fed, party);
    const head = signedByCoordinator(fed.study, 1, 133, { ...list.head.body, ring: '17'.repeat(32) });
    assert.throws(() => receiveReveals(party.participant, party.state!, { ...list, head }), refuses('ring-differs'));
  });

  test('to reveal or to deal twice', () => {
    const fed = drawn();
    const party = fed.parties[0]!;
    assert.throws(
      () => receiveCohort(party.participant, party.memory, party.state!, cohortList(fed, party)),
      refuses('already-signed'),
    );
    const dealt = receiveReveals(party.participant, party.state!, revealsList(fed, party)).state;
    assert.throws(() => receiveReveals(party.participant, dealt, revealsList(fed, party)), refuses('already-signed'));
  });

  test('a second list in which somebody dealt on another graph, or on the complete one', () => {
    for (const ring of ['17'.repeat(32), undefined]) {
      const fed = make();
      ready(fed);
      share(fed);
      const party = fed.parties[0]!;
      const list = sharersList(fed, party);
      const members = list.members.map((member) => {
        if (member.sender !== 5) return member;
        const { ring: _ring, ...rest } = member.body;
        return signedAgain(fed.study, { ...member, body: rest }, ring === undefined ? {} : { ring });
      });
      const boxes = deliveryBytes(fed.coordinator, fed.round, 0)!;
      const u2 = sharersHash(fed.study, members);
      const head = signedByCoordinator(fed.study, 1, 129, { ...list.head.body, u2 });
      assert.throws(
        () => receiveShares(party.participant, party.state!, { head, members }, boxes),
        refuses('ring-differs'),
      );
    }
  });

  test('lists that leave anybody with too few neighbours', () => {
    const study = sampleStudy({
      institutions: 9,
      sparse: { colluders: 1, losses: 1 },
      // One that no contract check lets pass: all neighbours of everybody would have to stay.
      change: (contract) => ({
        ...contract,
        sealing: { ...contract.sealing, sparseGraph: { kind: 'harary', degree: 4, shareThreshold: 4 } },
      }),
    });
    const fed = federation(study, nodeMachine);
    ready(fed);
    share(fed);
    const party = fed.parties[0]!;
    const list = sharersList(fed, party);
    const members = list.members.filter(({ sender }) => sender !== 5);
    const head = signedByCoordinator(fed.study, 1, 129, { ...list.head.body, u2: sharersHash(fed.study, members) });
    const boxes = deliveryBytes(fed.coordinator, fed.round, 0)!;
    assert.throws(
      () => receiveShares(party.participant, party.state!, { head, members }, boxes),
      refuses('too-few-neighbours'),
    );
    seal(fed, vector);
    const third = survivorsList(fed, party);
    const fewer = { ...third, members: third.members.filter(({ sender }) => sender !== 5) };
    assert.throws(() => receiveSurvivors(party.participant, party.state!, fewer), refuses('too-few-neighbours'));
  });
});

suite('on a sparse graph the coordinator', () => {
  test('refuses a part of the draw that was not committed to, and boxes for others than the neighbours', () => {
    const fed = make();
    ready(fed);
    const party = fed.parties[0]!;
    const step = receiveCohort(party.participant, party.memory, party.state!, cohortList(fed, party));
    const forged = signedAgain(fed.study, step.state.reveal!, { nonce: '42'.repeat(32) });
    assert.throws(() => deliver(fed, forged), refuses('nonce-differs'));
    reveal(fed);
    const dealt = receiveReveals(party.participant, party.state!, revealsList(fed, party)).state;
    const fewer = decodeBundle(fromHex(dealt.bundle!)).slice(1);
    assert.throws(() => deliver(fed, dealt.shares!, encodeBundle(fewer)), refuses('boxes-incomplete'));
    const { ring: _ring, ...rest } = dealt.shares!.body;
    assert.throws(
      () => deliver(fed, signedAgain(fed.study, { ...dealt.shares!, body: rest }, {}), fromHex(dealt.bundle!)),
      refuses('ring-differs'),
    );
  });

  test('names a dealer of a bad box with a proof that holds, and fails without the draw', () => {
    const fed = make();
    ready(fed);
    reveal(fed);
    for (const party of fed.parties)
      party.state = receiveReveals(party.participant, party.state!, revealsList(fed, party)).state;
    const dealer = fed.parties[2]!;
    const entries = decodeBundle(fromHex(dealer.state!.bundle!));
    entries[0]!.sealed.box[60]! ^= 1;
    const root = toHex(boxRoot(nodeCipher, contextAt(fed.study, 1), 2, entries));
    dealer.state = {
      ...dealer.state!,
      shares: signedAgain(fed.study, dealer.state!.shares!, { boxes: root }),
      bundle: toHex(encodeBundle(entries)),
    };
    for (const { state } of fed.parties) deliver(fed, state!.shares!, fromHex(state!.bundle!));
    const victim = fed.parties[entries[0]!.holder]!;
    const boxes = deliveryBytes(fed.coordinator, fed.round, victim.participant.index)!;
    const left = receiveShares(victim.participant, victim.state!, sharersList(fed, victim), boxes).state;
    assert.equal(left.stage, 'left');
    deliver(fed, left.complaints[0]!);
    deliver(fed, answerComplaint(dealer.participant, dealer.state, left.complaints[0]!));
    const [accusation] = fed.round.accusations;
    assert.equal(`${accusation?.accused}/${accusation?.reason}`, '2/bad-box');
    const { parameters } = fed.coordinator;
    assert.deepEqual(verifyAccusation(nodeCipher, parameters, accusation!), { proven: true });
    const without = { ...accusation!, proof: accusation!.proof.filter(({ stage }) => stage !== 5) };
    assert.equal(verifyAccusation(nodeCipher, parameters, without).proven, false);
  });

  test('names a sender of a wrong share, and the dealer of a wrong secret, with proofs that hold', () => {
    const fed = make();
    ready(fed);
    share(fed);
    seal(fed, vector);
    agree(fed);
    const liar = fed.parties[4]!;
    const others = new Set([0, 1, 2, 3, 5, 6, 7, 8]);
    const before = fed.round;
    unmask(fed, others);
    const honest = liar.state!.unmask!;
    const shares = honest.body.shares.map((one, at) => (at === 1 ? { ...one, share: '01'.repeat(32) } : one));
    fed.round = reduceRound(fed.coordinator, before, {
      kind: 'message',
      message: signedAgain(fed.study, honest, { shares }),
      now: fed.now,
    });
    const [accusation] = fed.round.accusations;
    assert.equal(`${accusation?.accused}/${accusation?.reason}`, '4/wrong-share');
    assert.deepEqual(verifyAccusation(nodeCipher, fed.coordinator.parameters, accusation!), { proven: true });

    const second = make();
    ready(second);
    reveal(second);
    const dealer = second.parties[6]!;
    const dealt = receiveReveals(dealer.participant, dealer.state!, revealsList(second, dealer)).state;
    dealer.state = { ...dealt, shares: signedAgain(second.study, dealt.shares!, { selfMask: '09'.repeat(32) }) };
    deliver(second, dealer.state.shares!, fromHex(dealer.state.bundle!));
    share(second, new Set([6]));
    seal(second, vector);
    agree(second);
    // The round ends at the first answer that completes a false secret; what comes later is late.
    assert.throws(() => unmask(second), refuses('stage-over'));
    assert.equal(second.round.aborted?.body.reason, 'wrong-secret');
    const [named] = second.round.accusations;
    assert.equal(`${named?.accused}/${named?.reason}`, '6/wrong-secret');
    assert.deepEqual(verifyAccusation(nodeCipher, second.coordinator.parameters, named!), { proven: true });
  });

  test('gives the round up where too few neighbours of anybody are left', () => {
    const fed = make();
    ready(fed);
    share(
      fed,
      new Set(
        graphOf({ ...fed })
          .holdersOf(0)
          .slice(0, 0),
      ),
    );
    const gone = new Set(graphOf(fed).holdersOf(0).slice(0, 3));
    seal(fed, vector, gone);
    assert.ok(fed.round.aborted !== null);
    expire(fed);
    assert.equal(
      decodeDelivery(deliveryBytes(fed.coordinator, fed.round, 0)!).length,
      fed.coordinator.parameters.sparse!.degree,
    );
  });
});
