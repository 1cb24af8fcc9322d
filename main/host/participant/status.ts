// What a participant shows to whoever watches: one JSON file, replaced whole, without secrets or content. It is a view;
// the ledger is the truth. Read by `participant status`, by the demonstration and by tests.

import { z } from 'zod';
import { UnavailableError } from '../../../app/errors.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { readTextIfThere, statusPath, studyPaths } from './home.ts';

const whole = z.number().int().min(0);
const nullableText = z.string().nullable();

export const participantStatusSchema = z.strictObject({
  format: z.literal('consilience/participant-status/1'),
  /** Of the process that wrote it; null once it ended in good order. */
  pid: whole.nullable(),
  updated: z.string(),
  institution: z.string(),
  study: z.strictObject({ hash: z.string(), name: z.string(), title: z.string() }),
  doing: z.enum(['starting', 'waiting', 'round', 'unreachable', 'stopped', 'withdrawn', 'finished', 'refused']),
  /** The newest round signed for, and how far this institution is in it. */
  round: whole.nullable(),
  stage: nullableText,
  /** Whether the newest vector was trained; null before there was one. */
  trained: z.boolean().nullable(),
  training: z.strictObject({ done: z.number(), total: z.number() }).nullable(),
  epsilon: z.strictObject({
    used: z.number().nullable(),
    ceiling: z.number().nullable(),
    /** Used part of the ceiling. */
    share: z.number().min(0).nullable(),
    delta: z.number(),
    unit: z.string(),
    adjacency: z.string(),
  }),
  /** The ceiling that would stop the study before its end, at the pace so far; null where all its attempts fit. */
  forecast: z
    .strictObject({
      ceiling: z.enum(['consent', 'dataset', 'policy']),
      round: whole,
      rounds: whole,
      at: nullableText,
    })
    .nullable(),
  rounds: z.strictObject({ planned: whole, closed: whole, lastClosed: whole }),
  model: z.string(),
  outcome: nullableText,
  /** The newest last. */
  events: z.array(z.strictObject({ time: z.string(), kind: z.string(), text: z.string() })),
});

export type ParticipantStatus = z.infer<typeof participantStatusSchema>;
export type StatusEvent = ParticipantStatus['events'][number];

const keptEvents = 30;

/**
 * @param study hash of a study; null: whichever ran last.
 * @returns null where nothing ran here yet. @throws UnavailableError `status-unreadable`.
 */
export async function readStatus(home: string, study: string | null = null): Promise<ParticipantStatus | null> {
  const path = study === null ? statusPath(home) : studyPaths(home, study).status;
  const text = await readTextIfThere(path);
  if (text === null) return null;
  try {
    return participantStatusSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new UnavailableError(
      'status-unreadable',
      `The file ${path} cannot be read; it is written anew when the participant runs.`,
      { cause: error },
    );
  }
}

export type StatusWriter = {
  /** Changes and, where there is an event, adds to the newest; written soon, changes in between are merged. */
  update(change: Partial<Omit<ParticipantStatus, 'events' | 'format' | 'updated'>>, event?: StatusEvent): void;
  current(): ParticipantStatus;
  /** Resolves when what was last said is on disk. */
  flush(): Promise<void>;
};

/** @param onWritten runs after the files say something new: whoever reads them then reads no older state. */
export function statusWriter(
  home: string,
  first: ParticipantStatus,
  now: () => string,
  onWritten: () => void = () => {},
): StatusWriter {
  let status = first;
  let written: ParticipantStatus | null = null;
  let writing: Promise<void> = Promise.resolve();
  let failure: unknown = null;

  const write = async (): Promise<void> => {
    const newest = status;
    if (written === newest) return;
    try {
      for (const path of [statusPath(home), studyPaths(home, newest.study.hash).status])
        await writeFileAtomically(path, `${JSON.stringify(newest)}\n`);
      [written, failure] = [newest, null];
      onWritten();
    } catch (error) {
      // The status is a view: the study does not stop for it, and the next change tries again.
      failure = error;
    }
  };
  return {
    current: () => status,
    update(change, event) {
      const events = event === undefined ? status.events : [...status.events, event].slice(-keptEvents);
      status = { ...status, ...change, events, updated: now() };
      writing = writing.then(write);
    },
    async flush() {
      await writing;
      if (failure !== null) throw failure;
    },
  };
}
