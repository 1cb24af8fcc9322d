// Who lied: a complaint says that a box on its dealer's signed root does not open or holds shares that miss their
// hashes; the dealer answers with that box's ephemeral secret, and then anybody can tell. Design 3, stage R1.

import { fromHex } from '../encoding/bytes.ts';
import { pathLeadsTo } from '../encoding/merkle.ts';
import { RefusalError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { boxLeafHash, openRevealedBox } from '../sealed-sum/boxes.ts';
import type { SealedBox } from '../sealed-sum/boxes.ts';
import type { Message } from './messages.ts';
import { contextOf } from './parameters.ts';
import type { StudyParameters } from './parameters.ts';
import type { CohortMember } from './participant-state.ts';

/**
 * Whether the box that a complaint shows lies on the dealer's root at the complainer's place.
 * @param holders of the dealer's boxes, in order
 */
export function onDealersRoot(
  cipher: Cipher,
  parameters: StudyParameters,
  holders: readonly number[],
  dealerShares: Message<1>,
  complaint: Message<16>,
): boolean {
  const { body } = complaint;
  const position = holders.indexOf(complaint.sender);
  const context = contextOf(parameters, complaint.round);
  const leaf = boxLeafHash(cipher, context, body.dealer, complaint.sender, shownBox(complaint));
  const path = body.path.map((hash) => fromHex(hash));
  return position >= 0 && pathLeadsTo(cipher, fromHex(dealerShares.body.boxes), leaf, position, holders.length, path);
}

/** A complaint counts only then. @throws RefusalError `complaint-off-root`. */
export function checkComplaint(
  cipher: Cipher,
  parameters: StudyParameters,
  holders: readonly number[],
  dealerShares: Message<1>,
  complaint: Message<16>,
): void {
  if (!onDealersRoot(cipher, parameters, holders, dealerShares, complaint))
    throw new RefusalError(
      'complaint-off-root',
      'A complaint shows a box that its dealer never signed; it is refused.',
    );
}

/** After a valid complaint and its answer: which of the two lied. A wrong ephemeral secret is the dealer's lie. */
export function judgeComplaint(
  cipher: Cipher,
  parameters: StudyParameters,
  members: readonly CohortMember[],
  complaint: Message<16>,
  answer: Message<17>,
): 'dealer' | 'complainer' {
  const context = contextOf(parameters, complaint.round);
  const { body, sender } = complaint;
  const recipient = members.find((member) => member.index === sender);
  if (recipient === undefined) return 'complainer';
  const route = { ctx: context, hU1: fromHex(body.u1), dealer: body.dealer, holder: sender };
  const secret = fromHex(answer.body.ephemeralSecret, 32);
  const opening = openRevealedBox(cipher, route, fromHex(recipient.boxes), secret, shownBox(complaint));
  return opening.opened ? 'complainer' : 'dealer';
}

function shownBox({ body }: Message<16>): SealedBox {
  return {
    box: fromHex(body.box),
    ephemeralPublicKey: fromHex(body.ephemeralKey),
    shareHashB: fromHex(body.shareHashes.self),
    shareHashS: fromHex(body.shareHashes.mask),
  };
}
