// Device replacements over the wire: the evidence that an institution asks for, the statement that is accepted once and
// survives a restart, and what comes from an old folder afterwards.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { signDeviceReplacement, signedDeviceReplacementText } from '../../../app/study/device-replacement.ts';
import type { DeviceReplacement } from '../../../app/study/device-replacement.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { consentAll, everyone, expire, liveFederation, ready, wholeRound } from './federation.ts';
import type { LiveFederation } from './federation.ts';

function statement(fed: LiveFederation, index: number, change: Partial<DeviceReplacement> = {}): string {
  const { contract, parameters, identities } = fed.study;
  const replacement: DeviceReplacement = {
    format: 'consilience/device-replacement/1',
    contract: toHex(parameters.study),
    institution: { index, name: contract.roster[index]!.name },
    counter: 2,
    head: 'ee'.repeat(32),
    round: 1,
    charged: [1],
    reason: null,
    given: new Date(fed.clock.now).toISOString(),
    ...change,
  };
  return signedDeviceReplacementText(signDeviceReplacement(nodeCipher, identities[index]!, replacement));
}

test('a device replacement: own evidence, accepted once, kept over a restart; the old folder is out, the new one goes on', async (t) => {
  const fed = await liveFederation({ institutions: 4 });
  t.after(() => fed.close());
  await consentAll(fed);
  await wholeRound(fed);
  const [first, second] = fed.parties as [LiveFederation['parties'][0], LiveFederation['parties'][0]];
  assert.deepEqual(await first.client.ownReadies(), [first.state!.ready]);

  const text = statement(fed, 0);
  await assert.rejects(second.client.sendReplacement(text), { code: 'wrong-sender' });
  const forged = text.replace('"counter":2', '"counter":3');
  await assert.rejects(first.client.sendReplacement(forged), { code: 'device-replacement-signature' });
  const behind = { code: 'replacement-behind', message: /number 1 is known already/ };
  await assert.rejects(first.client.sendReplacement(statement(fed, 0, { counter: 1 })), behind);
  const stranger = statement(fed, 0, { contract: 'ab'.repeat(32) });
  await assert.rejects(first.client.sendReplacement(stranger), { code: 'device-replacement-contract-differs' });
  await first.client.sendReplacement(text);
  await first.client.sendReplacement(text);

  await fed.reopen();
  assert.deepEqual(await second.client.replacements(), [JSON.parse(text)]);
  const { witness } = await first.client.status(null, 0);
  assert.deepEqual(witness, { counter: 2, head: 'ee'.repeat(32) });
  await expire(fed);

  // The old folder would give number 2 to its next Ready, which the statement has taken.
  const old = { ...first, memory: first.memory };
  await assert.rejects(ready(fed, old), { code: 'counter-rolled-back', message: /older copy/ });
  first.memory = { ...first.memory, counter: 2 };
  first.state = null;
  await everyone(fed, ready);
  // Peers saw number 1 last and take number 3.
  assert.deepEqual(
    fed.engine.study().round!.members.map((member) => member.index),
    [0, 1, 2, 3],
  );
});
