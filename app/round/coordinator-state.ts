// What the coordinator holds of one round, and the events that change it. The state is never stored: the events are, in
// the transaction that accepts them, and replaying them gives the same state and the same signed broadcasts byte for
// byte (Ed25519 is deterministic). Design 6, "State".

import type { Ring } from '../sealed-sum/harary-ring.ts';
import type { Message } from './messages.ts';
import type { CohortMember } from './participant-state.ts';
import type { ReadyExpectation } from './checks.ts';

/** In which order a round goes through them; some are passed over where a study has no use for them. */
export const stageOrder = [
  'ready',
  'reveals',
  'shares',
  'masked',
  'consistency',
  'unmask',
  'opening',
  'vouching',
  'closed',
] as const;

export type CoordinatorStage = (typeof stageOrder)[number] | 'aborted';

export const accusationReasons = [
  'bad-box',
  'silent-on-complaint',
  'false-complaint',
  'wrong-share',
  'wrong-secret',
  'two-messages-for-one-stage',
] as const;

/** What a dealer published for one holder, with what puts it under the dealer's root. All hex. */
export type ShownBox = {
  readonly dealer: number;
  readonly holder: number;
  readonly box: string;
  readonly ephemeralKey: string;
  readonly shareHashes: { readonly self: string; readonly mask: string };
  readonly path: readonly string[];
};

/** A participant proven to lie, or silent where it owed an answer. `proof` is what a third party can check (proofs.ts). */
export type Accusation = {
  readonly accused: number;
  readonly reason: (typeof accusationReasons)[number];
  readonly proof: readonly Message[];
  readonly boxes: readonly ShownBox[];
};

export type OpenedSeed = { readonly index: number; readonly kind: 0 | 1; readonly secret: string };

export type CoordinatorRound = {
  readonly round: number;
  readonly stage: CoordinatorStage;
  /** When the stage ends at the latest, ms; null while nothing has come in. */
  readonly deadline: number | null;
  /** When the stage began, ms; in `ready`, when the first message came. */
  readonly since: number | null;
  readonly expected: ReadyExpectation;
  /** Roster positions that may take part: not excluded, not withdrawn. */
  readonly eligible: readonly number[];
  readonly readies: ReadonlyMap<number, Message<0>>;
  readonly members: readonly CohortMember[];
  readonly u1: Message<128> | null;
  /** R0b, on a sparse graph only: who revealed, the list, and the members in the ring's order. */
  readonly reveals: ReadonlyMap<number, Message<5>>;
  readonly drawn: Message<133> | null;
  readonly ring?: Ring;
  readonly shares: ReadonlyMap<number, { readonly message: Message<1>; readonly bundle: Uint8Array }>;
  readonly u2: Message<129> | null;
  readonly sharers: readonly number[];
  readonly masked: ReadonlyMap<number, { readonly message: Message<2>; readonly complete: boolean }>;
  readonly u3: Message<130> | null;
  readonly survivors: readonly number[];
  readonly consistency: ReadonlyMap<number, Message<3>>;
  readonly transcript: Message<131> | null;
  /** The signatures that went out with `transcript`. */
  readonly signers: readonly number[];
  readonly unmask: ReadonlyMap<number, Message<4>>;
  readonly complaints: readonly Message<16>[];
  readonly answers: readonly Message<17>[];
  readonly accusations: readonly Accusation[];
  readonly seeds: readonly OpenedSeed[];
  readonly result: Message<132> | null;
  readonly aborted: Message<255> | null;
  /** With regions: each relay's signed sum, by region, and whether all its chunks are there. */
  readonly regionSums: ReadonlyMap<number, { readonly message: Message<64>; readonly complete: boolean }>;
  /** With regions: what members of U3 say of the opened sum, and the list that closed the round. */
  readonly vouches: ReadonlyMap<number, Message<6>>;
  readonly vouched: Message<134> | null;
};

export type CoordinatorEvent =
  | { readonly kind: 'message'; readonly message: Message; readonly bundle?: Uint8Array; readonly now: number }
  /** All chunks of this sender lie in the store and their root is the signed one. */
  | { readonly kind: 'uploaded'; readonly sender: number; readonly now: number }
  | { readonly kind: 'tick'; readonly now: number }
  /** The sum was computed and stored; its hash (sumHash), hex. */
  | { readonly kind: 'opened'; readonly sum: string; readonly now: number };

export function openRound(round: number, expected: ReadyExpectation, eligible: readonly number[]): CoordinatorRound {
  return {
    round,
    stage: 'ready',
    deadline: null,
    since: null,
    expected,
    eligible,
    readies: new Map(),
    members: [],
    u1: null,
    reveals: new Map(),
    drawn: null,
    shares: new Map(),
    u2: null,
    sharers: [],
    masked: new Map(),
    u3: null,
    survivors: [],
    consistency: new Map(),
    transcript: null,
    signers: [],
    unmask: new Map(),
    complaints: [],
    answers: [],
    accusations: [],
    seeds: [],
    result: null,
    aborted: null,
    regionSums: new Map(),
    vouches: new Map(),
    vouched: null,
  };
}

export const ascending = (indices: Iterable<number>): number[] => [...indices].sort((left, right) => left - right);

/** In place of a signature, on replayed lists of rounds before the coordinator's key was changed. */
export const unsigned = '0'.repeat(128);

/** Whether a message names the first list's signature; nothing to compare where that was not signed again. */
export const namesFirstList = (
  state: CoordinatorRound,
  body: { readonly u1: string; readonly u1Signature: string },
): boolean =>
  body.u1 === state.u1?.body.u1 && (state.u1.signature === unsigned || body.u1Signature === state.u1.signature);
