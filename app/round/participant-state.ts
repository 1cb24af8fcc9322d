// What one participant remembers: of the study (counter, pins, peers' counters) and of the one open round. Both are
// plain JSON with bytes as hex, so that they go to disk, sealed, before anything they justify is sent. Design 3.

import type { Adaptation } from './adaptation.ts';
import type { Ring } from '../sealed-sum/harary-ring.ts';
import type { Message } from './messages.ts';

export type ClosedRound = {
  readonly round: number;
  /** H(sum), hex; zeros for round 0. */
  readonly sum: string;
  /** Re-added by this participant itself. */
  readonly verified: boolean;
};

export type StudyMemory = {
  /** Readies signed in this study so far. */
  readonly counter: number;
  /** Highest round number for which a Ready was signed; 0 before the first. */
  readonly signedRound: number;
  /** When that was, ms UTC by this machine's clock; absent before the first, and where an earlier version signed it. */
  readonly signedAt?: number;
  readonly last: ClosedRound;
  /** H(model) after `last`, hex. */
  readonly model: string;
  /** What the sums up to `last` decide about the next round; absent before the first, or where nothing adapts. */
  readonly adaptation?: Adaptation;
  /** Rings drawn in vain since the last closed round; absent: none. */
  readonly redraws?: number;
  /** Highest counter and its head seen of each peer, by roster position. */
  readonly peers: { readonly [index: string]: { readonly counter: number; readonly head: string } };
};

export type CohortMember = {
  readonly index: number;
  /** X25519 public keys, hex. */
  readonly boxes: string;
  readonly masks: string;
  /** Commitment to its part of the graph's draw; where the contract allows a sparse graph. */
  readonly nonce?: string;
};

/** Shares that a dealer gave to this participant, hex. */
export type ReceivedShares = { readonly self: string; readonly mask: string };

/** How far this participant has signed. `left`: it takes no further part; `wiped`: only stored bytes stay. */
export type RoundStage =
  'ready' | 'revealed' | 'shares' | 'opened' | 'masked' | 'consistency' | 'unmask' | 'vouched' | 'left' | 'wiped';

export type RoundState = {
  readonly round: number;
  readonly index: number;
  readonly stage: RoundStage;
  /** Signed messages of this participant by stage: re-sent as they are, never recomputed. */
  readonly ready: Message<0>;
  readonly reveal?: Message<5>;
  readonly shares?: Message<1>;
  /** R1's boxes in the wire's frame, hex. */
  readonly bundle?: string;
  readonly masked?: Message<2>;
  readonly consistency?: Message<3>;
  readonly unmask?: Message<4>;
  readonly complaints: readonly Message<16>[];
  /** With regions: what this participant said of the opened sum. */
  readonly vouch?: Message<6>;

  /** Secret X25519 keys of the round, hex; empty once wiped. */
  readonly secrets: { readonly boxes: string; readonly masks: string };
  /** What the Ready committed to, hex; on a sparse graph only. */
  readonly nonce?: string;
  /** Self-mask seed and the ephemeral secret of each box by recipient, hex. */
  readonly selfSeed?: string;
  readonly ephemerals?: { readonly [recipient: string]: string };

  readonly u1?: {
    readonly hash: string;
    readonly signature: string;
    readonly members: readonly CohortMember[];
    /** The members in the ring's order, once it is drawn; absent on the complete graph. */
    readonly ring?: Ring;
  };
  /** Members of U2 with R1's commitment to the self-mask seed. */
  readonly u2?: { readonly hash: string; readonly members: readonly { index: number; selfMask: string }[] };
  readonly received?: { readonly [dealer: string]: ReceivedShares };
  /** Members of U3 with the signed root of their masked vector. */
  readonly u3?: { readonly statement: string; readonly members: readonly { index: number; root: string }[] };
  /** The R3 signatures against which R4 was given: the transcript that settles the charge. */
  readonly transcript?: readonly Message<3>[];
};

export const firstMemory = (model: string): StudyMemory => ({
  counter: 0,
  signedRound: 0,
  last: { round: 0, sum: '0'.repeat(64), verified: true },
  model,
  peers: {},
});

/** Forgets every secret of the round; the signed messages stay, because stored R4 bytes may be asked for again. */
export function wipeRound(state: RoundState): RoundState {
  const {
    nonce: _nonce,
    selfSeed: _seed,
    ephemerals: _ephemerals,
    received: _received,
    bundle: _bundle,
    ...rest
  } = state;
  return { ...rest, stage: 'wiped', secrets: { boxes: '', masks: '' } };
}
