// A round that a lying coordinator takes over: after the first list it collects everything itself and shows each
// institution whatever lists it likes, validly signed, with the boxes and the colluders' signatures that fit. The split-U2
// attack of design 3 in both its forms, split first and third lists, and lists at random.

import { fromUtf8 } from '../encoding/bytes.ts';
import { merklePath } from '../encoding/merkle.ts';
import { RefusalError } from '../errors.ts';
import type { CoordinatorStage } from '../round/coordinator-state.ts';
import { signMessage } from '../round/messages.ts';
import type { AnyMessage, Message } from '../round/messages.ts';
import { contextOf } from '../round/parameters.ts';
import { decodeBundle, encodeDelivery } from '../sealed-sum/box-frames.ts';
import { boxLeafHash } from '../sealed-sum/boxes.ts';
import type { Draws } from './draws.ts';
import { cohortBytes, sharersBytes, survivorsBytes, transcriptBytes } from './forged-lists.ts';
import type { CoordinatorCalls } from './memory-coordinator.ts';
import type { SmallStudy } from './small-study.ts';

export const splitLists = [
  'small-second-list',
  'full-second-list',
  'split-third-list',
  'split-first-list',
  'random-lists',
] as const;
export type SplitLists = (typeof splitLists)[number];

export type Takeover = {
  readonly round: number;
  /** What everybody is told; null once it is over. */
  stage(now: number): CoordinatorStage | null;
  callsFor(index: number): Partial<CoordinatorCalls>;
};

/** Whom each institution is shown, list by list. */
type Views = {
  readonly first: (index: number) => readonly number[];
  readonly second: (index: number) => readonly number[];
  readonly third: (index: number) => readonly number[];
};

export type TakeoverOptions = {
  readonly study: SmallStudy;
  readonly draws: Draws;
  readonly colluders: ReadonlySet<number>;
  readonly victim: number;
  readonly lie: SplitLists;
  readonly round: number;
  readonly readies: readonly Message<0>[];
  readonly since: number;
  readonly stageMs: number;
};

const scripted = ['shares', 'masked', 'consistency', 'unmask', 'opening'] as const;

export function takeOver(options: TakeoverOptions): Takeover {
  const { study, colluders, round, readies } = options;
  const { cipher, parameters } = study;
  const context = contextOf(parameters, round);
  const views = viewsOf(options);
  const shares = new Map<number, { readonly message: Message<1>; readonly bundle: Uint8Array }>();
  const masked = new Map<number, Message<2>>();
  const agreed = new Map<number, Message<3>>();
  const made = new Map<string, Uint8Array>();

  /** Each institution is shown one version of a list, whenever it asks. */
  function once(name: string, make: () => Uint8Array | null): Uint8Array | null {
    const there = made.get(name);
    if (there !== undefined) return there;
    const bytes = make();
    if (bytes !== null) made.set(name, bytes);
    return bytes;
  }
  const inOrder = <M extends AnyMessage>(all: Iterable<M>, view: readonly number[]): M[] =>
    [...all].filter(({ sender }) => view.includes(sender)).sort((left, right) => left.sender - right.sender);

  function list(index: number, stage: 0 | 1 | 2 | 3): Uint8Array | null {
    return once(`${index}/${stage}`, () => {
      if (stage === 0) return cohortBytes(study, round, inOrder(readies, views.first(index)));
      const u1 = headOf(list(index, 0)!)['u1']!;
      if (stage === 1) {
        const dealers = inOrder(
          [...shares.values()].map(({ message }) => message),
          views.second(index),
        );
        return dealers.length === 0 ? null : sharersBytes(study, u1, dealers);
      }
      const second = list(index, 1);
      if (second === null) return null;
      const sets = { u1, u2: headOf(second)['u2']! };
      const third = (): Uint8Array | null => {
        const members = inOrder(masked.values(), views.third(index));
        return members.length === 0 ? null : survivorsBytes(study, sets, members);
      };
      if (stage === 2) return third();
      const shownThird = list(index, 2);
      if (shownThird === null) return null;
      const statement = headOf(shownThird)['statement']!;
      const signers = inOrder(masked.values(), views.third(index)).map(({ sender }) => sender);
      const signatures = signers.flatMap((sender) => {
        if (colluders.has(sender))
          return [signMessage(cipher, study.identities[sender]!, context, 3, sender, { ...sets, statement })];
        return agreed.get(sender) ?? [];
      });
      // Where too few signed this very statement, those on another one have to serve: it is refused, or it is not.
      const fitting = signatures.filter((message) => message.body.statement === statement);
      return transcriptBytes(study, statement, fitting.length >= parameters.threshold ? fitting : signatures);
    });
  }

  return {
    round,
    stage: (now) => scripted[Math.floor((now - options.since) / options.stageMs)] ?? null,
    callsFor: (index) => ({
      send(message) {
        if (message.stage === 2) masked.set(index, message);
        if (message.stage === 3) agreed.set(index, message);
      },
      sendShares: (message, bundle) => void shares.set(index, { message, bundle: bundle.slice() }),
      upload: () => undefined,
      broadcast: (number, stage) =>
        number === round && stage !== 4 && stage !== 5 && stage !== 6 ? list(index, stage) : null,
      boxes() {
        const dealers = inOrder(
          [...shares.values()].map(({ message }) => message),
          views.second(index),
        );
        const entries = dealers.flatMap(({ sender }) => {
          const bundle = decodeBundle(shares.get(sender)!.bundle);
          const place = bundle.findIndex(({ holder }) => holder === index);
          if (place < 0) return [];
          const leaves = bundle.map(({ holder, sealed }) => boxLeafHash(cipher, context, sender, holder, sealed));
          return [{ dealer: sender, sealed: bundle[place]!.sealed, path: merklePath(cipher, leaves, place) }];
        });
        if (entries.length === 0) throw new RefusalError('broadcast-gone', 'There are no boxes.');
        return encodeDelivery(entries);
      },
    }),
  };
}

const headOf = (list: Uint8Array): { readonly [name: string]: string } =>
  (JSON.parse(fromUtf8(list)) as { head: { body: { [name: string]: string } } }).head.body;

function viewsOf({ study, draws, colluders, victim, lie }: TakeoverOptions): Views {
  const { threshold } = study.parameters;
  const all = study.identities.map((_, index) => index);
  const honest = all.filter((index) => !colluders.has(index) && index !== victim);
  const everybody = (): readonly number[] => all;
  const same = { first: everybody, second: everybody, third: everybody };
  const fixed = (make: (index: number) => readonly number[]): ((index: number) => readonly number[]) => {
    const drawn = all.map(make);
    return (index) => drawn[index]!;
  };
  switch (lie) {
    case 'small-second-list': {
      const few = [victim, ...colluders];
      return { ...same, second: (index) => (index === victim ? few : all) };
    }
    case 'full-second-list': {
      const lost = honest.slice(0, Math.max(0, threshold - colluders.size - 1));
      const few = [victim, ...colluders, ...lost];
      const rest = all.filter((index) => !lost.includes(index));
      return { ...same, second: (index) => (index === victim ? few : all), third: () => rest };
    }
    case 'split-third-list': {
      const half = new Set(draws.some(all, 0.5));
      const without = all.filter((index) => index !== victim);
      return { ...same, third: (index) => (half.has(index) || index === victim ? all : without) };
    }
    case 'split-first-list': {
      const missing = draws.pick(all);
      const half = new Set(draws.some(all, 0.5));
      const without = all.filter((index) => index !== missing);
      return { ...same, first: (index) => (half.has(index) && index !== missing ? without : all) };
    }
    case 'random-lists': {
      const some = (index: number): number[] => all.filter((other) => other === index || draws.chance(0.8));
      return { first: everybody, second: fixed(some), third: fixed(some) };
    }
  }
}
