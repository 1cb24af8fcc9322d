// What a relay does where regions open their own sums: from the opened secrets of the round's result it takes the masks of
// its own members away from what it added. Every mask of a member is with a peer of its region, so no other region is needed,
// and the noise is that of the smallest region (app/review/round-event.ts#leastInSum). Design 3, "Trees".

import { fromHex } from '../encoding/bytes.ts';
import type { Cipher } from '../ports.ts';
import type { SignedKey } from '../sealed-sum/masks.ts';
import { remainingMasks } from '../sealed-sum/unmask.ts';
import { checkCloserSigned } from './checks.ts';
import { decodeBroadcast, decodeHead, maskKeysIn } from './lists.ts';
import type { Message } from './messages.ts';
import { isCommitted } from './opening.ts';
import { contextOf } from './parameters.ts';
import type { Region, StudyParameters } from './parameters.ts';
import { refuse } from './refuse.ts';

/**
 * The masks that are left in the region's own signed sum; null where the region is not in the round's sum.
 * @param lists the root's broadcasts that ended stages 0 and 1
 * @param added the relay's own signed sum of that round
 * @throws RefusalError `coordinator-signature`, `seeds-incomplete`, `seed-wrong`.
 */
export function masksOfRegion(
  cipher: Cipher,
  parameters: StudyParameters,
  region: Region,
  lists: { readonly cohort: Uint8Array; readonly sharers: Uint8Array },
  added: Message<64>,
  result: Message<132>,
): SignedKey[] | null {
  const { round } = added;
  checkCloserSigned(cipher, parameters, round, result);
  const first = decodeHead(lists.cohort, 128);
  const maskKeys = maskKeysIn(lists.cohort);
  const own = { u1: first.body.u1, u1Signature: first.signature };
  const sharers = decodeBroadcast(lists.sharers, 129, 1, own).members.filter(({ sender }) =>
    region.members.includes(sender),
  );
  const inSum = new Set(added.body.members.map(({ index }) => index));
  const seeds = new Map(result.body.seeds.map((seed) => [seed.index, seed]));
  if (sharers.every(({ sender }) => !seeds.has(sender))) return null;
  const opened = sharers.map(({ sender: index, body: { selfMask } }) => {
    const seed = seeds.get(index);
    const masks = maskKeys.get(index);
    const kind = inSum.has(index) ? 0 : 1;
    if (seed?.kind !== kind || masks === undefined)
      throw refuse(
        'seeds-incomplete',
        'The opened secrets are not exactly one for each member, of the kind it must be.',
      );
    const secret = fromHex(seed.secret);
    if (!isCommitted(cipher, parameters, round, { index, kind, secret }, { selfMask, masks }))
      throw refuse('seed-wrong', `The secret opened for institution ${index} is not the one it committed to.`);
    return { index, kind, secret, masks: fromHex(masks) };
  });
  return remainingMasks(
    cipher,
    contextOf(parameters, round),
    fromHex(first.body.u1),
    opened
      .filter(({ kind }) => kind === 0)
      .map(({ index, secret, masks }) => ({ index, selfSeed: secret, maskPublicKey: masks })),
    opened.filter(({ kind }) => kind === 1).map(({ index, secret }) => ({ index, maskPrivateKey: secret })),
  );
}
