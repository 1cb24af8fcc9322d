// Coming back after missed rounds, with a coordinator that lies about them; and sums that cannot be trusted. What was
// shown is in the wire's bytes; what the institution holds at the end is everybody's model, or the one it had.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { toHex } from '../../../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../../../app/encoding/canonical-json.ts';
import { decodeClosedRecords } from '../../../../app/round/catch-up.ts';
import type { ClosedRecord } from '../../../../app/round/catch-up.ts';
import { sumHash } from '../../../../app/round/result.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { bodiesOf, codesOf, lyingStudy } from './lying-study.ts';
import type { LyingOptions, LyingStudy } from './lying-study.ts';

type Lie = NonNullable<LyingOptions['lie']>;

/** Through the codec that the client uses. */
const wire = (records: readonly ClosedRecord[]): ClosedRecord[] => decodeClosedRecords(canonicalBytes(records));

/** Rounds in which institution 0 is away: one after another until `round` is closed. */
async function away(self: LyingStudy, rounds: number): Promise<void> {
  for (let closed = self.central.study().closed.length; closed < rounds; closed++) {
    await self.settle({ silent: [0] });
    while (self.central.study().closed.length === closed) {
      self.pass();
      await self.settle({ silent: [0] });
    }
    if (self.central.study().outcome === null) self.pass();
  }
}

const modelsOf = (self: LyingStudy): Set<string> => new Set(self.parties.map(({ engine }) => engine.model().hash));
const falseWords = new Uint32Array(5).fill(3);
const falseHash = (self: LyingStudy, round: number): string =>
  toHex(sumHash(nodeCipher, self.study.parameters, round, [1, 2, 3], [falseWords]));

suite('the client', () => {
  test('accepts: a participant that returns after missing rounds', async () => {
    const self = await lyingStudy();
    await self.settle();
    self.pass();
    await away(self, 4);
    await self.settle();
    assert.deepEqual(codesOf(self.victim), []);
    assert.equal(self.central.study().closed.length, 5);
    assert.equal(modelsOf(self).size, 1);
    assert.equal(bodiesOf(self.victim, 'budget-reserved').length, 2, 'it paid for the rounds that it was in');
  });

  test('accepts: a sum that it was in, after any number of rounds that came to nothing', async () => {
    const self = await lyingStudy();
    await self.settle({ until: () => self.central.study().closed.length === 1 });
    for (let round = 2; round <= 6; round++) {
      self.pass();
      self.central.apply({ kind: 'abandoned', reason: 'restored', now: self.clock.now() });
    }
    self.pass();
    // Nobody had looked at the sum. If they could not any more, nobody would ever confirm it.
    await self.settle();
    assert.equal(self.central.study().closed.length, 2);
    for (const party of self.parties)
      assert.deepEqual(
        bodiesOf(party, 'round-closed').map((body) => body['verified' as never]),
        [true, true],
      );
  });

  test('accepts: a participant that returns after more rounds that came to nothing than there are attempts', async () => {
    const self = await lyingStudy({ institutions: 3 });
    await self.settle();
    while (self.central.study().nextRound < 3 * self.study.contract.schedule.attempts) {
      self.pass();
      await self.settle({ silent: [0] });
    }
    if (self.central.study().round === null) self.pass();
    await self.settle();
    assert.deepEqual(codesOf(self.victim), []);
    assert.equal(self.central.study().closed.length, 2);
  });

  test('refuses: a false sum offered to a returning client', async () => {
    // An earlier round's sum is false: too few vouch for it, whatever evidence is shown.
    for (const evidence of ['its own', 'of another sum', 'forged', 'none'] as const) {
      const lie: Lie = (port, held) => ({
        async closedAfter(round) {
          const records = await port.closedAfter(round);
          const [first] = records;
          const others = first!.evidence.map((ready) => ({
            ...ready,
            body: { ...ready.body, last: { round: 1, sum: falseHash(held(), 1), verified: true } },
          }));
          const shown = evidence === 'none' ? [] : evidence === 'forged' ? others : first!.evidence;
          return wire([
            { ...first!, sum: falseHash(held(), 1), survivors: [1, 2, 3], evidence: shown },
            ...records.slice(1),
          ]);
        },
        sumChunk: async (round, chunk) => (round === 1 ? falseWords.slice() : port.sumChunk(round, chunk)),
      });
      const self = await lyingStudy({ lie });
      await away(self, 2);
      await assert.rejects(self.settle(), { code: 'sum-not-proven' }, evidence);
      assert.equal(self.victim.engine.memory().last.round, 0, 'nothing was applied');
      assert.deepEqual(self.victim.sent, []);
    }
  });

  test('refuses: one institution’s word many times over, or that of too few', async () => {
    const lie: Lie = (port) => ({
      async closedAfter(round) {
        const [first, ...rest] = await port.closedAfter(round);
        const [one] = first!.evidence;
        return wire([{ ...first!, evidence: [one!, one!, one!] }, ...rest]);
      },
    });
    const self = await lyingStudy({ lie });
    await away(self, 2);
    await assert.rejects(self.settle(), { code: 'sum-not-proven' });
  });

  test('refuses: bytes that are not the sum that was closed, and rounds out of order', async () => {
    const bytes: Lie = (port) => ({
      sumChunk: async (round) => (await port.sumChunk(round, 0)).map((word) => word + 1),
    });
    const short: Lie = (port) => ({ sumChunk: async (round) => (await port.sumChunk(round, 0)).slice(1) });
    const order: Lie = (port) => ({ closedAfter: async (round) => wire((await port.closedAfter(round)).toReversed()) });
    const survivors: Lie = (port) => ({
      closedAfter: async (round) =>
        wire((await port.closedAfter(round)).map((record) => ({ ...record, survivors: [3, 2, 1] }))),
    });
    const long: Lie = (port) => ({
      sumChunk: async (round) => Uint32Array.from([...(await port.sumChunk(round, 0)), 0]),
    });
    const repeated: Lie = (port) => ({
      async closedAfter(round) {
        const [first, second] = await port.closedAfter(round);
        return wire([{ ...first!, survivors: first!.survivors }, first!, second!]);
      },
    });
    for (const [lie, code] of [
      [bytes, 'sum-off-hash'],
      [short, 'sum-off-hash'],
      [long, 'sum-off-hash'],
      [order, 'closed-not-shown'],
      [survivors, 'survivors-out-of-order'],
    ] as const) {
      const self = await lyingStudy({ lie });
      await away(self, 2);
      await assert.rejects(self.settle(), { code });
      assert.equal(self.victim.engine.memory().last.round, 0);
    }
    const self = await lyingStudy({ lie: repeated });
    await away(self, 2);
    await assert.rejects(self.settle(), { code: 'old-round' });
    assert.equal(self.victim.engine.memory().last.round, 1, 'the first was proven; it is not applied again');
    assert.throws(() => wire([{ round: 0, sum: '00'.repeat(32), survivors: [0], evidence: [] }]), {
      code: 'message-malformed',
    });
  });

  /** The newest closed round is shown with another sum, for as long as `lying` says. */
  const falseNewest =
    (lying: () => boolean): Lie =>
    (port, held) => ({
      async closedAfter(round) {
        const records = await port.closedAfter(round);
        const newest = records.at(-1);
        if (!lying() || newest === undefined) return wire(records);
        const forged = { ...newest, sum: falseHash(held(), newest.round), survivors: [1, 2, 3] };
        return wire([...records.slice(0, -1), forged]);
      },
      sumChunk: async (round, chunk) =>
        lying() && round === held().central.study().closed.at(-1)!.round
          ? falseWords.slice()
          : port.sumChunk(round, chunk),
    });

  test('puts a newest sum back that the list, or the coordinator itself, then contradicts', async () => {
    for (const restarted of [false, true]) {
      let lying = true;
      const self = await lyingStudy({ lie: falseNewest(() => lying) });
      await away(self, 1);
      const before = self.victim.engine.model().hash;
      // It takes the false sum on the coordinator's word; its Ready is refused by the check that every peer runs.
      await assert.rejects(self.settle({ silent: [1, 2, 3] }), { code: 'last-sum-differs' });
      assert.notEqual(self.victim.engine.model().hash, before);
      if (restarted) await self.victim.restart();
      await self.settle({ silent: [1, 2, 3] });
      assert.equal(self.victim.engine.model().hash, before, 'put back');
      assert.equal(self.victim.engine.memory().last.round, 0);
      lying = false;
      await self.settle();
      self.pass();
      await self.settle();
      for (let turn = 0; self.central.study().outcome === null && turn < 20; turn++) {
        self.pass();
        await self.settle();
      }
      assert.equal(self.central.study().outcome, 'complete');
      assert.equal(modelsOf(self).size, 1, 'everybody’s model in the end');
    }
  });

  test('does not end a study on a newest sum that only the coordinator vouches for', async () => {
    let lying = true;
    const self = await lyingStudy({ lie: falseNewest(() => lying) });
    await away(self, 5);
    assert.equal(self.central.study().outcome, 'complete');
    await self.settle({ silent: [1, 2, 3] });
    assert.ok(codesOf(self.victim).includes('sum-not-proven'));
    assert.ok(!self.victim.sent.includes(0), 'it signs nothing');
    lying = false;
    await self.settle();
    assert.equal(modelsOf(self).size, 1);
  });
});

suite('a round that cannot be trusted', () => {
  test('is spoiled, closed and charged, and applied by nobody', async () => {
    // Institution 2 sends garbage beyond what any honest vector can reach.
    const self = await lyingStudy({
      vectorOf: (index, round) => new Uint32Array(5).fill(index === 2 && round === 1 ? 0x7000_0000 : index),
    });
    const before = self.victim.engine.model().hash;
    await self.settle();
    assert.deepEqual(modelsOf(self), new Set([before]));
    assert.equal(self.central.study().spoiled, 1);
    assert.equal(self.central.study().model, before);
    for (const party of self.parties) {
      const [closed] = bodiesOf(party, 'round-closed');
      assert.equal(closed!['spoiled' as never], true);
      assert.equal(bodiesOf(party, 'model-pinned').length, 0);
      assert.equal(bodiesOf(party, 'budget-reserved').length, 1);
      assert.equal(bodiesOf(party, 'budget-settled').length, 1);
      assert.ok(party.events.some((event) => event.kind === 'closed' && event.spoiled));
    }
    // The next round goes on from the same model.
    self.pass();
    await self.settle();
    assert.equal(modelsOf(self).size, 1);
    assert.notEqual(self.victim.engine.model().hash, before);
  });
});
