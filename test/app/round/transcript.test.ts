// The golden transcript: one whole round of four institutions, one lost after R1, from fixed keys and a fixed stream of
// randomness, byte for byte. It freezes css1's messages, frames, hashes and masks. Made by this program (the primitives
// in it are held to independent vectors elsewhere); rewritten only when CSS1_TRANSCRIPT=write is set.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../../app/encoding/canonical-json.ts';
import { broadcastBytes, deliveryBytes } from '../../../app/round/coordinator-lists.ts';
import { decodeMessage, encodeMessage } from '../../../app/round/messages.ts';
import { systemClock, nodeCipher } from '../../../main/host/machine.ts';
import { seededRandom } from '../seeded-random.ts';
import { agree, federation, open, ready, seal, share, unmask } from './federation.ts';
import { sampleStudy } from './sample-study.ts';

const file = path.resolve(import.meta.dirname, '../../vectors/css1-transcript.json');
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

function transcript() {
  const study = sampleStudy({ institutions: 4 });
  const fed = federation(study, { clock: systemClock, cipher: nodeCipher, random: seededRandom('css1 transcript') });
  ready(fed);
  share(fed);
  const deliveries = fed.parties.map((party) =>
    toHex(deliveryBytes(fed.coordinator, fed.round, party.participant.index)!),
  );
  const inputs = [0, 1, 2].map((index) => Array.from({ length: 5 }, (_, at) => (index * 1000 + at * 77 - 150) >>> 0));
  seal(fed, (index) => Uint32Array.from(inputs[index]!), new Set([3]));
  agree(fed);
  unmask(fed);
  const sum = open(fed);
  return {
    about: 'One round of css1: n = 4, t = 3, institution 3 is lost after R1. Messages are canonical JSON as sent.',
    contract: text(canonicalBytes(study.contract)),
    study: toHex(study.parameters.study),
    round: 1,
    inputs,
    messages: fed.parties.flatMap(({ state }) =>
      [state!.ready, state!.shares, state!.masked, state!.consistency, state!.unmask]
        .filter((message) => message !== undefined)
        .map((message) => text(encodeMessage(message))),
    ),
    bundles: fed.parties.map(({ state }) => state!.bundle!),
    deliveries,
    masked: [0, 1, 2].map((index) => toHex(fed.uploads.get(index)![0]!)),
    broadcasts: ([0, 1, 2, 3] as const).map((stage) => text(broadcastBytes(fed.round, stage)!)),
    result: text(encodeMessage(fed.round.result!)),
    sum: [...sum],
  };
}

test('a round of four is the golden transcript, byte for byte', () => {
  const made = transcript();
  if (process.env['CSS1_TRANSCRIPT'] === 'write') writeFileSync(file, `${JSON.stringify(made, null, 1)}\n`);
  assert.deepEqual(made, JSON.parse(readFileSync(file, 'utf8')));
  for (const message of made.messages) assert.equal(text(encodeMessage(decodeMessage(message))), message);
});
