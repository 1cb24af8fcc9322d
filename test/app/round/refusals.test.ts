// "The client refuses" (design 3), the round's part: a coordinator or a peer really does it, over the real codecs, and
// the participant leaves with the code that names it. Deeper attacks follow in a suite of their own.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { RefusalError } from '../../../app/errors.ts';
import { reduceRound } from '../../../app/round/coordinator.ts';
import { broadcastBytes, deliveryBytes } from '../../../app/round/coordinator-lists.ts';
import { decodeBroadcast, encodeBroadcast } from '../../../app/round/lists.ts';
import type { Broadcast } from '../../../app/round/lists.ts';
import { bodyBytes, coordinatorSender, signMessage } from '../../../app/round/messages.ts';
import type { BodyOf, Message } from '../../../app/round/messages.ts';
import {
  receiveCohort,
  receiveShares,
  receiveSurvivors,
  receiveTranscript,
  sealVector,
  signReady,
} from '../../../app/round/participant.ts';
import { wipeRound } from '../../../app/round/participant-state.ts';
import { checkResult, readdSum, sumHash } from '../../../app/round/result.ts';
import { decodeDelivery, encodeDelivery } from '../../../app/sealed-sum/box-frames.ts';
import { setHash, statementHash } from '../../../app/sealed-sum/context.ts';
import { nodeCipher, nodeMachine } from '../../../main/host/machine.ts';
import {
  agree,
  cohortList,
  deliver,
  expire,
  federation,
  open,
  ready,
  seal,
  share,
  sharersList,
  survivorsList,
  transcriptList,
  unmask,
} from './federation.ts';
import type { Federation, Party } from './federation.ts';
import { sampleStudy } from './sample-study.ts';

const dimension = 5;
const vector = (index: number): Uint32Array => new Uint32Array(dimension).fill(index + 1);
const make = (institutions = 4): Federation => federation(sampleStudy({ institutions }), nodeMachine);
const contextFor = (fed: Federation) => ({ study: fed.study.parameters.study, round: fed.round.round });

function refused(code: string, act: () => unknown): void {
  assert.throws(act, (error: unknown) => error instanceof RefusalError && error.code === code);
}

/** Signs a list anew as the coordinator would, after a test has changed its members. */
function relist(fed: Federation, members: readonly Message<0>[]): Broadcast<128, 0> {
  const hash = setHash(
    nodeCipher,
    'css1/U1',
    contextFor(fed),
    [...members]
      .sort((left, right) => left.sender - right.sender)
      .filter((member, at, all) => all.findIndex((other) => other.sender === member.sender) === at)
      .map((member) => ({ index: member.sender, body: bodyBytes(member) })),
  );
  return { head: sign(fed, 128, { u1: toHex(hash) }), members };
}

function sign<S extends 128 | 129 | 130 | 131 | 132>(fed: Federation, stage: S, body: BodyOf<S>): Message<S> {
  return signMessage(nodeCipher, fed.study.coordinator, contextFor(fed), stage, coordinatorSender, body);
}

function victim(fed: Federation): Party {
  return fed.parties[0]!;
}

/** A Ready of party `at`, changed and signed again by its own key. */
function changedReady(fed: Federation, at: number, change: Partial<BodyOf<0>>): Message<0> {
  const { ready: original } = fed.parties[at]!.state!;
  return signMessage(nodeCipher, fed.study.identities[at]!, contextFor(fed), 0, at, { ...original.body, ...change });
}

const readiesOf = (fed: Federation): Message<0>[] => fed.parties.map((party) => party.state!.ready);

function atCohort(fed: Federation, members: readonly Message<0>[], party = victim(fed)): () => unknown {
  return () => receiveCohort(party.participant, party.memory, party.state!, relist(fed, members));
}

suite('the list of Readies', () => {
  const fed = make();
  ready(fed);
  const all = readiesOf(fed);
  const replaced = (at: number, message: Message<0>): Message<0>[] => all.map((one, i) => (i === at ? message : one));

  test('an honest list is accepted', () => {
    assert.equal(
      receiveCohort(victim(fed).participant, victim(fed).memory, victim(fed).state!, cohortList(fed, victim(fed))).state
        .stage,
      'shares',
    );
  });
  test('contract hash differs', () =>
    refused('contract-differs', atCohort(fed, replaced(2, changedReady(fed, 2, { contract: '00'.repeat(32) })))));
  test('hashes of model or config differ', () => {
    refused('model-differs', atCohort(fed, replaced(2, changedReady(fed, 2, { model: '00'.repeat(32) }))));
    refused('config-differs', atCohort(fed, replaced(2, changedReady(fed, 2, { config: '00'.repeat(32) }))));
  });
  test('model not the successor of the last one pinned', () =>
    refused(
      'last-sum-differs',
      atCohort(fed, replaced(2, changedReady(fed, 2, { last: { round: 3, sum: '11'.repeat(32), verified: true } }))),
    ));
  test('unknown or unsigned roster key', () => {
    const stranger = { ...all[3]!, sender: 9 };
    refused('unknown-key', atCohort(fed, [...all, stranger]));
    refused('list-signature', atCohort(fed, replaced(2, { ...all[2]!, signature: all[1]!.signature })));
  });
  test('a list out of order or with a member twice', () => {
    refused('list-order', atCohort(fed, [all[0]!, all[2]!, all[1]!, all[3]!]));
    refused('list-order', atCohort(fed, [all[0]!, all[1]!, all[1]!, all[2]!]));
  });
  test('itself missing or changed', () => {
    refused('self-missing', atCohort(fed, all.slice(1)));
    refused('self-missing', atCohort(fed, replaced(0, changedReady(fed, 0, { head: '99'.repeat(32) }))));
  });
  test('cohort below its floor', () => refused('cohort-below-floor', atCohort(fed, all.slice(0, 2))));
  test('one one-time key used twice', () =>
    refused('keys-not-distinct', atCohort(fed, replaced(2, changedReady(fed, 2, { keys: all[1]!.body.keys })))));
  test('a key of small order', () => {
    const keys = { ...all[2]!.body.keys!, masks: `01${'00'.repeat(31)}` };
    refused('weak-key', atCohort(fed, replaced(2, changedReady(fed, 2, { keys }))));
  });
  test('a peer’s counter lower than seen, or equal with another head', () => {
    const party = {
      ...victim(fed),
      memory: { ...victim(fed).memory, peers: { '2': { counter: 5, head: '00'.repeat(32) } } },
    };
    refused('counter-rolled-back', atCohort(fed, all, party));
    const same = { ...party, memory: { ...party.memory, peers: { '2': { counter: 1, head: '00'.repeat(32) } } } };
    refused('counter-rolled-back', atCohort(fed, all, same));
  });
  test('a hash that is not that of the list', () => {
    const list = { head: sign(fed, 128, { u1: '12'.repeat(32) }), members: all };
    refused('u1-differs', () => receiveCohort(victim(fed).participant, victim(fed).memory, victim(fed).state!, list));
  });
  test('a list that the coordinator did not sign, or of another round', () => {
    const list = cohortList(fed, victim(fed));
    const forged = { ...list, head: { ...list.head, signature: all[0]!.signature } };
    refused('coordinator-signature', () =>
      receiveCohort(victim(fed).participant, victim(fed).memory, victim(fed).state!, forged),
    );
    const old = { ...list, head: { ...list.head, round: 7 } };
    refused('old-round', () => receiveCohort(victim(fed).participant, victim(fed).memory, victim(fed).state!, old));
  });
  test('a sum taken over on return that too few confirm', () => {
    const other = make();
    for (const party of other.parties)
      party.memory = { ...party.memory, last: { ...party.memory.last, verified: party.participant.index === 1 } };
    ready(other);
    refused('sum-not-confirmed', () =>
      receiveCohort(
        victim(other).participant,
        victim(other).memory,
        victim(other).state!,
        cohortList(other, victim(other)),
      ),
    );
  });
  test('an omitted field takes the recipient’s own value, so another model fails its signature', () => {
    const bytes = encodeBroadcast(relist(fed, all).head, all, { model: all[0]!.body.model });
    const list = decodeBroadcast(bytes, 128, 0, { ...victim(fed).state!.ready.body, model: 'cd'.repeat(32) });
    refused('self-missing', () => receiveCohort(victim(fed).participant, victim(fed).memory, victim(fed).state!, list));
  });
});

suite('a second signature for a round', () => {
  test('an old round, one too far, one while the last is not wiped', () => {
    const fed = make();
    ready(fed);
    const { participant, memory, state } = victim(fed);
    const head = new Uint8Array(32);
    refused('round-not-wiped', () => signReady(participant, memory, state, 2, head));
    refused('old-round', () => signReady(participant, memory, wipeRound(state!), 1, head));
    refused('round-too-far', () => signReady(participant, memory, wipeRound(state!), 10, head));
    assert.equal(signReady(participant, memory, wipeRound(state!), 9, head).state.round, 9);
    // Somebody who was away for an hour may have missed a round a second that came to nothing.
    const hourAgo = { ...memory, signedAt: memory.signedAt! - 3_600_000 };
    assert.equal(signReady(participant, hourAgo, wipeRound(state!), 3609, head).state.round, 3609);
    refused('round-too-far', () => signReady(participant, hourAgo, wipeRound(state!), 3611, head));
  });
  test('nothing is signed twice for one stage', () => {
    const fed = make();
    ready(fed);
    const list = cohortList(fed, victim(fed));
    share(fed);
    refused('already-signed', () =>
      receiveCohort(victim(fed).participant, victim(fed).memory, victim(fed).state!, list),
    );
    const second = sharersList(fed, victim(fed));
    const boxes = deliveryBytes(fed.coordinator, fed.round, 0)!;
    seal(fed, vector);
    refused('already-signed', () => receiveShares(victim(fed).participant, victim(fed).state!, second, boxes));
    refused('already-signed', () => sealVector(victim(fed).participant, victim(fed).state!, vector(0)));
    const third = survivorsList(fed, victim(fed));
    agree(fed);
    refused('already-signed', () => receiveSurvivors(victim(fed).participant, victim(fed).state!, third));
  });
});

suite('boxes', () => {
  function shared(): Federation {
    const fed = make();
    ready(fed);
    share(fed);
    return fed;
  }
  const receive = (fed: Federation, delivery: Uint8Array, list = sharersList(fed, victim(fed))) =>
    receiveShares(victim(fed).participant, victim(fed).state!, list, delivery);

  test('boxes swapped or reflected accuse the coordinator, no honest dealer', () => {
    const fed = shared();
    const mine = decodeDelivery(deliveryBytes(fed.coordinator, fed.round, 0)!);
    const [first, second] = [mine[1]!, mine[2]!];
    const swapped = mine.map((entry) =>
      entry === first ? { ...second, dealer: 1 } : entry === second ? { ...first, dealer: 2 } : entry,
    );
    refused('box-off-root', () => receive(fed, encodeDelivery(swapped)));
    const theirs = decodeDelivery(deliveryBytes(fed.coordinator, fed.round, 1)!);
    const reflected = mine.map((entry) => (entry.dealer === 2 ? theirs.find((other) => other.dealer === 2)! : entry));
    refused('box-off-root', () => receive(fed, encodeDelivery(reflected)));
  });
  test('a missing box accuses the coordinator', () => {
    const fed = shared();
    const mine = decodeDelivery(deliveryBytes(fed.coordinator, fed.round, 0)!);
    refused('box-missing', () => receive(fed, encodeDelivery(mine.slice(0, 3))));
  });
  test('another first list under a valid signature proves equivocation', () => {
    const fed = shared();
    const shown = sign(fed, 128, { u1: '77'.repeat(32) });
    const original = fed.parties[2]!.state!.shares!;
    const body = { ...original.body, u1: shown.body.u1, u1Signature: shown.signature };
    const lied = signMessage(nodeCipher, fed.study.identities[2]!, contextFor(fed), 1, 2, body);
    const list = sharersList(fed, victim(fed));
    const members = list.members.map((member) => (member.sender === 2 ? lied : member));
    refused('coordinator-equivocated', () =>
      receive(fed, deliveryBytes(fed.coordinator, fed.round, 0)!, { ...list, members }),
    );
    const forged = signMessage(nodeCipher, fed.study.identities[2]!, contextFor(fed), 1, 2, {
      ...body,
      u1Signature: original.signature,
    });
    const framed = list.members.map((member) => (member.sender === 2 ? forged : member));
    refused('u1-differs', () =>
      receive(fed, deliveryBytes(fed.coordinator, fed.round, 0)!, { ...list, members: framed }),
    );
  });
});

suite('the sets', () => {
  test('U-sets not nested, below t, or shown differently to others', () => {
    const fed = make();
    ready(fed);
    share(fed);
    const list = sharersList(fed, victim(fed));
    const boxes = deliveryBytes(fed.coordinator, fed.round, 0)!;
    const short = list.members.slice(0, 2);
    const hash = setHash(
      nodeCipher,
      'css1/U2',
      contextFor(fed),
      short.map((member) => ({ index: member.sender, body: bodyBytes(member) })),
    );
    const head = sign(fed, 129, { u1: list.head.body.u1, u2: toHex(hash) });
    refused('cohort-below-floor', () =>
      receiveShares(victim(fed).participant, victim(fed).state!, { head, members: short }, boxes),
    );
    seal(fed, vector);
    const third = survivorsList(fed, victim(fed));
    const outsider = signMessage(nodeCipher, fed.study.identities[3]!, contextFor(fed), 2, 3, {
      ...third.members[3]!.body,
      u2: '55'.repeat(32),
    });
    const split = { ...third, members: [...third.members.slice(0, 3), outsider] };
    refused('u2-differs', () => receiveSurvivors(victim(fed).participant, victim(fed).state!, split));
    const narrowed = {
      ...victim(fed).state!,
      u2: { ...victim(fed).state!.u2!, members: victim(fed).state!.u2!.members.slice(0, 3) },
    };
    refused('sets-not-nested', () => receiveSurvivors(victim(fed).participant, narrowed, third));
    refused('cohort-below-floor', () =>
      receiveSurvivors(victim(fed).participant, victim(fed).state!, { ...third, members: third.members.slice(0, 2) }),
    );
  });
  test('its own root changed', () => {
    const fed = make();
    ready(fed);
    share(fed);
    seal(fed, vector);
    const third = survivorsList(fed, victim(fed));
    const changed = signMessage(nodeCipher, fed.study.identities[0]!, contextFor(fed), 2, 0, {
      ...third.members[0]!.body,
      root: '66'.repeat(32),
    });
    refused('own-root-changed', () =>
      receiveSurvivors(victim(fed).participant, victim(fed).state!, {
        ...third,
        members: [changed, ...third.members.slice(1)],
      }),
    );
  });
  test('a signer outside U3, too few signatures, another statement', () => {
    const fed = make();
    ready(fed);
    share(fed);
    seal(fed, vector, new Set([3]));
    agree(fed);
    const list = transcriptList(fed, victim(fed));
    const statement = list.head.body.statement;
    const outside = signMessage(nodeCipher, fed.study.identities[3]!, contextFor(fed), 3, 3, {
      ...list.members[0]!.body,
    });
    const receive =
      (members: readonly Message<3>[], head = list.head) =>
      () =>
        receiveTranscript(victim(fed).participant, victim(fed).state!, { head, members });
    refused('signer-outside-u3', receive([...list.members.slice(0, 2), outside]));
    refused('too-few-signatures', receive(list.members.slice(0, 2)));
    const other = signMessage(nodeCipher, fed.study.identities[2]!, contextFor(fed), 3, 2, {
      ...list.members[2]!.body,
      statement: '44'.repeat(32),
    });
    refused('statement-differs', receive([...list.members.slice(0, 2), other]));
    refused('statement-differs', receive(list.members, sign(fed, 131, { statement: '44'.repeat(32) })));
    assert.notEqual(statement, '44'.repeat(32));
  });
});

suite('without noise', () => {
  const study = () =>
    sampleStudy({
      institutions: 6,
      change: (contract) => ({
        ...contract,
        privacy: { ...contract.privacy, noise: 'none', noiseMultiplier: null, epsilon: null },
        sealing: {
          ...contract.sealing,
          noiseVariance: 0,
          openableBatches: [
            [0, 1, 2],
            [3, 4, 5],
          ],
        },
      }),
    });

  test('only whole batches of the contract are opened: the coordinator aborts, a participant refuses', () => {
    const aborted = federation(study(), nodeMachine);
    ready(aborted);
    share(aborted);
    seal(aborted, vector, new Set([5]));
    assert.equal(aborted.round.aborted?.body.reason, 'batch-not-whole');

    const fed = federation(study(), nodeMachine);
    ready(fed);
    share(fed);
    seal(fed, vector);
    const whole = survivorsList(fed, victim(fed));
    assert.equal(receiveSurvivors(victim(fed).participant, victim(fed).state!, whole).state.stage, 'consistency');
    const members = whole.members.slice(0, 5);
    const { u1, u2 } = whole.head.body;
    const rooted = members.map(({ sender, body }) => ({ index: sender, root: fromHex(body.root) }));
    const statement = toHex(statementHash(nodeCipher, contextFor(fed), fromHex(u1), fromHex(u2), rooted));
    const head = sign(fed, 130, { u1, u2, statement });
    refused('batch-not-whole', () => receiveSurvivors(victim(fed).participant, victim(fed).state!, { head, members }));
  });
});

suite('opening', () => {
  function agreed(lost: readonly number[] = []): Federation {
    const fed = make();
    ready(fed);
    share(fed);
    seal(fed, vector, new Set(lost));
    agree(fed);
    return fed;
  }

  test('never both shares of anyone: one of each member, by the signed U3', () => {
    const fed = agreed([3]);
    unmask(fed);
    for (const party of fed.parties.slice(0, 3)) {
      const shares = party.state!.unmask!.body.shares;
      assert.deepEqual(
        shares.map(({ dealer, kind }) => [dealer, kind]),
        [
          [0, 0],
          [1, 0],
          [2, 0],
          [3, 1],
        ],
      );
    }
  });
  test('an R4 with both shares of one member, or of the wrong kind, is refused by the coordinator', () => {
    const fed = agreed([3]);
    const step = receiveTranscript(
      fed.parties[0]!.participant,
      fed.parties[0]!.state!,
      transcriptList(fed, fed.parties[0]!),
    );
    const body = step.state.unmask!.body;
    const both = { ...body, shares: [...body.shares, { dealer: 3, kind: 0, share: '00'.repeat(32) }] };
    refused('both-shares', () =>
      deliver(fed, signMessage(nodeCipher, fed.study.identities[0]!, contextFor(fed), 4, 0, both)),
    );
  });
  test('a wrong share names its sender, and the round opens without it', () => {
    const fed = agreed();
    const step = receiveTranscript(
      fed.parties[3]!.participant,
      fed.parties[3]!.state!,
      transcriptList(fed, fed.parties[3]!),
    );
    const body = step.state.unmask!.body;
    const shares = body.shares.map((one) => (one.dealer === 1 ? { ...one, share: '01'.repeat(32) } : one));
    deliver(fed, signMessage(nodeCipher, fed.study.identities[3]!, contextFor(fed), 4, 3, { ...body, shares }));
    assert.deepEqual(
      fed.round.accusations.map(({ accused, reason }) => [accused, reason]),
      [[3, 'wrong-share']],
    );
    unmask(fed, new Set([3]));
    assert.deepEqual([...open(fed)], [10, 10, 10, 10, 10]);
  });
  test('a wrong seed, a false sum, a vector that nobody signed', async () => {
    const fed = agreed();
    unmask(fed);
    const sum = open(fed);
    const { state } = victim(fed);
    const result = fed.round.result!;
    const { parameters } = fed.study;
    const seeds = result.body.seeds.map((seed, at) => (at === 2 ? { ...seed, secret: '05'.repeat(32) } : seed));
    refused('seed-wrong', () => checkResult(nodeCipher, parameters, state!, sign(fed, 132, { ...result.body, seeds })));
    refused('seeds-incomplete', () =>
      checkResult(nodeCipher, parameters, state!, sign(fed, 132, { ...result.body, seeds: seeds.slice(1) })),
    );
    const { masks } = checkResult(nodeCipher, parameters, state!, result);
    const held = { ...state!, u3: state!.u3! };
    const honest = {
      masked: async (index: number, chunk: number) => fed.uploads.get(index)![chunk]!,
      sum: async () => sum,
    };
    assert.deepEqual(await readdSum(nodeCipher, parameters, held, result, masks, honest), sum);
    const wrong = sum.slice();
    wrong[0]! += 1;
    const code = (expected: string) => (error: unknown) => error instanceof RefusalError && error.code === expected;
    await assert.rejects(
      readdSum(nodeCipher, parameters, held, result, masks, { ...honest, sum: async () => wrong }),
      code('sum-differs'),
    );
    const swapped = {
      ...honest,
      masked: async (index: number, chunk: number) =>
        fed.uploads.get(index === 1 ? 2 : index === 2 ? 1 : index)![chunk]!,
    };
    await assert.rejects(readdSum(nodeCipher, parameters, held, result, masks, swapped), code('vector-off-root'));
    const forged = sign(fed, 132, {
      ...result.body,
      sum: toHex(sumHash(nodeCipher, parameters, 1, [0, 1, 2, 3], [wrong])),
    });
    await assert.rejects(readdSum(nodeCipher, parameters, held, forged, masks, honest), code('sum-off-hash'));
  });
});

suite('complaints', () => {
  /** Dealer 2 deals a box to 0 that does not open: the bytes change, and the root is signed over them. */
  function withBadBox(): Federation {
    const fed = make();
    ready(fed);
    for (const party of fed.parties) {
      const step = receiveCohort(party.participant, party.memory, party.state!, cohortList(fed, party));
      party.memory = step.memory;
      party.state = step.state;
    }
    return fed;
  }

  test('a box on the root that does not open: complaint, answer, and the dealer is named', async () => {
    const { decodeBundle, encodeBundle } = await import('../../../app/sealed-sum/box-frames.ts');
    const { boxRoot } = await import('../../../app/sealed-sum/boxes.ts');
    const { answerComplaint } = await import('../../../app/round/participant.ts');
    const fed = withBadBox();
    const dealer = fed.parties[2]!;
    const entries = decodeBundle(fromHex(dealer.state!.bundle!));
    entries[0]!.sealed.box[60]! ^= 1;
    const body = { ...dealer.state!.shares!.body, boxes: toHex(boxRoot(nodeCipher, contextFor(fed), 2, entries)) };
    const shares = signMessage(nodeCipher, dealer.participant.identity, contextFor(fed), 1, 2, body);
    dealer.state = { ...dealer.state!, shares, bundle: toHex(encodeBundle(entries)) };
    for (const party of fed.parties) deliver(fed, party.state!.shares!, fromHex(party.state!.bundle!));
    const complainer = victim(fed);
    const opened = receiveShares(
      complainer.participant,
      complainer.state!,
      sharersList(fed, complainer),
      deliveryBytes(fed.coordinator, fed.round, 0)!,
    );
    assert.equal(opened.state.stage, 'left');
    assert.equal(opened.state.complaints.length, 1);
    deliver(fed, opened.state.complaints[0]!);
    deliver(fed, answerComplaint(dealer.participant, dealer.state, opened.state.complaints[0]!));
    assert.deepEqual(
      fed.round.accusations.map(({ accused, reason }) => [accused, reason]),
      [[2, 'bad-box']],
    );
    seal(fed, vector, new Set([0]));
    assert.deepEqual([...fed.round.survivors], [1, 2, 3]);
  });
  test('a false complaint names the complainer; a silent dealer is named at the deadline', async () => {
    const { answerComplaint } = await import('../../../app/round/participant.ts');
    for (const answered of [true, false]) {
      const fed = make();
      ready(fed);
      share(fed);
      const entry = decodeDelivery(deliveryBytes(fed.coordinator, fed.round, 0)!).find((one) => one.dealer === 2)!;
      const body = {
        u1: fed.round.u1!.body.u1,
        dealer: 2,
        box: toHex(entry.sealed.box),
        ephemeralKey: toHex(entry.sealed.ephemeralPublicKey),
        shareHashes: { self: toHex(entry.sealed.shareHashB), mask: toHex(entry.sealed.shareHashS) },
        path: entry.path.map(toHex),
      };
      const complaint = signMessage(nodeCipher, fed.study.identities[0]!, contextFor(fed), 16, 0, body);
      deliver(fed, complaint);
      if (answered) deliver(fed, answerComplaint(fed.parties[2]!.participant, fed.parties[2]!.state!, complaint));
      else expire(fed);
      assert.deepEqual(
        fed.round.accusations.map(({ accused, reason }) => [accused, reason]),
        [answered ? [0, 'false-complaint'] : [2, 'silent-on-complaint']],
      );
      const off = { ...body, box: `ff${body.box.slice(2)}` };
      const invented = signMessage(nodeCipher, fed.study.identities[1]!, contextFor(fed), 16, 1, off);
      if (answered) refused('complaint-off-root', () => deliver(fed, invented));
    }
  });
});

suite('the coordinator', () => {
  test('keeps the first message of a stage, takes the same again, and keeps another as proof', () => {
    const fed = make();
    ready(fed, new Set([3]));
    const other = make();
    const { participant, memory } = other.parties[0]!;
    const step = signReady(participant, memory, null, 1, new Uint8Array(32));
    deliver(other, step.state.ready);
    const before = other.round;
    deliver(other, step.state.ready);
    assert.equal(other.round, before);
    const again = signReady(participant, memory, null, 1, new Uint8Array(32));
    deliver(other, again.state.ready);
    assert.deepEqual(other.round.readies, before.readies);
    assert.deepEqual(
      other.round.accusations.map(({ accused, reason }) => [accused, reason]),
      [[0, 'two-messages-for-one-stage']],
    );
    const forged = { ...again.state.ready, signature: step.state.ready.signature };
    refused('list-signature', () => deliver(other, forged));
  });
  test('replaying its events gives the same broadcasts byte for byte', () => {
    const fed = make();
    ready(fed);
    share(fed);
    const first = broadcastBytes(fed.round, 1)!;
    const fresh = make();
    for (const party of fed.parties) deliver(fresh, party.state!.ready);
    for (const party of fed.parties) deliver(fresh, party.state!.shares!, fromHex(party.state!.bundle!));
    assert.deepEqual(broadcastBytes(fresh.round, 1), first);
  });
  test('aborts below the floor and says why', () => {
    const fed = make();
    ready(fed, new Set([2, 3]));
    assert.equal(fed.round.stage, 'aborted');
    assert.equal(fed.round.aborted!.body.reason, 'cohort-below-floor');
    refused('stage-over', () => {
      const { participant, memory } = fed.parties[3]!;
      const step = signReady(participant, memory, null, 1, new Uint8Array(32));
      fed.round = reduceRound(fed.coordinator, fed.round, { kind: 'message', message: step.state.ready, now: fed.now });
    });
  });
});
