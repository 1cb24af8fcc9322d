// Every decoder of what others send or of what a disk gives back, each with valid encodings to start from and the error
// classes that it documents. Anything else that comes out of it is a defect: another exception, or a hang.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fromUtf8, utf8 } from '../../app/encoding/bytes.ts';
import { canonicalBytes, canonicalJson, parseCanonical } from '../../app/encoding/canonical-json.ts';
import { ConsilienceError, InputError, InvariantError, RefusalError } from '../../app/errors.ts';
import { verifyLedger } from '../../app/ledger/chain.ts';
import { readCheckpoint } from '../../app/ledger/checkpoint.ts';
import { decodeEntry } from '../../app/ledger/entry.ts';
import { decodeClosedRecords } from '../../app/round/catch-up.ts';
import { decodeBroadcast, maskKeysIn } from '../../app/round/lists.ts';
import { decodeMessage } from '../../app/round/messages.ts';
import { createModelChain, decodeModelChain } from '../../app/round/model-chain.ts';
import { decodeAccusations } from '../../app/round/proofs.ts';
import { certifyTransportKey, checkCertificate, checkRequest, signRequest } from '../../app/round/request.ts';
import { decodeStatus } from '../../app/round/status.ts';
import { decodeBundle, decodeDelivery } from '../../app/sealed-sum/box-frames.ts';
import {
  openSignedConsent,
  openSignedWithdrawal,
  signedConsentText,
  signedWithdrawalText,
} from '../../app/study/consent.ts';
import { openEnrolment } from '../../app/study/enrolment.ts';
import { openInvitation } from '../../app/study/invitation.ts';
import { openSignedContract, parseDraft, signContract, signedContractText } from '../../app/study/signed-contract.ts';
import { adapterLayout, initialAdapter } from '../../app/training/language/adapter.ts';
import { readConfiguration } from '../../app/training/language/configuration.ts';
import { fromPeft, toPeft } from '../../app/training/language/peft.ts';
import { readSafetensors, writeSafetensors } from '../../app/training/safetensors.ts';
import { decodeEvent } from '../../main/coordinator/store/stored-event.ts';
import { shardsOf } from '../../main/host/checkpoint/shard-index.ts';
import { nodeCipher } from '../../main/host/machine.ts';
import { parsePolicy } from '../../main/host/policy-file.ts';
import { sampleStudy as roundStudy } from '../app/round/sample-study.ts';
import { sampleConsent, sampleEnrolment, sampleInvitation, sampleWithdrawal } from '../app/study/documents.ts';
import { sampleContract, sampleSigner } from '../app/study/sample-study.ts';
import { dice, mutateBytes, mutateJson, mutateText } from './mutate.ts';

export type Target = {
  readonly name: string;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly seeds: readonly Uint8Array[];
  readonly errors: readonly (abstract new (...args: never) => Error)[];
  /** How often it is chosen beside the others: large documents less often. */
  readonly weight: number;
};

const vectors = path.resolve(import.meta.dirname, '../vectors');
const vector = (name: string): Uint8Array => new Uint8Array(readFileSync(path.join(vectors, name)));

type Transcript = {
  messages: string[];
  bundles: string[];
  deliveries: string[];
  broadcasts: string[];
  result: string;
};
const transcript = JSON.parse(fromUtf8(vector('css1-transcript.json'))) as Transcript;
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

/** Text documents arrive as text: bytes that are no UTF-8 never get that far. */
const asText =
  (open: (text: string) => unknown) =>
  (bytes: Uint8Array): unknown =>
    open(new TextDecoder().decode(bytes));

/** As the folder's reader: what is no JSON is refused before a decoder sees it. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InputError('checkpoint-invalid', 'It is not JSON.', { cause: error });
  }
}

const llamaConfig = {
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 6,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 9,
  rope_parameters: {
    rope_type: 'llama3',
    rope_theta: 10000,
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 32,
  },
};
const tinyLlama = readConfiguration(llamaConfig);
const checkpointConfigurations = [llamaConfig, { model_type: 'gpt2', n_embd: 12, n_head: 3 }, { model_type: 'bert' }];

function listTarget(name: string, at: 0 | 1 | 2 | 3, broadcast: 128 | 129 | 130 | 131): Target {
  const hash = '00'.repeat(32);
  const own = [
    { round: 1, contract: hash, config: hash, model: hash },
    { u1: hash, u1Signature: '00'.repeat(64) },
    { u1: hash, u2: hash },
    { u1: hash, u2: hash, statement: hash },
  ][at]!;
  return {
    name,
    decode: (bytes) => decodeBroadcast(bytes, broadcast, at, own),
    seeds: [utf8(transcript.broadcasts[at]!)],
    errors: [InputError],
    weight: 2,
  };
}

export function decoders(): Target[] {
  const { parameters, identities, contract: roundContract } = roundStudy({ institutions: 4 });
  const contract = sampleContract();
  const key = sampleSigner(77);
  const certificateText = certifyTransportKey(identities[1]!, parameters, {
    index: 1,
    key: key.publicKey,
    notAfter: 2_000_000,
  });
  const certificate = checkCertificate(nodeCipher, parameters, certificateText, 1_000_000);
  const request = signRequest(nodeCipher, key, {
    method: 'GET',
    path: '/v1/status',
    body: null,
    time: 1_000_000,
    nonce: new Uint8Array(16),
  });
  const hash = '00'.repeat(32);
  const ready = decodeMessage(transcript.messages[0]!);
  const status = {
    cursor: 1,
    now: 2,
    outcome: null,
    closed: 0,
    rounds: 5,
    lastClosed: { round: 0, sum: hash },
    consented: [0, 1],
    withdrawn: [],
    excluded: [{ index: 2, reason: 'wrong-share' }],
    opensAt: null,
    round: {
      number: 1,
      stage: 'ready',
      eligible: true,
      deadline: 5,
      readies: 1,
      shares: 0,
      masked: 0,
      uploaded: 0,
      consistency: 0,
      unmask: 0,
    },
    aborted: null,
    complaints: [],
    witness: { counter: 1, head: hash },
  };
  const signed = sampleConsent();
  const model = createModelChain(nodeCipher, roundContract);
  const tensors = writeSafetensors(new Map([['a', { shape: [2, 2], values: Float32Array.of(1, 2, 3, 4) }]]), {
    b: 'c',
  });
  const halves = new Map([['a', { shape: [3], values: Float32Array.of(1, 2, 3) }]]);
  const layout = adapterLayout(tinyLlama, {
    kind: 'lora',
    rank: 1,
    alpha: 2,
    targets: ['q_proj', 'down_proj'],
    freezeA: false,
    seed: 1,
  });
  const adapter = toPeft(tinyLlama, layout, initialAdapter(layout));
  const input = [InputError];
  const document = [InputError, RefusalError];
  return [
    {
      name: 'messages',
      decode: decodeMessage,
      seeds: [...transcript.messages, transcript.result].map(utf8),
      errors: input,
      weight: 8,
    },
    listTarget('first list', 0, 128),
    {
      name: 'one-time keys of a first list, as a relay reads them',
      decode: maskKeysIn,
      seeds: [utf8(transcript.broadcasts[0]!)],
      errors: input,
      weight: 2,
    },
    listTarget('second list', 1, 129),
    listTarget('third list', 2, 130),
    listTarget('signatures', 3, 131),
    { name: 'bundles', decode: decodeBundle, seeds: transcript.bundles.map(hex), errors: input, weight: 4 },
    { name: 'deliveries', decode: decodeDelivery, seeds: transcript.deliveries.map(hex), errors: input, weight: 4 },
    { name: 'status', decode: decodeStatus, seeds: [canonicalBytes(status)], errors: input, weight: 3 },
    {
      name: 'closed rounds',
      decode: decodeClosedRecords,
      seeds: [canonicalBytes([{ round: 1, sum: hash, survivors: [0, 1, 2], evidence: [ready] }])],
      errors: input,
      weight: 3,
    },
    {
      name: 'exclusions',
      decode: decodeAccusations,
      seeds: [
        canonicalBytes([
          {
            accused: 1,
            reason: 'wrong-share',
            proof: [ready],
            boxes: [
              {
                dealer: 0,
                holder: 1,
                box: '00',
                ephemeralKey: hash,
                shareHashes: { self: hash, mask: hash },
                path: [hash],
              },
            ],
          },
        ]),
      ],
      errors: input,
      weight: 3,
    },
    {
      name: 'certificates',
      decode: asText((text) => checkCertificate(nodeCipher, parameters, text, 1_000_000)),
      seeds: [utf8(certificateText)],
      errors: [RefusalError],
      weight: 3,
    },
    {
      name: 'requests',
      decode: asText((text) =>
        checkRequest(
          nodeCipher,
          certificate,
          text,
          { method: 'GET', path: '/v1/status' },
          { now: 1_000_000, windowMs: 1000, seen: () => false },
        ),
      ),
      seeds: [utf8(request)],
      errors: [RefusalError],
      weight: 3,
    },
    {
      name: 'contracts',
      decode: asText((text) => openSignedContract(nodeCipher, text)),
      seeds: [utf8(signedContractText(signContract(nodeCipher, sampleSigner(1), contract)))],
      errors: document,
      weight: 1,
    },
    { name: 'drafts', decode: asText(parseDraft), seeds: [utf8(canonicalJson(contract))], errors: input, weight: 1 },
    {
      name: 'consents',
      decode: asText((text) => openSignedConsent(nodeCipher, contract, text)),
      seeds: [utf8(signedConsentText(signed))],
      errors: document,
      weight: 2,
    },
    {
      name: 'withdrawals',
      decode: asText((text) => openSignedWithdrawal(nodeCipher, contract, text)),
      seeds: [utf8(signedWithdrawalText(sampleWithdrawal()))],
      errors: document,
      weight: 2,
    },
    {
      name: 'invitations',
      decode: asText((text) => openInvitation(nodeCipher, text, null)),
      seeds: [canonicalBytes(sampleInvitation())],
      errors: document,
      weight: 2,
    },
    {
      name: 'enrolments',
      decode: asText((text) => openEnrolment(nodeCipher, text)),
      seeds: [canonicalBytes(sampleEnrolment(1))],
      errors: document,
      weight: 2,
    },
    {
      name: 'ledger lines',
      // Its caller's mistake is a TypeError; a line from a disk is one for it.
      decode: decodeEntry,
      seeds: fromUtf8(vector('ledger.jsonl')).trim().split('\n').map(utf8),
      errors: [InputError, TypeError],
      weight: 3,
    },
    {
      name: 'ledgers',
      // Finds and names faults; it never throws.
      decode: (bytes) => {
        const verified = verifyLedger(nodeCipher, bytes, [], sampleSigner(1).publicKey);
        assert.ok(verified.ok || verified.findings.length > 0);
      },
      seeds: [vector('ledger.jsonl')],
      errors: [],
      weight: 1,
    },
    {
      name: 'checkpoints',
      decode: asText((text) => readCheckpoint(nodeCipher, text)),
      seeds: [vector('ledger-checkpoint.txt')],
      errors: input,
      weight: 2,
    },
    {
      name: 'policies',
      decode: parsePolicy,
      seeds: [
        new Uint8Array(readFileSync(path.resolve(import.meta.dirname, '../../main/resources/policy-template.json'))),
      ],
      errors: input,
      weight: 2,
    },
    {
      name: 'model states',
      decode: (bytes) => decodeModelChain(nodeCipher, roundContract, bytes),
      seeds: [model.encode()],
      errors: [InvariantError],
      weight: 2,
    },
    {
      name: 'safetensors',
      decode: readSafetensors,
      seeds: [tensors, writeSafetensors(halves, {}, 'F16'), writeSafetensors(halves, {}, 'BF16')],
      errors: input,
      weight: 4,
    },
    {
      name: 'checkpoint configurations',
      decode: asText((text) => readConfiguration(parsedJson(text))),
      seeds: checkpointConfigurations.map((one) => utf8(JSON.stringify(one))),
      errors: input,
      weight: 2,
    },
    {
      name: 'shard indexes',
      decode: asText((text) => shardsOf(parsedJson(text))),
      seeds: [utf8(JSON.stringify({ metadata: {}, weight_map: { a: 'model-1.safetensors', b: 'm.safetensors' } }))],
      errors: input,
      weight: 1,
    },
    {
      name: 'adapter settings',
      decode: asText((text) => fromPeft(tinyLlama, parsedJson(text), adapter.tensors)),
      seeds: [utf8(JSON.stringify(adapter.config))],
      errors: input,
      weight: 1,
    },
    {
      name: 'stored events',
      decode: asText((text) => decodeEvent(1, { body: text, attachment: null })),
      seeds: [canonicalBytes({ kind: 'tick', now: 1 }), canonicalBytes({ kind: 'message', message: ready, now: 1 })],
      errors: [InvariantError],
      weight: 2,
    },
    { name: 'canonical JSON', decode: parseCanonical, seeds: [canonicalBytes(status)], errors: input, weight: 3 },
  ];
}

/** @returns how many inputs each target took, and how many of them it accepted. */
export function fuzz(inputs: number, seed: number): ReadonlyMap<string, { taken: number; accepted: number }> {
  const targets = decoders();
  const wheel = targets.flatMap((target) => Array.from({ length: target.weight }, () => target));
  const counts = new Map(targets.map((target) => [target.name, { taken: 0, accepted: 0 }]));
  const roll = dice(seed);
  const json = new Map(targets.map((target) => [target.name, target.seeds.map(jsonOf)]));
  for (let number = 0; number < inputs; number++) {
    const target = wheel[number % wheel.length]!;
    const at = roll(target.seeds.length);
    const parsed = json.get(target.name)![at];
    const bytes = inputFor(roll, target.seeds[at]!, parsed, target.seeds[roll(target.seeds.length)]!);
    const count = counts.get(target.name)!;
    count.taken++;
    try {
      target.decode(bytes);
      count.accepted++;
    } catch (error) {
      const documented = target.errors.some((kind) => error instanceof kind);
      if (!documented)
        throw new Error(
          `input ${number} of seed ${seed} for ${target.name}: ${Buffer.from(bytes).toString('base64').slice(0, 4000)}`,
          {
            cause: error,
          },
        );
      if (error instanceof ConsilienceError) assert.match(error.code, /^[a-z0-9-]+$/);
    }
  }
  return counts;
}

function inputFor(roll: ReturnType<typeof dice>, seed: Uint8Array, parsed: unknown, other: Uint8Array): Uint8Array {
  const kind = roll(64);
  if (kind === 0) return seed;
  if (parsed === undefined || kind < 24) return mutateBytes(roll, seed, other);
  if (kind < 26) return mutateText(roll, fromUtf8(seed));
  const changed = mutateJson(roll, parsed);
  if (kind < 56)
    try {
      return canonicalBytes(changed);
    } catch {
      // Not sayable in canonical JSON: as a careless writer would put it.
    }
  return new Uint8Array(Buffer.from(JSON.stringify(changed) ?? '', 'utf8'));
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}
