// What a participant and the root refuse of a relay, and of a coordinator that stands between regions: a real round of three
// regions in memory, in which one thing is changed by whoever could sign it. Each case is the honest one but for that.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { wordsToBytes } from '../../../app/encoding/bytes.ts';
import { RefusalError } from '../../../app/errors.ts';
import { reduceRound } from '../../../app/round/coordinator.ts';
import type { Broadcast } from '../../../app/round/lists.ts';
import { relaySender, signMessage } from '../../../app/round/messages.ts';
import type { Message } from '../../../app/round/messages.ts';
import { contextOf } from '../../../app/round/parameters.ts';
import { vouchFor } from '../../../app/round/participant.ts';
import type { RoundState } from '../../../app/round/participant-state.ts';
import { checkVouches, readdRegions } from '../../../app/round/regions.ts';
import type { RegionSource } from '../../../app/round/regions.ts';
import { relayMasked, relayUploaded } from '../../../app/round/relay.ts';
import type { RelayRound } from '../../../app/round/relay.ts';
import { checkResult } from '../../../app/round/result.ts';
import { relaySigner, smallRegions } from '../../../app/simulation/small-study.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { nodeCipher, nodeMachine } from '../../../main/host/machine.ts';
import { addedRegion, agree, federation, open, ready, seal, share, unmask } from './federation.ts';
import { sampleStudy } from './sample-study.ts';

const regional = (contract: Contract): Contract => ({
  ...contract,
  regions: smallRegions(nodeCipher, 12, 3),
  sealing: { ...contract.sealing, threshold: 8, cohortFloor: 8, colluders: 1 },
});
const study = sampleStudy({ institutions: 12, change: regional });
const { parameters } = study;
const context = contextOf(parameters, 1);
const vector = (index: number): Uint32Array => new Uint32Array(parameters.dimension).fill(index + 1);

const fed = federation(study, nodeMachine);
ready(fed);
share(fed);
const announcing = fed.round;
seal(fed, vector);
const sealing = fed.round;
agree(fed);
unmask(fed);
const total = open(fed);
const vouching = fed.round;
const result = vouching.result!;
const sums = [0, 1, 2].map((position) => addedRegion(fed, position));
const state = fed.parties[0]!.state! as RoundState & Required<Pick<RoundState, 'u1' | 'u2' | 'u3'>>;

/** What the relay of a region could sign in place of what it signed. */
const relaySigned = (position: number, change: (body: Message<64>['body']) => Partial<Message<64>['body']>) => {
  const { body } = sums[position]!.message;
  const sender = relaySender(position);
  return signMessage(nodeCipher, relaySigner(nodeCipher, position), context, 64, sender, { ...body, ...change(body) });
};

const honest: RegionSource = {
  regionSums: async () => sums.map(({ message }) => message),
  masked: async (index) => fed.uploads.get(index)![0]!,
  regionSum: async (position) => wordsToBytes(sums[position]!.words),
  sum: async () => total,
};

function readd(change: Partial<RegionSource>, shown = result): Promise<Uint32Array> {
  const { masks } = checkResult(nodeCipher, parameters, state, shown);
  return readdRegions(nodeCipher, parameters, state, shown, masks, { ...honest, ...change });
}

const withSum = (position: number, message: Message<64>): Partial<RegionSource> => ({
  regionSums: async () => sums.map((one, at) => (at === position ? message : one.message)),
});
const changed = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte));

suite('a participant that adds up its region and the regions’ sums', () => {
  test('accepts: what honest relays and an honest coordinator show', async () => {
    assert.deepEqual(await readd({}), total);
  });

  const cases: readonly (readonly [what: string, code: string, change: Partial<RegionSource>])[] = [
    [
      'a sum of a relay that the terms do not name',
      'relay-unknown',
      withSum(2, { ...sums[2]!.message, sender: relaySender(3) }),
    ],
    [
      'a sum that its relay did not sign',
      'relay-signature',
      withSum(1, { ...sums[1]!.message, body: { ...sums[1]!.message.body, sum: '0'.repeat(64) } }),
    ],
    [
      'members out of order',
      'list-order',
      withSum(
        1,
        relaySigned(1, ({ members }) => ({ members: members.toReversed() })),
      ),
    ],
    [
      'a member of another region',
      'region-foreign-member',
      withSum(
        1,
        relaySigned(1, ({ members }) => ({ members: [{ index: 0, root: members[0]!.root }, ...members] })),
      ),
    ],
    [
      'a region that is not shown',
      'regions-incomplete',
      { regionSums: async () => [sums[0]!.message, sums[2]!.message] },
    ],
    [
      'a member left out by a foreign relay',
      'regions-incomplete',
      withSum(
        2,
        relaySigned(2, ({ members }) => ({ members: members.slice(1) })),
      ),
    ],
    [
      'another contribution than the third list holds',
      'regions-incomplete',
      withSum(
        2,
        relaySigned(2, ({ members }) => ({
          members: members.map((one, at) => (at === 0 ? { ...one, root: '0'.repeat(64) } : one)),
        })),
      ),
    ],
    [
      'a sum made for another second list',
      'regions-incomplete',
      withSum(
        2,
        relaySigned(2, () => ({ u2: '0'.repeat(64) })),
      ),
    ],
    [
      'a region’s sum that its relay never signed',
      'region-chunk-off-root',
      {
        regionSum: async (position) =>
          position === 1 ? changed(wordsToBytes(sums[1]!.words)) : honest.regionSum(position, 0),
      },
    ],
    [
      'a vector of its own region that was never signed',
      'vector-off-root',
      {
        masked: async (index) => (index === 3 ? changed(fed.uploads.get(3)![0]!) : honest.masked(index, 0)),
      },
    ],
    ['a vector of the wrong length', 'vector-off-root', { masked: async () => new Uint8Array(4) }],
    ['an opened sum that is not the regions’ sum', 'sum-differs', { sum: async () => total.map((word) => word + 1) }],
  ];
  for (const [what, code, change] of cases)
    test(`refuses: ${what}`, () => assert.rejects(readd(change), { name: 'RefusalError', code }));

  test('refuses, and names the relay: a sum of its own region that is not its members’', async () => {
    const words = sums[0]!.words.map((word) => word + 1);
    const { message } = signedOver(words);
    const lie = {
      ...withSum(0, message),
      regionSum: async (position: number) => wordsToBytes(position === 0 ? words : sums[position]!.words),
    };
    await assert.rejects(readd(lie), { code: 'region-sum-differs', message: /relay of region region-0/ });
  });

  test('refuses: a result whose hash is not that of the shown sum', async () => {
    const body = { ...result.body, sum: '0'.repeat(64) };
    const other = signMessage(nodeCipher, study.coordinator, context, 132, 0xffff, body);
    await assert.rejects(readd({}, other), { code: 'sum-off-hash' });
  });

  /** Region 0's relay over other words, under its own key. */
  function signedOver(words: Uint32Array) {
    const kept = { ...fed, uploads: new Map(fed.uploads) };
    kept.uploads.set(0, [wordsToBytes(words)]);
    for (const index of [1, 2, 3]) kept.uploads.set(index, [new Uint8Array(4 * words.length)]);
    return addedRegion(kept, 0);
  }
});

suite('the list that closes a round', () => {
  const words = (agrees: (index: number) => boolean, from: readonly number[]): Message<6>[] =>
    from.map((index) => {
      const { participant, state: own } = fed.parties[index]!;
      return vouchFor(participant, own!, result.body.sum, agrees(index)).state.vouch!;
    });
  const all = fed.parties.map(({ participant }) => participant.index);
  const head = (body: Partial<Message<134>['body']> = {}, signer = study.coordinator): Message<134> =>
    signMessage(nodeCipher, signer, context, 134, 0xffff, {
      statement: result.body.statement,
      sum: result.body.sum,
      ...body,
    });
  const check = (list: Broadcast<134, 6>): void => checkVouches(nodeCipher, parameters, state, result.body.sum, list);
  const agreeing = words(() => true, all);
  const refused = (code: string, list: Broadcast<134, 6>): void =>
    assert.throws(
      () => check(list),
      (error) => error instanceof RefusalError && error.code === code,
    );

  test('accepts: two of each region, of whom one is honest', () => {
    check({ head: head(), members: agreeing.filter(({ sender }) => sender % 4 < 2) });
  });
  test('refuses: what the coordinator did not sign', () => {
    refused('coordinator-signature', { head: head({}, study.lead), members: agreeing });
  });
  test('refuses: members out of order, or one twice', () => {
    refused('list-order', { head: head(), members: agreeing.toReversed() });
    refused('list-order', { head: head(), members: [agreeing[0]!, ...agreeing] });
  });
  test('refuses: another sum, another statement, a word against it', () => {
    refused('vouch-differs', { head: head({ sum: '0'.repeat(64) }), members: agreeing });
    refused('vouch-differs', { head: head({ statement: '0'.repeat(64) }), members: agreeing });
    refused('vouch-differs', { head: head(), members: words((index) => index !== 5, all) });
  });
  test('refuses: a word that its institution did not sign', () => {
    const forged = agreeing.map((one) => (one.sender === 7 ? { ...one, signature: agreeing[6]!.signature } : one));
    refused('list-signature', { head: head(), members: forged });
  });
  test('refuses: one voice of a region, which may be a colluder’s', () => {
    refused('region-not-vouched', {
      head: head(),
      members: agreeing.filter(({ sender }) => sender < 9),
    });
  });
});

suite('the root', () => {
  const take = (message: Message<64>, from = announcing) =>
    reduceRound(fed.coordinator, from, { kind: 'message', message, now: fed.now });
  const announced = [...sealing.masked.values()].reduce(
    (round, { message }) => reduceRound(fed.coordinator, round, { kind: 'message', message, now: fed.now }),
    announcing,
  );
  const refused = (code: string, work: () => unknown): void =>
    assert.throws(work, (error) => error instanceof RefusalError && error.code === code);

  test('takes a relay’s sum once, and the same again without a change', () => {
    const taken = take(sums[0]!.message, announced);
    assert.equal(taken.regionSums.size, 1);
    assert.equal(take(sums[0]!.message, taken), taken);
    refused('region-sum-twice', () =>
      take(
        relaySigned(0, () => ({ sum: '0'.repeat(64) })),
        taken,
      ),
    );
  });
  test('refuses a sum for other lists, of contributions that nobody announced, of a stranger, and one that is late', () => {
    refused('u2-differs', () =>
      take(
        relaySigned(0, () => ({ u2: '0'.repeat(64) })),
        announced,
      ),
    );
    refused('not-announced', () => take(sums[0]!.message));
    refused('relay-unknown', () => take({ ...sums[0]!.message, sender: relaySender(3) }, announced));
    refused('relay-signature', () => take({ ...sums[0]!.message, sender: relaySender(1) }, announced));
    refused('stage-over', () => take(sums[0]!.message, { ...vouching, regionSums: new Map() }));
  });
  test('closes a round only once each region has spoken for its relay, and gives it up when one cannot any more', () => {
    const speak = (index: number, agrees: boolean, round = vouching) => {
      const { participant, state: own } = fed.parties[index]!;
      const { vouch } = vouchFor(participant, own!, result.body.sum, agrees).state;
      return reduceRound(fed.coordinator, round, { kind: 'message', message: vouch!, now: fed.now });
    };
    let round = vouching;
    for (const index of [0, 1, 4, 5, 8]) round = speak(index, true, round);
    assert.equal(round.stage, 'vouching');
    assert.equal(speak(9, true, round).stage, 'closed');
    round = vouching;
    for (const index of [4, 5]) round = speak(index, false, round);
    assert.equal(round.stage, 'vouching', 'two of four can still speak for it');
    round = speak(6, false, round);
    assert.deepEqual([round.stage, round.aborted?.body.reason], ['aborted', 'region-sum-differs']);
  });
});

suite('a relay', () => {
  const begun: RelayRound = {
    round: 1,
    region: parameters.regions[0]!,
    u1: sealing.u1!.body.u1,
    u2: sealing.u2!.body.u2,
    sharers: [0, 1, 2, 3],
    masked: new Map(),
    gone: new Set(),
    deadline: fed.now,
  };
  const of = (index: number): Message<2> => sealing.masked.get(index)!.message;
  const refused = (code: string, work: () => unknown): void =>
    assert.throws(work, (error) => error instanceof RefusalError && error.code === code);

  test('takes one contribution of each of its members, for the lists it knows, signed by that member', () => {
    const { identities } = study;
    const signed = (index: number, by: number, change: Partial<Message<2>['body']>) =>
      signMessage(nodeCipher, identities[by]!, context, 2, index, { ...of(index).body, ...change });
    const taken = relayMasked(nodeCipher, parameters, begun, of(0));
    assert.equal(relayMasked(nodeCipher, parameters, taken, of(0)), taken);
    refused('already-signed', () => relayMasked(nodeCipher, parameters, taken, signed(0, 0, { root: '0'.repeat(64) })));
    refused('sets-not-nested', () => relayMasked(nodeCipher, parameters, begun, of(4)));
    refused('u2-differs', () => relayMasked(nodeCipher, parameters, begun, signed(1, 1, { u2: '0'.repeat(64) })));
    refused('list-signature', () => relayMasked(nodeCipher, parameters, begun, signed(1, 2, {})));
    refused('not-announced', () => relayUploaded(begun, 0));
  });
});
