// The device replacement: what it says is under its signature, and no other document's signature serves for it. What has to
// be charged is read from Readies that the institution signed itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { canonicalJson } from '../../../app/encoding/canonical-json.ts';
import { signWith } from '../../../app/encoding/signature.ts';
import { signMessage } from '../../../app/round/messages.ts';
import type { Message } from '../../../app/round/messages.ts';
import { contextOf } from '../../../app/round/parameters.ts';
import { planReplacement } from '../../../app/round/replacement.ts';
import { documentDigest } from '../../../app/study/consent.ts';
import {
  openSignedDeviceReplacement,
  signDeviceReplacement,
  signedDeviceReplacementText,
} from '../../../app/study/device-replacement.ts';
import type { DeviceReplacement } from '../../../app/study/device-replacement.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleStudy } from '../round/sample-study.ts';

const { contract, parameters, identities } = sampleStudy({ institutions: 3 });
const own = identities[1]!;
const replacement: DeviceReplacement = {
  format: 'consilience/device-replacement/1',
  contract: toHex(parameters.study),
  institution: { index: 1, name: 'site-1' },
  counter: 7,
  head: '5a'.repeat(32),
  round: 6,
  charged: [4, 6],
  reason: null,
  given: '2026-11-23T09:30:00.000Z',
};
const text = signedDeviceReplacementText(signDeviceReplacement(nodeCipher, own, replacement));
const open = (source: string) => openSignedDeviceReplacement(nodeCipher, contract, source);

test('it says what was signed; every changed member breaks it', () => {
  assert.deepEqual(open(text).replacement, replacement);
  const changes: readonly (readonly [string, string])[] = [
    ['"counter":7', '"counter":8'],
    ['5a5a', '5b5a'],
    ['"round":6', '"round":5'],
    ['[4,6]', '[6]'],
    ['"reason":null', '"reason":"none"'],
    ['2026-11-23', '2026-11-24'],
  ];
  for (const [from, to] of changes)
    assert.throws(() => open(text.replace(from, to)), { code: 'device-replacement-signature' }, from);
  assert.throws(() => open(text.replace('"index":1', '"index":2')), { code: 'device-replacement-institution-differs' });
  const other = sampleStudy({ institutions: 4 }).contract;
  assert.throws(() => openSignedDeviceReplacement(nodeCipher, other, text), {
    code: 'device-replacement-contract-differs',
  });
  assert.throws(() => open(text.replace('"round":6', '"round":6,"more":1')), { name: 'InputError' });
});

test('a signature for another purpose is none here', () => {
  const signature = toHex(signWith(own, 'withdrawal', documentDigest(nodeCipher, replacement)));
  assert.throws(() => open(canonicalJson({ replacement, signature })), { code: 'device-replacement-signature' });
});

function ready(
  round: number,
  counter: number,
  change: { keys?: null; sender?: number; contract?: string } = {},
): Message<0> {
  const sender = change.sender ?? 1;
  return signMessage(nodeCipher, identities[sender]!, contextOf(parameters, round), 0, sender, {
    round,
    contract: change.contract ?? toHex(parameters.study),
    config: '11'.repeat(32),
    model: '22'.repeat(32),
    keys: change.keys === null ? null : { boxes: '33'.repeat(32), masks: '44'.repeat(32), nonce: '55'.repeat(32) },
    last: { round: 0, sum: '00'.repeat(32), verified: true },
    counter,
    head: '66'.repeat(32),
  });
}

test('charged: every round whose Ready is out there and that the log has not charged; the count goes on above all', () => {
  const known = { counter: 2, signedRound: 2, reserved: new Set([1, 2]) };
  const readies = [ready(1, 1), ready(2, 2), ready(5, 4), ready(3, 3), ready(9, 5, { keys: null })];
  const plan = planReplacement(nodeCipher, parameters, 1, readies, known, 8);
  assert.deepEqual(
    plan.charge.map(({ round }) => round),
    [3, 5],
  );
  assert.deepEqual([plan.counter, plan.round], [6, 9]);
  // A Ready for the round that is open may be hidden: nothing is signed for it again.
  assert.equal(planReplacement(nodeCipher, parameters, 1, [], known, 8).round, 8);
  assert.deepEqual(planReplacement(nodeCipher, parameters, 1, [], { ...known, counter: 9 }, 0), {
    counter: 10,
    round: 2,
    charge: [],
  });
});

test('evidence of another institution, of another study or altered is refused', () => {
  const known = { counter: 0, signedRound: 0, reserved: new Set<number>() };
  const good = ready(3, 3);
  for (const bad of [
    ready(3, 3, { sender: 2 }),
    { ...ready(3, 3, { sender: 2 }), sender: 1 },
    ready(3, 3, { contract: '77'.repeat(32) }),
    { ...good, body: { ...good.body, counter: 4 } },
    { ...good, round: 4 },
  ])
    assert.throws(() => planReplacement(nodeCipher, parameters, 1, [good, bad], known, 3), {
      code: 'evidence-not-mine',
    });
});
