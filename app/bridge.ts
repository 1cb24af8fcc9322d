// The one contract between a window and the host: every call with who may make it and what goes in and out, every event
// with what it carries. Desktop preload, loopback client and test doubles all satisfy `Bridge`; the host registers by
// looping over it. Windows import types from here only, so that no schema code runs in them. Design 2, "Bridge".

import { z } from 'zod';
import { baseline, checkpointFolder, dataCalls, studyColumn } from './bridge/data.ts';
import { mappingSchema } from './training/mapping.ts';
import {
  datasetName,
  hash,
  line,
  nothing,
  problem,
  readers,
  roles,
  stewards,
  studyName,
  technicians,
  text,
  unit,
  whole,
} from './bridge/fields.ts';
import { workCalls } from './bridge/work.ts';

export { roles };
export type Role = (typeof roles)[number];

/** Who sits at a window: becomes the ledger's actor of whatever is written for that person. */
export type Session = { readonly id: string; readonly role: Role; readonly signIn: string };

const studyState = z.enum([
  'waiting-for-terms',
  'decide',
  'taking-part',
  /** The steward approves training rounds a session at a time, and none is approved now. */
  'asks',
  /** An allowance has no room for another training round. */
  'spent',
  'paused',
  'stopped',
  'finished',
  'withdrawn',
]);

/** So many training rounds, or hours, or whichever ends first; both null: until somebody says otherwise. */
const sessionLength = z.strictObject({
  rounds: z.number().int().min(1).max(100_000).nullable(),
  hours: z
    .number()
    .min(0.1)
    .max(24 * 366)
    .nullable(),
});

const approval = z.strictObject({
  /** What a session is; null: taking part needs no approval each time. */
  session: sessionLength.nullable(),
  /** What is left of the approved session; null: none is approved. */
  left: z.strictObject({ rounds: whole.nullable(), until: z.string().nullable() }).nullable(),
});

const studySummary = z.strictObject({
  name: studyName,
  /** Of the study terms; null before they are known here. */
  hash: hash.nullable(),
  title: text,
  lead: text,
  state: studyState,
  roundsClosed: whole,
  roundsPlanned: whole.nullable(),
  approval,
  /** Why it does not go on; null where nothing is wrong. */
  problem: problem.nullable(),
});

const finding = z.strictObject({
  level: z.enum(['warn', 'refuse']),
  code: z.string(),
  reason: z.string(),
  repair: z.string(),
});

const studyPage = z.strictObject({
  summary: studySummary,
  purpose: text,
  lawfulBasis: text,
  references: z.strictObject({ ethics: text, dpia: text }),
  retention: text,
  created: z.string(),
  expires: z.string(),
  lead: z.strictObject({ organisation: text, code: z.string() }),
  relay: z.strictObject({ operator: text, address: z.string() }),
  institutions: z.array(
    z.strictObject({
      name: z.string(),
      organisation: text,
      code: z.string(),
      /** Itself, by IT's list, by an earlier study here, or not at all. */
      known: z.enum(['own', 'policy', 'earlier-study', 'unknown']),
    }),
  ),
  colluders: whole,
  survivableLosses: whole,
  /** Neighbours of each institution on a sparse graph, which is weaker; null on the complete one. */
  neighbours: whole.nullable(),
  columns: z.array(studyColumn),
  /** The language model that every institution brings and the study adapts; null for tables. */
  checkpoint: z
    .strictObject({
      hash,
      family: z.string(),
      parameters: whole,
      rank: whole,
      targets: z.array(z.string()),
      /** Where to get it, in the lead's words; null where the terms do not say. */
      source: text.nullable(),
    })
    .nullable(),
  parameters: whole,
  attempts: whole,
  cost: z.strictObject({
    unit,
    adjacency: z.string(),
    delta: z.number(),
    /** Worst case over all attempts, against the relay and `colluders` others, and against everybody else; null: no bound. */
    epsilon: z.number().nullable(),
    outsiders: z.number().nullable(),
  }),
  outcome: z.enum(['pass', 'warn', 'refuse']),
  findings: z.array(finding),
  /** What a consent starts from. */
  suggestion: z.strictObject({
    epsilon: z.number().nullable(),
    expires: z.string(),
    path: z.string().nullable(),
    dataset: z.string(),
    mapping: mappingSchema.nullable(),
  }),
  /** The newest measurement of what joining may bring; null before one. */
  baseline: baseline.nullable(),
  /** No column names persons and some object: the steward has to say that they are not in the file. */
  asksExcludedRemoved: z.boolean(),
  consent: z
    .strictObject({ given: z.string(), expires: z.string(), epsilon: z.number().nullable(), dataset: z.string() })
    .nullable(),
});

/** Points of a curve and past rounds in one answer: more than a screen can show apart. */
export const mostCurvePoints = 400;
export const mostPastRounds = 2000;

const roundNow = z.strictObject({
  study: hash,
  name: studyName,
  title: text,
  doing: z.string(),
  running: z.boolean(),
  round: whole.nullable(),
  stage: z.string().nullable(),
  trained: z.boolean().nullable(),
  training: z.strictObject({ done: z.number(), total: z.number() }).nullable(),
  planned: whole,
  closed: whole,
  lastClosed: whole,
  updated: z.string(),
  /** By roster position; `last`: its contribution is in the newest total that was computed here; null before one. */
  institutions: z.array(z.strictObject({ organisation: text, own: z.boolean(), last: z.boolean().nullable() })),
  events: z.array(z.strictObject({ time: z.string(), kind: z.string(), text: z.string() })),
});

const pastRound = z.strictObject({
  study: hash,
  round: whole,
  time: z.string(),
  outcome: z.enum(['closed', 'aborted']),
  /** Institutions whose contributions are in the total; null where it came to nothing. */
  institutions: whole.nullable(),
  /**
   * Of the model that the round began with, on persons who never train, read off the total with its noise; null where the
   * study does not test, the round came to nothing, or it was taken over after an absence.
   */
  score: z
    .strictObject({
      accuracy: z.number().nullable(),
      /** Where texts are continued; absent elsewhere. */
      perplexity: z.number().nullable().optional(),
      tested: z.number(),
      noise: z.number(),
    })
    .nullable(),
  /** Entry of the log that says so. */
  seq: whole,
});

const curvePoint = z.strictObject({
  seq: whole,
  time: z.string(),
  study: hash,
  round: whole,
  state: z.enum(['reserved', 'settled']),
  mechanism: z.string(),
  /** ε at the ceiling's δ and the part of it that is used, after this amount; null: nothing bounds it. */
  used: z.number().nullable(),
  share: z.number().nullable(),
});

const allowance = z.strictObject({
  kind: z.enum(['consent', 'dataset', 'policy']),
  id: z.string(),
  /** In words a person knows: a study's title, a dataset's name. */
  label: z.string(),
  unit,
  epsilon: z.number().nullable(),
  delta: z.number(),
  used: z.number().nullable(),
  share: z.number().nullable(),
  /** Part of `share` that is reserved and not settled yet. */
  reservedShare: z.number().nullable(),
  /** Rounds that still fit at the pace of the last ones, and when the last of them would be; null: no pace yet. */
  forecast: z.strictObject({ rounds: whole, at: z.string() }).nullable(),
  /** At most `mostCurvePoints`, evenly taken, the last among them; `amounts` counts all. */
  curve: z.array(curvePoint),
  amounts: whole,
});

const logRow = z.strictObject({
  seq: whole,
  time: z.string(),
  actor: z.string(),
  kind: z.string(),
  sentence: z.string(),
  hash,
});

const backendReason = z.strictObject({ name: z.string(), reason: z.string() });

const check = z.strictObject({
  name: z.string(),
  level: z.enum(['pass', 'warn', 'fail']),
  found: z.string(),
  meaning: z.string(),
  repair: z.string().nullable(),
});

const demonstration = z.strictObject({
  state: z.enum(['none', 'not-here', 'preparing', 'running', 'failed']),
  /** What happens now; null where nothing does. */
  said: z.string().nullable(),
  institutions: z.array(z.strictObject({ name: z.string(), organisation: text, doing: z.string(), closed: whole })),
});

export const bridgeCalls = {
  'session.get': {
    roles: readers,
    input: nothing,
    output: z.strictObject({
      id: z.string(),
      role: z.enum(roles),
      /** null before the first invitation is answered. */
      institution: text.nullable(),
      version: z.string(),
      /** Entries in the privacy log. */
      entries: whole,
    }),
  },
  'demo.get': { roles: readers, input: nothing, output: demonstration },
  'demo.start': { roles: stewards, input: nothing, output: demonstration },
  /** Starts a demonstration in a folder of its own, beside this institution's; its window opens once at `address`. */
  'demo.open': { roles: stewards, input: nothing, output: z.strictObject({ address: z.url() }) },
  'invitation.read': {
    roles: technicians,
    input: z.strictObject({ text: z.string().max(100_000) }),
    output: z.strictObject({
      study: studyName,
      title: text,
      purpose: text,
      lead: text,
      leadCode: z.string(),
      address: z.string(),
      expires: z.string(),
      /** Whether it was answered from here. */
      answered: z.boolean(),
    }),
  },
  'invitation.accept': {
    roles: stewards,
    input: z.strictObject({
      text: z.string().max(100_000),
      name: z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/),
      organisation: z.string().min(1).max(200),
      nominalUnits: z.number().int().min(1).max(1e9),
    }),
    output: z.strictObject({
      study: studyName,
      /** The signed enrolment for the lead, and where it lies. */
      enrolment: z.string(),
      enrolmentPath: z.string(),
      ownCode: z.string(),
      leadCode: z.string(),
    }),
  },
  'study.list': { roles: readers, input: nothing, output: z.array(studySummary) },
  'study.review': { roles: readers, input: z.strictObject({ study: studyName }), output: studyPage },
  ...dataCalls,
  'consent.give': {
    roles: stewards,
    input: z.strictObject({
      study: studyName,
      path: line.min(1),
      dataset: datasetName,
      epsilon: z.number().positive().max(1e6).nullable(),
      datasetEpsilon: z.number().positive().max(1e6).nullable(),
      expires: z.iso.datetime().nullable(),
      acceptNoNoise: z.boolean(),
      mapping: mappingSchema.nullable().optional(),
      excludedRemoved: z.boolean().optional(),
      checkpoint: checkpointFolder,
      /** Absent or null: the program takes part on its own. */
      session: sessionLength.nullable().optional(),
    }),
    output: z.strictObject({
      hash,
      expires: z.string(),
      epsilon: z.number().nullable(),
      /** Why the relay was not told yet; null where it was. */
      untold: z.string().nullable(),
    }),
  },
  'consent.withdraw': {
    roles: stewards,
    input: z.strictObject({ study: studyName, reason: z.string().min(1).max(2000).nullable() }),
    output: z.strictObject({ by: z.enum(['running', 'here']), untold: z.string().nullable() }),
  },
  'round.list': {
    roles: readers,
    input: nothing,
    output: z.strictObject({ now: z.array(roundNow), past: z.array(pastRound).max(mostPastRounds), pastTotal: whole }),
  },
  'round.pause': { roles: stewards, input: z.strictObject({ study: studyName }), output: nothing },
  'round.resume': { roles: stewards, input: z.strictObject({ study: studyName }), output: nothing },
  /** How the institution approves its training rounds from now on; null: it need not each time. */
  'session.ask': {
    roles: stewards,
    input: z.strictObject({ study: studyName, session: sessionLength.nullable() }),
    output: nothing,
  },
  'session.approve': { roles: stewards, input: z.strictObject({ study: studyName }), output: nothing },
  'budget.get': { roles: readers, input: nothing, output: z.array(allowance) },
  'budget.amounts': {
    roles: readers,
    input: z.strictObject({
      kind: z.enum(['consent', 'dataset', 'policy']),
      id: line,
      /** Place in the list, newest first. */
      from: whole,
      count: z.number().int().min(1).max(500),
    }),
    output: z.strictObject({ total: whole, rows: z.array(curvePoint) }),
  },
  'audit.list': {
    roles: readers,
    input: z.strictObject({
      /** Place in the list, newest first. */
      from: whole,
      count: z.number().int().min(1).max(500),
      kinds: z.array(z.string().max(50)).max(50),
    }),
    output: z.strictObject({ total: whole, first: z.string().nullable(), rows: z.array(logRow) }),
  },
  'audit.verify': {
    roles: readers,
    input: nothing,
    output: z.strictObject({
      verified: z.boolean(),
      entries: whole,
      since: z.string().nullable(),
      /** The first thing that is wrong, in words. */
      finding: z.string().nullable(),
    }),
  },
  'audit.export': {
    roles: ['steward', 'auditor'] as const,
    /** Into a new folder below `folder`, which exists; below the home where none is named. */
    input: z.strictObject({ folder: line.min(1).optional() }),
    output: z.strictObject({ folder: z.string(), entries: whole, files: z.array(z.string()) }),
  },
  'system.get': {
    roles: readers,
    input: nothing,
    output: z.strictObject({
      version: z.string(),
      node: z.string(),
      platform: z.string(),
      home: z.string(),
      ownCode: z.string().nullable(),
      keys: z.string().nullable(),
      policy: z
        .strictObject({
          path: z.string(),
          perStudy: z.number().nullable(),
          perDataset: z.number().nullable(),
          contact: z.string().nullable(),
          known: whole,
          mostUnknown: whole,
          mostConsentDays: whole,
        })
        .nullable(),
      windows: whole,
    }),
  },
  /** What this machine computes with: measured at the first call after the program's start, which takes seconds. */
  'system.backend': {
    roles: readers,
    input: nothing,
    output: z.strictObject({
      name: z.string(),
      /** The card or library, as it calls itself. */
      device: z.string().nullable(),
      gigaflops: z.number(),
      refused: z.array(backendReason),
      absent: z.array(backendReason),
    }),
  },
  ...workCalls,
  'system.doctor': { roles: technicians, input: nothing, output: z.array(check) },
  /** Ends the host in good order, where a window started it; studies go on with its next start. */
  'host.stop': { roles: technicians, input: nothing, output: nothing },
} as const;

/** Each says only that something changed; whoever shows it asks again. */
export const bridgeEvents = {
  'study.changed': nothing,
  'round.changed': nothing,
  'ledger.changed': z.strictObject({ entries: whole }),
  'demo.changed': nothing,
  'work.changed': nothing,
} as const;

export type CallName = keyof typeof bridgeCalls;
export type EventName = keyof typeof bridgeEvents;
export type InputOf<Name extends CallName> = z.infer<(typeof bridgeCalls)[Name]['input']>;
export type OutputOf<Name extends CallName> = z.infer<(typeof bridgeCalls)[Name]['output']>;
export type EventOf<Name extends EventName> = z.infer<(typeof bridgeEvents)[Name]>;

/** `code` is stable; `message` says what happened, what was lost and what to do. */
export type BridgeError = z.infer<typeof problem>;
export type Reply<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly error: BridgeError };

/** What a window has of the host. Never rejects: whatever goes wrong is a reply. */
export type Bridge = {
  call<Name extends CallName>(name: Name, input: InputOf<Name>): Promise<Reply<OutputOf<Name>>>;
  /** @returns a function that ends the listening. */
  on<Name extends EventName>(name: Name, listener: (event: EventOf<Name>) => void): () => void;
};

/** What the shell adds for the window it shows. */
export type WindowBridge = Bridge & {
  /** Whether the program behind this window answers. */
  onConnection(listener: (connected: boolean) => void): () => void;
  /** Text of an invitation that was opened outside the window, by a link or a file. Nobody has checked it yet. */
  onInvitation(listener: (text: string) => void): () => void;
  /** Opens a demonstration with a window of its own; nothing of this institution is in it. */
  demonstrate(): Promise<Reply<unknown>>;
};

/** What the host does for each call; a missing one does not compile. */
export type Handlers = {
  readonly [Name in CallName]: (input: InputOf<Name>, session: Session) => Promise<OutputOf<Name>>;
};

/** One line (socket) or message (WebSocket) in each direction. */
export const requestSchema = z.strictObject({ id: whole, name: z.string().max(100), input: z.unknown() });
export type BridgeRequest = z.infer<typeof requestSchema>;
export type BridgeMessage =
  { readonly id: number; readonly reply: Reply<unknown> } | { readonly event: EventName; readonly data: unknown };

/** Longest request that is read, in characters; an invitation is the longest thing a person pastes. */
export const mostRequestLength = 256 * 1024;
