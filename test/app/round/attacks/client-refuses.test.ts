// "The client refuses" (design 3), line by line under its own words: a coordinator or a peer really does it, in the
// wire's bytes, to the engine that institutions run. Each test says with which code the victim leaves, and that nothing
// of a later stage was sent. The lines about whole contracts are refused before consent.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fromHex, toHex } from '../../../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../../../app/encoding/canonical-json.ts';
import { InputError, RefusalError } from '../../../../app/errors.ts';
import { deliveryBytes } from '../../../../app/round/coordinator-lists.ts';
import type { CoordinatorPort } from '../../../../app/round/engine-ports.ts';
import { decodeMessage, encodeMessage } from '../../../../app/round/messages.ts';
import type { BodyOf, Message } from '../../../../app/round/messages.ts';
import { decodeDelivery, encodeDelivery } from '../../../../app/sealed-sum/box-frames.ts';
import { sumHash } from '../../../../app/round/result.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { sampleStudy } from '../sample-study.ts';
import {
  cohortBytes,
  sharersBytes,
  signedAgain,
  signedByCoordinator,
  survivorsBytes,
  transcriptBytes,
} from '../../../../app/simulation/forged-lists.ts';
import { bodiesOf, codesOf, lyingStudy } from './lying-study.ts';
import type { LyingOptions, LyingStudy } from './lying-study.ts';

type Lie = NonNullable<LyingOptions['lie']>;

/** The list that ends `stage` is replaced for the victim. */
const list =
  (stage: 0 | 1 | 2 | 3 | 4, forge: (self: LyingStudy) => Uint8Array): Lie =>
  (port, self) => ({
    broadcast: async (round, wanted) => (wanted === stage ? forge(self()) : port.broadcast(round, wanted)),
  });

const boxes =
  (forge: (self: LyingStudy) => Uint8Array): Lie =>
  (_port, self) => ({ boxes: async () => forge(self()) });

const readies = (self: LyingStudy): Message<0>[] => [...self.round().readies.values()];
const sharers = (self: LyingStudy): Message<1>[] => [...self.round().shares.values()].map((held) => held.message);
const masked = (self: LyingStudy): Message<2>[] => [...self.round().masked.values()].map((held) => held.message);
const sets = (self: LyingStudy) => ({ u1: self.round().u1!.body.u1, u2: self.round().u2!.body.u2 });
const at = <M extends { sender: number }>(all: readonly M[], sender: number, message: M): M[] =>
  all.map((one) => (one.sender === sender ? message : one));

/** A Ready of peer 2 that says something else, validly signed. */
const cohortWith = (change: Partial<BodyOf<0>>): Lie =>
  list(0, (self) => {
    const all = readies(self);
    return cohortBytes(self.study, 1, at(all, 2, signedAgain(self.study, all[2]!, change)));
  });

async function refuses(code: string, lie: Lie, mostStage: number, options: LyingOptions = {}): Promise<LyingStudy> {
  const self = await lyingStudy({ ...options, lie });
  await self.settle();
  assert.deepEqual(codesOf(self.victim), [code]);
  assert.ok(
    Math.max(...self.victim.sent.filter((stage) => stage < 16)) <= mostStage,
    `sent ${self.victim.sent.join()}`,
  );
  assert.equal(self.victim.engine.memory().last.round, 0);
  // It is in the ledger, with what it cost: a charge only once the sealed vector was on its way.
  const [aborted] = bodiesOf(self.victim, 'round-aborted');
  assert.equal(aborted!['reason' as never], code);
  assert.equal(aborted!['charged' as never], bodiesOf(self.victim, 'budget-reserved').length === 1);
  assert.equal(bodiesOf(self.victim, 'budget-reserved').length, mostStage >= 2 ? 1 : 0);
  return self;
}

suite('the client refuses', () => {
  test('contract hash differs', async () => {
    await refuses('contract-differs', cohortWith({ contract: '00'.repeat(32) }), 0);
  });

  test('unknown or unsigned roster key', async () => {
    const stranger = list(0, (self) =>
      cohortBytes(self.study, 1, [...readies(self), { ...readies(self)[3]!, sender: 9 }]),
    );
    await refuses('unknown-key', stranger, 0);
    const unsigned = list(0, (self) => {
      const all = readies(self);
      return cohortBytes(self.study, 1, at(all, 2, { ...all[2]!, signature: all[1]!.signature }));
    });
    await refuses('list-signature', unsigned, 0);
  });

  test('a list out of order or with a member twice', async () => {
    for (const order of [
      [0, 2, 1, 3],
      [0, 1, 1, 2],
    ])
      await refuses(
        'list-order',
        list(0, (self) =>
          cohortBytes(
            self.study,
            1,
            order.map((i) => readies(self)[i]!),
          ),
        ),
        0,
      );
    await refuses(
      'list-order',
      list(1, (self) =>
        sharersBytes(
          self.study,
          sets(self).u1,
          [0, 1, 3, 2].map((i) => sharers(self)[i]!),
        ),
      ),
      1,
    );
    await refuses(
      'list-order',
      list(2, (self) =>
        survivorsBytes(
          self.study,
          sets(self),
          [0, 1, 2, 2].map((i) => masked(self)[i]!),
        ),
      ),
      2,
    );
    await refuses(
      'list-order',
      list(3, (self) => {
        const all = [...self.round().consistency.values()];
        return transcriptBytes(self.study, all[0]!.body.statement, [all[0]!, all[1]!, all[1]!]);
      }),
      3,
    );
  });

  test('cohort or U3 below its floor', async () => {
    await refuses(
      'cohort-below-floor',
      list(0, (self) => cohortBytes(self.study, 1, readies(self).slice(0, 2))),
      0,
    );
    await refuses(
      'cohort-below-floor',
      list(2, (self) => survivorsBytes(self.study, sets(self), masked(self).slice(0, 2))),
      2,
    );
  });

  test('hashes of model or config differ', async () => {
    await refuses('model-differs', cohortWith({ model: '00'.repeat(32) }), 0);
    await refuses('config-differs', cohortWith({ config: '00'.repeat(32) }), 0);
  });

  test('model not the successor of the last one pinned', async () => {
    await refuses('last-sum-differs', cohortWith({ last: { round: 0, sum: '11'.repeat(32), verified: true } }), 0);
  });

  test('U-sets not nested or below t', async () => {
    const short = list(1, (self) => sharersBytes(self.study, sets(self).u1, sharers(self).slice(0, 2)));
    await refuses('cohort-below-floor', short, 1);
    // U2 ⊄ U1: the victim was shown a first list without 3, in whose second list 3 appears.
    const wider: Lie = (port, self) => ({
      async broadcast(round, stage) {
        if (stage === 0) return cohortBytes(self().study, 1, readies(self()).slice(0, 3));
        if (stage === 1) return sharersBytes(self().study, sets(self()).u1, [...sharers(self())]);
        return port.broadcast(round, stage);
      },
      // Its own R1 names the list that it was shown, and the coordinator pretends to take it.
      sendShares: async () => undefined,
    });
    const shared = await lyingStudy({ lie: wider });
    await shared.settle();
    shared.pass();
    await shared.settle();
    assert.deepEqual(codesOf(shared.victim), ['sets-not-nested']);
    // U3 ⊄ the U2 that it masked against: 3 was not in that list, and is in the sum.
    const narrow: Lie = (port, self) => ({
      async broadcast(round, stage) {
        if (stage === 1) return sharersBytes(self().study, sets(self()).u1, sharers(self()).slice(0, 3));
        if (stage === 2)
          return survivorsBytes(self().study, sets(self()), [ownMasked(self()), ...masked(self()).slice(-2)]);
        return port.broadcast(round, stage);
      },
      send: async () => undefined,
      upload: async () => undefined,
    });
    const self = await lyingStudy({ lie: honestReadies(narrow) });
    await self.settle();
    assert.deepEqual(self.round().stage, 'masked');
    self.pass();
    await self.settle();
    assert.deepEqual(codesOf(self.victim), ['sets-not-nested']);
  });

  test('U2 shown differently to others', async () => {
    const lie = list(2, (self) => {
      const all = masked(self);
      return survivorsBytes(
        self.study,
        sets(self),
        at(all, 3, signedAgain(self.study, all[3]!, { u2: '55'.repeat(32) })),
      );
    });
    await refuses('u2-differs', lie, 2);
    const head = list(2, (self) => survivorsBytes(self.study, { ...sets(self), u2: '55'.repeat(32) }, masked(self)));
    await refuses('u2-differs', head, 2);
  });

  test('U1 shown differently to others', async () => {
    const second = list(1, (self) => {
      const shown = signedByCoordinator(self.study, 1, 128, { u1: '77'.repeat(32) });
      const all = sharers(self);
      const lied = signedAgain(self.study, all[2]!, { u1: shown.body.u1, u1Signature: shown.signature });
      return sharersBytes(self.study, sets(self).u1, at(all, 2, lied));
    });
    const self = await refuses('coordinator-equivocated', second, 1);
    assert.ok(self.victim.records.has('equivocation'), 'the proof is kept');
    const framed = list(1, (self) => {
      const all = sharers(self);
      return sharersBytes(
        self.study,
        sets(self).u1,
        at(all, 2, signedAgain(self.study, all[2]!, { u1: '77'.repeat(32) })),
      );
    });
    const other = await refuses('u1-differs', framed, 1);
    assert.ok(!other.victim.records.has('equivocation'), 'a peer cannot frame the coordinator');
    await refuses(
      'u1-differs',
      list(1, (self) => sharersBytes(self.study, '77'.repeat(32), sharers(self))),
      1,
    );
    await refuses(
      'u1-differs',
      list(2, (self) => {
        const all = masked(self);
        return survivorsBytes(
          self.study,
          sets(self),
          at(all, 3, signedAgain(self.study, all[3]!, { u1: '55'.repeat(32) })),
        );
      }),
      2,
    );
  });

  test('itself missing or its root changed', async () => {
    await refuses(
      'self-missing',
      list(0, (self) => cohortBytes(self.study, 1, readies(self).slice(1))),
      0,
    );
    await refuses(
      'self-missing',
      list(1, (self) => sharersBytes(self.study, sets(self).u1, sharers(self).slice(1))),
      1,
    );
    await refuses(
      'own-root-changed',
      list(2, (self) => survivorsBytes(self.study, sets(self), masked(self).slice(1))),
      2,
    );
    // Its identity key is needed for a changed root: even a stolen one does not move it.
    const changed = list(2, (self) => {
      const all = masked(self);
      const other = signedAgain(self.study, all[0]!, { root: '66'.repeat(32) });
      return survivorsBytes(self.study, sets(self), at(all, 0, other));
    });
    await refuses('own-root-changed', changed, 2);
  });

  test('a signer outside U3', async () => {
    // 3 does not upload in time; its signature on the statement is offered as one of the t.
    const lie = list(3, (self) => {
      const all = [...self.round().consistency.values()];
      const outsider = signedAgain(self.study, { ...all[0]!, sender: 3 }, {});
      return transcriptBytes(self.study, all[0]!.body.statement, [...all.slice(0, 2), outsider]);
    });
    const self = await lyingStudy({ lie });
    await self.settle({ until: () => self.round().stage === 'masked' });
    await self.settle({ silent: [3] });
    self.pass();
    await self.settle({ silent: [3] });
    assert.deepEqual(codesOf(self.victim), ['signer-outside-u3']);
    assert.ok(!self.victim.sent.includes(4));
    const few = list(3, (other) => {
      const all = [...other.round().consistency.values()];
      return transcriptBytes(other.study, all[0]!.body.statement, all.slice(0, 2));
    });
    await refuses('too-few-signatures', few, 3);
    const elsewhere = list(3, (other) => {
      const all = [...other.round().consistency.values()];
      const lied = signedAgain(other.study, all[2]!, { statement: '44'.repeat(32) });
      return transcriptBytes(other.study, all[0]!.body.statement, at(all, 2, lied));
    });
    await refuses('statement-differs', elsewhere, 3);
  });

  test('a second signature or unmask for a round', async () => {
    // Each list comes in two versions: the real one first, then one with other survivors or signers.
    const shown = new Set<string>();
    const lie: Lie = (port, self) => ({
      async broadcast(round, stage) {
        if (!shown.has(`${round}/${stage}`)) return (shown.add(`${round}/${stage}`), port.broadcast(round, stage));
        if (stage === 2) return survivorsBytes(self().study, sets(self()), masked(self()).slice(0, 3));
        return port.broadcast(round, stage);
      },
    });
    const self = await lyingStudy({ lie });
    const { victim } = self;
    const again = async (): Promise<void> => {
      for (const stage of ['ready', 'shares', 'masked', 'consistency', 'unmask'] as const)
        await victim.engine.advance({ ...statusOf(self), round: { number: 1, stage, eligible: true } });
    };
    for (const [stage, number] of [
      ['consistency', 3],
      ['unmask', 4],
    ] as const) {
      await self.settle({ until: () => victim.engine.round()?.stage === stage });
      const before = victim.bytes.filter((_, place) => victim.sent[place] === number);
      assert.equal(before.length, 1);
      if (stage === 'unmask') await again();
      await victim.restart();
      await victim.engine.advance({ ...statusOf(self), round: { number: 1, stage: 'consistency', eligible: true } });
      const after = victim.bytes.filter((_, place) => victim.sent[place] === number);
      assert.deepEqual(new Set(after), new Set(before), 'sent again as it was stored');
    }
    await self.settle();
    const sent = victim.sent.length;
    await victim.restart();
    for (const stage of ['ready', 'shares', 'masked', 'consistency', 'unmask'] as const)
      await victim.engine
        .advance({ ...statusOf(self), round: { number: 1, stage, eligible: true } })
        .catch((error: unknown) => assert.ok(error instanceof RefusalError));
    assert.equal(victim.sent.length, sent, 'a round that is over is never opened again');
  });

  test('an old round', async () => {
    await refuses(
      'old-round',
      list(0, (self) => cohortBytes(self.study, 7, readies(self))),
      0,
    );
    await refuses('old-round', cohortWith({ round: 7 }), 0);
  });

  test('a peer’s counter lower than seen', async () => {
    const self = await lyingStudy({
      lie: (port, held) => ({
        broadcast: async (round, stage) =>
          round === 2 && stage === 0 ? cohortBytes(held().study, 2, rolledBack(held())) : port.broadcast(round, stage),
      }),
    });
    const rolledBack = (study: LyingStudy): Message<0>[] => {
      const all = readies(study);
      return at(all, 2, signedAgain(study.study, all[2]!, { counter: 0 }));
    };
    await self.settle();
    self.pass();
    await self.settle();
    assert.deepEqual(codesOf(self.victim), ['counter-rolled-back']);
  });

  test('boxes swapped or reflected', async () => {
    const mine = (self: LyingStudy) => decodeDelivery(deliveryTo(self, 0));
    const swapped = boxes((self) => {
      const all = mine(self);
      return encodeDelivery([all[0]!, { ...all[2]!, dealer: 1 }, { ...all[1]!, dealer: 2 }, all[3]!]);
    });
    const reflected = boxes((self) => {
      const theirs = decodeDelivery(deliveryTo(self, 1));
      return encodeDelivery(mine(self).map((entry, position) => (position === 2 ? theirs[2]! : entry)));
    });
    const damaged = boxes((self) => {
      const all = mine(self);
      all[2]!.sealed.box[40]! ^= 1;
      return encodeDelivery(all);
    });
    for (const lie of [swapped, reflected, damaged]) {
      const self = await refuses('box-off-root', lie, 1);
      assert.ok(!self.victim.sent.includes(16), 'no honest dealer is framed');
    }
    await refuses(
      'box-missing',
      boxes((self) => encodeDelivery(mine(self).slice(0, 3))),
      1,
    );
    await refuses(
      'box-frame',
      boxes((self) => deliveryTo(self, 0).slice(0, -1)),
      1,
    );
  });

  test('the same peer as survivor and dropout', async () => {
    const both = list(4, (self) => {
      const { result } = self.central.study().ended.at(-1)!;
      const [first, ...rest] = result!.body.seeds;
      const body = { ...result!.body, seeds: [first!, { ...first!, kind: 1 }, ...rest] };
      return encodeMessage(signedByCoordinator(self.study, 1, 132, body));
    });
    await refuses('seeds-incomplete', both, 4);
  });

  test('a wrong share or seed', async () => {
    const wrong = list(4, (self) => {
      const { result } = self.central.study().ended.at(-1)!;
      const seeds = result!.body.seeds.map((seed, place) =>
        place === 2 ? { ...seed, secret: '05'.repeat(32) } : seed,
      );
      return encodeMessage(signedByCoordinator(self.study, 1, 132, { ...result!.body, seeds }));
    });
    await refuses('seed-wrong', wrong, 4);
    const another = list(4, (self) => {
      const { result } = self.central.study().ended.at(-1)!;
      return encodeMessage(signedByCoordinator(self.study, 1, 132, { ...result!.body, statement: '05'.repeat(32) }));
    });
    await refuses('statement-differs', another, 4);
    const unsigned = list(4, (self) => {
      const { result } = self.central.study().ended.at(-1)!;
      return encodeMessage({ ...result!, body: { ...result!.body, sum: '05'.repeat(32) } });
    });
    await refuses('coordinator-signature', unsigned, 4);
  });

  test('a false sum, or a contribution that nobody signed', async () => {
    const shifted: Lie = (port) => ({
      async sumChunk(round, chunk) {
        const words = await port.sumChunk(round, chunk);
        words[0]! += 1;
        return words;
      },
    });
    await refuses('sum-differs', shifted, 4);
    const exchanged: Lie = (port) => ({
      maskedChunk: (round, index, chunk) => port.maskedChunk(round, index === 1 ? 2 : index === 2 ? 1 : index, chunk),
    });
    await refuses('vector-off-root', exchanged, 4);
    const short: Lie = (port) => ({
      maskedChunk: async (round, index, chunk) => (await port.maskedChunk(round, index, chunk)).slice(0, -4),
    });
    await refuses('vector-off-root', short, 4);
    const otherHash = list(4, (self) => {
      const { result } = self.central.study().ended.at(-1)!;
      const sum = toHex(sumHash(nodeCipher, self.study.parameters, 1, [0, 1, 2, 3], [new Uint32Array(5)]));
      return encodeMessage(signedByCoordinator(self.study, 1, 132, { ...result!.body, sum }));
    });
    await refuses('sum-off-hash', otherHash, 4);
  });

  test('an S + L signature', async () => {
    const plus = (signature: string): string => {
      const s = BigInt(`0x${toHex(fromHex(signature).slice(32).reverse())}`);
      const order = 2n ** 252n + 27742317777372353535851937790883648493n;
      const high = fromHex((s + order).toString(16).padStart(64, '0')).reverse();
      return signature.slice(0, 64) + toHex(high);
    };
    const lie = list(0, (self) => {
      const all = readies(self);
      return cohortBytes(self.study, 1, at(all, 2, { ...all[2]!, signature: plus(all[2]!.signature) }));
    });
    await refuses('list-signature', lie, 0);
    // The coordinator runs the same check, so that one crafted Ready does not stop those who would accept it.
    const self = await lyingStudy();
    await self.settle({ silent: [2, 3] });
    const [own] = readies(self);
    const crafted = { ...signedAgain(self.study, { ...own!, sender: 2 }, {}) };
    const wire = decodeMessage(encodeMessage({ ...crafted, signature: plus(crafted.signature) })) as Message;
    assert.throws(() => self.central.apply({ kind: 'message', message: wire, now: 0 }), { code: 'list-signature' });
  });

  test('one-time keys that are weak or used twice', async () => {
    const keys = (change: (keys: { boxes: string; masks: string; nonce: string }) => object): Lie =>
      list(0, (self) => {
        const all = readies(self);
        const lied = { ...all[2]!.body.keys!, ...change(all[1]!.body.keys!) };
        return cohortBytes(self.study, 1, at(all, 2, signedAgain(self.study, all[2]!, { keys: lied })));
      });
    await refuses(
      'weak-key',
      keys(() => ({ masks: `01${'00'.repeat(31)}` })),
      0,
    );
    await refuses(
      'weak-key',
      keys(({ boxes: key }) => ({ boxes: key.slice(0, -2) + 'ff' })),
      0,
    );
    await refuses(
      'keys-not-distinct',
      keys((peer) => peer),
      0,
    );
    await refuses('closing-ready', cohortWith({ keys: null }), 0);
  });

  test('a list that is not the coordinator’s, or not the one it signed', async () => {
    await refuses(
      'coordinator-signature',
      list(0, (self) => {
        const real = cohortBytes(self.study, 1, readies(self));
        const text = Buffer.from(real).toString('utf8');
        const { head } = JSON.parse(text) as { head: { signature: string } };
        return Buffer.from(text.replace(head.signature, readies(self)[1]!.signature));
      }),
      0,
    );
    const hash = (stage: 0 | 1 | 2, honest: (self: LyingStudy) => Uint8Array, name: string): Lie =>
      list(stage, (self) => resigned(self, honest(self), stage, name));
    await refuses(
      'u1-differs',
      hash(0, (self) => cohortBytes(self.study, 1, readies(self)), 'u1'),
      0,
    );
    await refuses(
      'u2-differs',
      hash(1, (self) => sharersBytes(self.study, sets(self).u1, sharers(self)), 'u2'),
      1,
    );
    await refuses(
      'statement-differs',
      hash(2, (self) => survivorsBytes(self.study, sets(self), masked(self)), 'statement'),
      2,
    );
  });

  test('a list that is not shown at all', async () => {
    const silent: Lie = (port) => ({
      broadcast: async (round, stage) => (stage === 1 ? null : port.broadcast(round, stage)),
    });
    await refuses('broadcast-gone', silent, 1);
  });

  test('plaintext metrics requested', async () => {
    const asks = list(1, (self) => {
      const bytes = sharersBytes(self.study, sets(self).u1, sharers(self));
      const wire = JSON.parse(Buffer.from(bytes).toString('utf8')) as { head: { body: object } };
      return canonicalBytes({ ...wire, head: { ...wire.head, body: { ...wire.head.body, metrics: ['loss'] } } });
    });
    await refuses('message-malformed', asks, 1);
    const { contract } = sampleStudy({ institutions: 4 });
    const { contractSchema } = await import('../../../../app/study/contract.ts');
    const wanting = { ...contract, training: { ...contract.training, metrics: ['loss'] } };
    assert.ok(!contractSchema.safeParse(wanting).success);
    // And nothing that an institution signs has room for one.
    const self = await lyingStudy();
    await self.settle();
    const { ready, shares, masked: vector, consistency, unmask } = self.victim.engine.round()!;
    for (const message of [ready, shares!, vector!, consistency!, unmask!])
      assert.throws(
        () => decodeMessage(canonicalBytes({ ...message, body: { ...message.body, loss: 0.25 } })),
        (error) => error instanceof InputError && error.code === 'message-malformed',
      );
  });

  test('configuration outside the consented bounds', async () => {
    // The coordinator cannot say a number at all; a cohort that follows other terms has another config hash.
    const { schedule } = sampleStudy({ institutions: 4 }).contract;
    const other = sampleStudy({
      institutions: 4,
      change: (contract) => ({ ...contract, schedule: { ...schedule, attempts: schedule.attempts + 1 } }),
    });
    const { configHash } = await import('../../../../app/round/parameters.ts');
    const config = toHex(configHash(nodeCipher, other.parameters, 1));
    await refuses('config-differs', cohortWith({ config }), 0);
  });

  test('budget or consent would be exceeded', async () => {
    const poor = await lyingStudy({ ceiling: 0.01 });
    await poor.settle();
    assert.deepEqual([...new Set(codesOf(poor.victim))], ['budget-exceeded']);
    assert.deepEqual(poor.victim.sent, []);
    const ended = await lyingStudy({ consentEnds: 1 });
    await ended.settle();
    assert.deepEqual([...new Set(codesOf(ended.victim))], ['consent-expired']);
    assert.deepEqual(ended.victim.sent, []);
    // The consent ends while a round is open: nothing of the vector leaves.
    const later = await lyingStudy({ consentEnds: Date.parse('2026-01-01T00:00:04.000Z') });
    await later.settle({ until: () => later.victim.engine.round()?.stage === 'shares' });
    later.clock.advanceTo(Date.parse('2026-01-01T00:00:04.000Z'));
    await later.settle();
    assert.deepEqual(codesOf(later.victim), ['consent-expired']);
    assert.deepEqual(later.victim.sent, [0, 1]);
    assert.equal(bodiesOf(later.victim, 'round-aborted')[0]!['stage' as never], 'opened', 'nothing was even sealed');
    assert.equal(bodiesOf(later.victim, 'budget-reserved').length, 0);
  });

  test('resume with changed noise or batch', async () => {
    const self = await lyingStudy({ vectorOf: () => new Uint32Array(5).fill(draws++) });
    await self.settle({ until: () => self.victim.engine.round()?.stage === 'masked' });
    const { victim } = self;
    const before = victim.records.get('masked/0')!;
    await victim.restart();
    await self.settle({ until: () => self.round().stage !== 'masked' });
    assert.deepEqual(victim.records.get('masked/0'), before, 'the stored bytes, though training would now give others');
    for (const [change, code] of [
      [(records: Map<string, Uint8Array>) => records.delete('masked/0'), 'masked-bytes-gone'],
      [(records: Map<string, Uint8Array>) => records.set('masked/0', new Uint8Array(20)), 'masked-bytes-changed'],
    ] as const) {
      const lost = await lyingStudy({ lie: failingUpload });
      await assert.rejects(lost.settle({ until: () => lost.victim.engine.round()?.stage === 'masked' }));
      change(lost.victim.records);
      await lost.victim.restart();
      await lost.settle();
      assert.deepEqual(codesOf(lost.victim), [code]);
      assert.equal(bodiesOf(lost.victim, 'budget-reserved').length, 1, 'charged once');
    }
  });
});

let draws = 1;
const failingUpload: Lie = () => ({
  upload: () => Promise.reject(new Error('the line went dead')),
});

const statusOf = (self: LyingStudy) => ({
  outcome: null,
  closed: self.central.study().closed.length,
  lastClosed: self.central.study().closed.at(-1) ?? { round: 0, sum: '0'.repeat(64) },
  complaints: [],
  witness: null,
});

const deliveryTo = (self: LyingStudy, recipient: number): Uint8Array =>
  deliveryBytes(
    { cipher: nodeCipher, parameters: self.study.parameters, signer: self.study.coordinator },
    self.round(),
    recipient,
  )!;

const ownMasked = (self: LyingStudy): Message<2> => self.victim.engine.round()!.masked!;

/** Lets R0 and R1 through to the real coordinator, whatever comes of the rest. */
const honestReadies =
  (lie: Lie): Lie =>
  (port: CoordinatorPort, self) => {
    const lies = lie(port, self);
    return { ...lies, send: (message) => (message.stage === 0 ? port.send(message) : lies.send!(message)) };
  };

function resigned(self: LyingStudy, bytes: Uint8Array, stage: 0 | 1 | 2, name: string): Uint8Array {
  const wire = JSON.parse(Buffer.from(bytes).toString('utf8')) as { head: { body: BodyOf<128> }; members: unknown };
  const body = { ...wire.head.body, [name]: '12'.repeat(32) };
  const head = signedByCoordinator(self.study, 1, (128 + stage) as 128, body);
  return canonicalBytes({ ...wire, head });
}
