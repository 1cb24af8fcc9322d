// The ring's width where vectors travel packed: a draft is given the fewest bits that leave the room wanted, one bit less
// would not; the check then finds nothing, refuses a ring that could wrap, and ε rests on none of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reviewContract } from '../../../app/review/check.ts';
import { deriveDraft } from '../../../app/review/derive.ts';
import { ringFigures } from '../../../app/review/ring-figures.ts';
import { changed, sampleContract, sampleDimension, sampleNow } from '../study/sample-study.ts';

const wishes = { modelDimension: sampleDimension, targetEpsilon: null, colluders: 1 };
const plain = deriveDraft(sampleContract(), wishes);
const derived = deriveDraft(changed(sampleContract(), { sealing: { packing: 'ring' } }), wishes);

test('the fewest bits with the room that is wanted', () => {
  const { ringBits } = derived.sealing;
  assert.ok(ringBits >= 16 && ringBits < 32, `${ringBits} bits`);
  const { room, wanted, wrapBound, wrapLimit } = ringFigures(derived)!;
  assert.ok(room >= wanted && wrapBound < wrapLimit);
  const narrower = ringFigures({ ...derived, sealing: { ...derived.sealing, ringBits: ringBits - 1 } });
  assert.ok(narrower === null || narrower.room < narrower.wanted);
  assert.equal(plain.sealing.ringBits, 32);
  assert.ok(!('packing' in plain.sealing));
});

test('nothing but the ring differs, and the privacy is the same', () => {
  const { packing, ringBits, ...rest } = derived.sealing;
  const { ringBits: plainBits, ...plainRest } = plain.sealing;
  assert.deepEqual([packing, plainBits], ['ring', 32]);
  assert.ok(ringBits < plainBits);
  assert.deepEqual(rest, plainRest);
  assert.deepEqual(derived.privacy, plain.privacy);
});

test('a ring that could wrap is refused, packed or not', () => {
  for (const packing of ['ring', undefined] as const) {
    const sealing = { ringBits: 16, noiseVariance: 1_000_000, ...(packing === undefined ? {} : { packing }) };
    const tight = changed(sampleContract(), { sealing, privacy: { epsilon: 2 } });
    const around = { modelDimension: sampleDimension, floatTerm: 0, policy: null, now: sampleNow };
    const { findings } = reviewContract({ contract: tight, ...around });
    assert.ok(findings.some(({ code }) => code === 'ring-too-small'));
  }
});
