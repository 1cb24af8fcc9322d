// The bytes of one-time keys, seeds and shares are overwritten where they were made, as soon as they are sealed or stored,
// and a wiped round holds none of them. What the language does not allow is in docs/KNOWN-ISSUES.md.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { leaveRound } from '../../../app/round/participant.ts';
import { nodeCipher, systemClock, systemRandom } from '../../../main/host/machine.ts';
import { federation, ready, seal, share } from './federation.ts';
import { sampleStudy } from './sample-study.ts';

test('what was drawn as key or seed is zero once the step is done; the state of a left round holds no secret', () => {
  const drawn: Uint8Array[] = [];
  const random = {
    bytes(length: number) {
      const bytes = systemRandom.bytes(length);
      drawn.push(bytes);
      return bytes;
    },
  };
  const fed = federation(sampleStudy({ institutions: 3 }), { cipher: nodeCipher, clock: systemClock, random });
  const left = (secrets: readonly string[]): string[] => {
    const held = new Set(drawn.map((bytes) => toHex(bytes)));
    return secrets.filter((secret) => held.has(secret));
  };
  const ofAll = (pick: (state: NonNullable<(typeof fed.parties)[0]['state']>) => readonly string[]): string[] =>
    fed.parties.flatMap((party) => pick(party.state!));

  ready(fed);
  const keys = ofAll(({ secrets }) => [secrets.boxes, secrets.masks]);
  assert.equal(new Set(keys).size, 6);
  assert.deepEqual(left(keys), []);
  share(fed);
  const seeds = ofAll(({ selfSeed, ephemerals }) => [selfSeed!, ...Object.values(ephemerals!)]);
  assert.equal(new Set(seeds).size, 3 + 9);
  assert.deepEqual(left(seeds), []);
  seal(fed, () => new Uint32Array(fed.study.parameters.dimension));
  const shares = ofAll(({ received }) => Object.values(received!).flatMap(({ self, mask }) => [self, mask]));
  const secrets = [...keys, ...seeds, ...shares];
  for (const party of fed.parties) {
    const before = JSON.stringify(party.state);
    const after = JSON.stringify(leaveRound(party.state!));
    const held = secrets.filter((secret) => before.includes(secret));
    assert.ok(held.length > 0);
    assert.deepEqual(
      held.filter((secret) => after.includes(secret)),
      [],
    );
  }
});
