// Sees everything that happens in a simulated federation, keeps no secrets, and holds it to the promises of design 3 and 4
// after every event. What it says is for whoever reads a failing seed.

import { fromUtf8, toHex } from '../encoding/bytes.ts';
import { canonicalJson } from '../encoding/canonical-json.ts';
import type { Entry } from '../ledger/entry.ts';
import type { Accusation } from '../round/coordinator-state.ts';
import type { LedgerNote } from '../round/engine-ports.ts';
import type { AnyMessage, Message } from '../round/messages.ts';
import { verifyAccusation } from '../round/proofs.ts';
import { openedGroups, shareName } from './openings.ts';
import { wholeLines } from './simulated-disk.ts';
import { leastInSum } from '../review/round-event.ts';
import { wordBits } from '../round/parameters.ts';
import { reduceWords } from '../sealed-sum/unmask.ts';
import type { SmallStudy } from './small-study.ts';

export const promises = [
  'sum-exact',
  'never-both-shares',
  'nothing-below-the-floor',
  'charge-before-release',
  'charge-once',
  'ledger-only-grows',
  'round-number-once',
  'signed-once',
  'same-model',
  'garbage-spoils',
  'nobody-framed',
  'study-ends',
] as const;

export type Violation = { readonly promise: (typeof promises)[number]; readonly detail: string };

export type Cast = {
  /** Institutions that lie or do what the coordinator wants. */
  readonly liars: ReadonlySet<number>;
  readonly honestCoordinator: boolean;
};

export type Witness = {
  readonly violations: readonly Violation[];
  violated(promise: Violation['promise'], detail: string): void;
  /** A vector that institution `index` is about to seal; `garbage`: no honest one, so whoever sums it has to see it. */
  trained(index: number, round: number, words: Uint32Array, garbage: boolean): void;
  /** On a sparse graph, or within regions: who holds the shares that an institution deals now, and how many of them open a secret. */
  dealt(index: number, round: number, holders: readonly number[], threshold: number): void;
  /** The peers against which the vector was masked that leaves now. */
  masked(index: number, round: number, peers: readonly number[]): void;
  /** A message of an institution leaves its machine, whether or not it arrives. */
  sends(index: number, message: AnyMessage): void;
  /** The ledger file as it would be after a crash now. */
  ledger(index: number, durable: Uint8Array): void;
  /** An institution took over a sum, and what it noted of it. */
  applied(index: number, note: LedgerNote, sum: Uint32Array, model: string): void;
  /** The honest coordinator opened a sum. */
  opened(round: number, survivors: readonly number[], sum: Uint32Array): void;
  accusations(all: readonly Accusation[]): void;
};

export function witness(study: SmallStudy, cast: Cast): Witness {
  const { parameters, cipher } = study;
  const violations: Violation[] = [];
  const vectors = new Map<string, Uint32Array>();
  const spoilt = new Set<string>();
  const signed = new Map<string, string>();
  const masks = new Map<number, Map<number, readonly number[]>>();
  const dealt = new Map<number, Map<number, { readonly holders: readonly number[]; readonly threshold: number }>>();
  const revealed = new Map<number, Map<string, Set<number>>>();
  const models = new Map<number, string>();
  const ledgers = new Map<number, LedgerSeen>();
  const judged = new Set<string>();
  const isHonest = (index: number): boolean => !cast.liars.has(index);

  const violated: Witness['violated'] = (promise, detail) => void violations.push({ promise, detail });
  const roundOf = <Value>(map: Map<number, Value>, round: number, make: () => Value): Value => {
    const value = map.get(round) ?? make();
    map.set(round, value);
    return value;
  };

  function requireExact(who: string, round: number, survivors: readonly number[], sum: Uint32Array): void {
    const plain = new Uint32Array(sum.length);
    for (const index of survivors) {
      const vector = vectors.get(`${index}/${round}`);
      if (vector === undefined)
        return violated('sum-exact', `${who}: institution ${index} of round ${round} sealed no vector`);
      vector.forEach((word, at) => (plain[at] = plain[at]! + word));
    }
    reduceWords(plain, wordBits(parameters));
    if (plain.some((word, at) => word !== sum[at]))
      violated('sum-exact', `${who}: the sum of round ${round} is not that of institutions ${survivors.join()}`);
  }

  function reveal(index: number, round: number, dealer: number, kinds: readonly number[]): void {
    const shares = roundOf(revealed, round, () => new Map<string, Set<number>>());
    for (const kind of kinds) {
      const holders = shares.get(shareName(dealer, kind)) ?? new Set();
      shares.set(shareName(dealer, kind), holders.add(index));
    }
  }

  function requireSealed(round: number): void {
    const exposure = {
      masked: masks.get(round) ?? new Map(),
      dealt: dealt.get(round) ?? new Map(),
      revealed: revealed.get(round) ?? new Map(),
    };
    const floor = leastInSum(study.contract) - parameters.colluders;
    for (const group of openedGroups(exposure, { colluders: cast.liars, threshold: parameters.threshold }))
      if (group.length < floor)
        violated(
          'nothing-below-the-floor',
          `round ${round}: the vectors of ${group.join()} can be opened, and at least ${floor} honest ones must be in a sum`,
        );
  }

  function unmasks(index: number, { round, body }: Message<4>): void {
    const shares = roundOf(revealed, round, () => new Map<string, Set<number>>());
    for (const { dealer, kind } of body.shares) {
      if (shares.get(shareName(dealer, 1 - kind))?.has(index) === true)
        violated('never-both-shares', `institution ${index} gave both shares of ${dealer} in round ${round}`);
      reveal(index, round, dealer, [kind]);
    }
    requireSealed(round);
  }

  return {
    violations,
    violated,
    trained(index, round, words, garbage) {
      vectors.set(`${index}/${round}`, words.slice());
      if (garbage) spoilt.add(`${index}/${round}`);
      else spoilt.delete(`${index}/${round}`);
    },
    dealt(index, round, holders, threshold) {
      roundOf(dealt, round, () => new Map()).set(index, { holders, threshold });
    },
    masked(index, round, peers) {
      if (isHonest(index)) roundOf(masks, round, () => new Map<number, readonly number[]>()).set(index, peers);
    },
    sends(index, message) {
      if (!isHonest(index)) return;
      const { round, stage } = message;
      const about = stage === 16 ? message.body.dealer : stage === 17 ? message.body.complainer : 0;
      const key = `${index}/${round}/${stage}/${about}`;
      const bytes = canonicalJson(message);
      if ((signed.get(key) ?? bytes) !== bytes)
        violated('signed-once', `institution ${index} signed two messages for stage ${stage} of round ${round}`);
      signed.set(key, bytes);
      if (stage === 2 && ledgers.get(index)?.reserved.has(round) !== true)
        violated('charge-before-release', `institution ${index} sends in round ${round} what it is not charged for`);
      if (stage === 17) {
        // The box's ephemeral secret gives whoever has it both shares that were dealt to the complainer.
        reveal(message.body.complainer, round, index, [0, 1]);
        requireSealed(round);
      }
      if (stage === 4) unmasks(index, message);
    },
    ledger(index, durable) {
      const seen = ledgers.get(index) ?? { length: 0, last: '', reserved: new Set(), settled: new Set(), lines: 0 };
      if (durable.length === seen.length) return;
      const lines = wholeLines(durable);
      if (seen.lines > 0 && (lines.length < seen.lines || toHex(cipher.sha256(lines[seen.lines - 1]!)) !== seen.last))
        violated('ledger-only-grows', `the ledger of institution ${index} lost or changed what was in it`);
      for (const line of lines.slice(seen.lines)) {
        if (line.includes(0)) break;
        readEntry(index, seen, JSON.parse(fromUtf8(line)) as Entry);
        seen.last = toHex(cipher.sha256(line));
        seen.lines++;
      }
      seen.length = durable.length;
      ledgers.set(index, seen);
    },
    applied(index, note, sum, model) {
      if (!isHonest(index)) return;
      const round = Number(note['round']);
      const survivors = note['cohort'] as readonly number[];
      // With a lying coordinator the newest sum may be false until it is confirmed, or put back (design 3, R0).
      if (!cast.honestCoordinator && note['verified'] !== true) return;
      requireExact(`institution ${index}`, round, survivors, sum);
      const other = models.get(round) ?? model;
      if (other !== model) violated('same-model', `institution ${index} holds another model after round ${round}`);
      models.set(round, model);
      // Two liars can let their garbage cancel: then they only did what two vectors within range could do.
      const garbage = survivors.filter((member) => spoilt.has(`${member}/${round}`)).length;
      if (garbage === 1 && note['spoiled'] !== true)
        violated('garbage-spoils', `institution ${index} applied garbage in round ${round}`);
    },
    opened: (round, survivors, sum) => requireExact('the coordinator', round, survivors, sum),
    accusations(all) {
      for (const accusation of all) {
        const { accused, reason } = accusation;
        const key = `${accused}/${reason}/${accusation.proof[0]?.round}`;
        if (judged.has(key)) continue;
        judged.add(key);
        // Silence leaves nothing to show, and an institution that is down is silent.
        if (reason === 'silent-on-complaint') continue;
        if (isHonest(accused)) violated('nobody-framed', `institution ${accused} is accused of ${reason}`);
        const verdict = verifyAccusation(cipher, parameters, accusation);
        if (!verdict.proven) violated('nobody-framed', `the proof of ${reason} against ${accused}: ${verdict.why}`);
      }
    },
  };

  function readEntry(index: number, seen: LedgerSeen, { kind, body }: Entry): void {
    if (kind === 'budget-reserved') {
      if (seen.reserved.has(body.round)) violated('charge-once', `institution ${index} paid twice for ${body.round}`);
      seen.reserved.add(body.round);
    }
    if (kind === 'budget-settled') {
      if (seen.settled.has(body.round) || !seen.reserved.has(body.round))
        violated('charge-once', `institution ${index} settled round ${body.round} twice, or without a charge`);
      seen.settled.add(body.round);
    }
  }
}

type LedgerSeen = {
  length: number;
  last: string;
  lines: number;
  readonly reserved: Set<number>;
  readonly settled: Set<number>;
};
