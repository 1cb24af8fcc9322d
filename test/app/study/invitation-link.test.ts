// Invitations as links: there and back, and whatever a mail program or a stranger makes of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBase64 } from '../../../app/encoding/base64.ts';
import { invitationLink, invitationOfLink, mostInvitationLength } from '../../../app/study/invitation-link.ts';

test('every text comes back, whatever its length and letters; the link holds letters that mails keep', () => {
  for (const text of ['{}', 'a', 'ab', 'abc', 'Zürich – 𝛿?>~', '{"a":"???>>>"}\n', 'x'.repeat(mostInvitationLength)]) {
    const link = invitationLink(text);
    assert.match(link, /^consilience:\/\/invitation\/[A-Za-z0-9_-]+$/);
    assert.equal(invitationOfLink(link), text);
    assert.equal(invitationOfLink(`${link}/`), text, 'some systems add a slash');
  }
});

test('what is no such link is refused with what to do', () => {
  const prefix = 'consilience://invitation/';
  const wrong = [
    '',
    prefix,
    `${prefix}/`,
    'https://invitation/e30',
    'consilience://other/e30',
    `Consilience://invitation/e30`,
    `${prefix}e3 0`,
    `${prefix}e30=`,
    `${prefix}e3+/`,
    `${prefix}e30?more=1`,
    `${prefix}../../e30`,
    // A length that base64 cannot have, and bytes that are no text.
    `${prefix}e30aa`,
    `${prefix}${toBase64(Uint8Array.of(0xff, 0xfe, 0xfd))}`,
    invitationLink('x'.repeat(mostInvitationLength + 3)),
  ];
  for (const link of wrong)
    assert.throws(
      () => invitationOfLink(link),
      (error: { code?: string; message: string }) => {
        assert.equal(error.code, 'link-invalid', link.slice(0, 60));
        assert.match(error.message, /Ask the lead for the file/);
        return true;
      },
    );
});
