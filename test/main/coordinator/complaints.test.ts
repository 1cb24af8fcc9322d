// Complaints over the wire: a dealer's bad box, a false complaint, silence. Whoever lied or was silent is excluded with
// proof until the lead decides; the round goes on without the complainer.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { signMessage } from '../../../app/round/messages.ts';
import type { Message } from '../../../app/round/messages.ts';
import { contextOf } from '../../../app/round/parameters.ts';
import { answerComplaint } from '../../../app/round/participant.ts';
import { decodeBundle, decodeDelivery, encodeBundle } from '../../../app/sealed-sum/box-frames.ts';
import { boxRoot, sealBox } from '../../../app/sealed-sum/boxes.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { createExclusionWatch } from '../../../main/host/participant/exclusions.ts';
import {
  agree,
  consentAll,
  dealt,
  everyone,
  expire,
  liveFederation,
  openBoxes,
  ready,
  seal,
  share,
  unmask,
} from './federation.ts';
import type { LiveFederation } from './federation.ts';

const dealer = 1;
const victim = 2;

async function atShares(t: TestContext): Promise<LiveFederation> {
  const fed = await liveFederation({ institutions: 4 });
  t.after(() => fed.close());
  await consentAll(fed);
  await everyone(fed, ready);
  return fed;
}

/** Shares of `dealer` whose box for `victim` is sealed to another key; the root over it is signed all the same. */
async function shareBadly(fed: LiveFederation): Promise<void> {
  const party = fed.parties[dealer]!;
  const state = await dealt(party);
  const { cipher, random } = fed.machine;
  const ctx = contextOf(fed.study.parameters, 1);
  const route = { ctx, hU1: fromHex(state.u1!.hash), dealer, holder: victim };
  const nobody = cipher.x25519PublicKey(random.bytes(32));
  const bad = sealBox(random, cipher, route, nobody, { shareB: random.bytes(32), shareS: random.bytes(32) });
  const entries = decodeBundle(fromHex(state.bundle!)).map((entry) =>
    entry.holder === victim ? { holder: victim, sealed: bad.sealed } : entry,
  );
  const body = { ...state.shares!.body, boxes: toHex(boxRoot(cipher, ctx, dealer, entries)) };
  const shares = signMessage(cipher, party.participant.identity, ctx, 1, dealer, body);
  const bundle = encodeBundle(entries);
  const ephemerals = { ...state.ephemerals, [victim]: toHex(bad.ephemeralPrivateKey) };
  party.state = { ...state, shares, bundle: toHex(bundle), ephemerals };
  await party.client.sendShares(shares, bundle);
}

async function answerAll(fed: LiveFederation): Promise<number> {
  const party = fed.parties[dealer]!;
  const { complaints } = await party.client.status(null, 0);
  for (const complaint of complaints)
    await party.client.send(answerComplaint(party.participant, party.state!, complaint));
  return complaints.length;
}

/** What institution 0 makes of the exclusions that the coordinator shows. */
async function told(fed: LiveFederation): Promise<{ index: number; proven: boolean }[]> {
  const { client } = fed.parties[0]!;
  const watch = createExclusionWatch(nodeCipher, fed.study.parameters);
  const { excluded } = await client.status(null, 0);
  const sentences = await watch(
    excluded.map((one) => one.index),
    () => client.exclusions(),
  );
  return sentences.map(({ index, proven }) => ({ index, proven }));
}

async function finish(fed: LiveFederation, gone: readonly number[]): Promise<void> {
  await everyone(fed, agree, gone);
  await everyone(fed, unmask, gone);
  await fed.engine.settled();
}

test('a bad box: complaint, answer, the dealer is excluded; the round closes without the complainer', async (t) => {
  const fed = await atShares(t);
  await everyone(fed, share, [dealer]);
  await shareBadly(fed);
  const { stage, complaints } = await openBoxes(fed.parties[victim]!);
  assert.equal(stage, 'left');
  assert.equal(complaints.length, 1);
  for (const complaint of complaints) await fed.parties[victim]!.client.send(complaint);
  await fed.reopen();
  await everyone(fed, seal, [victim]);
  assert.equal(fed.engine.study().round?.stage, 'masked');
  assert.equal(await answerAll(fed), 1);
  assert.equal(await answerAll(fed), 0);
  await finish(fed, [victim]);
  const status = await fed.parties[0]!.client.status(null, 0);
  assert.deepEqual(status.excluded, [{ index: dealer, reason: 'bad-box' }]);
  assert.deepEqual(await told(fed), [{ index: dealer, proven: true }]);
  assert.equal(status.closed, 1);
  assert.equal((await fed.parties[dealer]!.client.status(null, 0)).round?.eligible, false);
  assert.equal((await fed.parties[victim]!.client.status(null, 0)).round?.eligible, true);
});

/** A complaint of `victim` about the honest box of `dealer`. */
async function falseComplaint(fed: LiveFederation): Promise<Message<16>> {
  const party = fed.parties[victim]!;
  const entry = decodeDelivery(await party.client.boxes(1)).find((one) => one.dealer === dealer)!;
  const { sealed, path } = entry;
  return signMessage(nodeCipher, party.participant.identity, contextOf(fed.study.parameters, 1), 16, victim, {
    u1: party.state!.u1!.hash,
    dealer,
    box: toHex(sealed.box),
    ephemeralKey: toHex(sealed.ephemeralPublicKey),
    shareHashes: { self: toHex(sealed.shareHashB), mask: toHex(sealed.shareHashS) },
    path: path.map(toHex),
  });
}

test('a false complaint: the honest dealer’s answer excludes the complainer', async (t) => {
  const fed = await atShares(t);
  await everyone(fed, share);
  const complaint = await falseComplaint(fed);
  const off = { ...complaint.body, box: `00${complaint.body.box.slice(2)}` };
  const identity = fed.study.identities[victim]!;
  const forged = signMessage(nodeCipher, identity, contextOf(fed.study.parameters, 1), 16, victim, off);
  await assert.rejects(fed.parties[victim]!.client.send(forged), { code: 'complaint-off-root' });
  await fed.parties[victim]!.client.send(complaint);
  assert.equal(await answerAll(fed), 1);
  await everyone(fed, seal, [victim]);
  await finish(fed, [victim]);
  const { excluded } = await fed.parties[0]!.client.status(null, 0);
  assert.deepEqual(excluded, [{ index: victim, reason: 'false-complaint' }]);
  assert.deepEqual(await told(fed), [{ index: victim, proven: true }]);
  // The same participant says it once; a coordinator that shows nothing is said to have no proof.
  const watch = createExclusionWatch(nodeCipher, fed.study.parameters);
  const [bare] = await watch([victim], () => Promise.resolve([]));
  assert.ok(!bare!.proven && bare!.sentence.includes('shows no proof'));
  assert.deepEqual(await watch([victim], () => fed.parties[0]!.client.exclusions()), []);
});

test('silence on a complaint until the deadline excludes the dealer', async (t) => {
  const fed = await atShares(t);
  await everyone(fed, share);
  await fed.parties[victim]!.client.send(await falseComplaint(fed));
  await everyone(fed, seal, [victim]);
  assert.equal(fed.engine.study().round?.stage, 'masked');
  await expire(fed);
  await finish(fed, [victim]);
  const { excluded } = await fed.parties[0]!.client.status(null, 0);
  assert.deepEqual(excluded, [{ index: dealer, reason: 'silent-on-complaint' }]);
  assert.deepEqual(await told(fed), [{ index: dealer, proven: false }]);
});
