// The auditor's calls: the log in words, page by page; verification from the first entry on; the export. Design 1,
// journey 5.

import { stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { InputError, RefusalError } from '../../../app/errors.ts';
import type { Handlers } from '../../../app/bridge.ts';
import { describeActor, describeEntry } from '../../../app/ledger/sentences.ts';
import type { EntryKind } from '../../../app/ledger/entry.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import type { HostParts } from './host.ts';
import { makeFolder } from '../participant/home.ts';

export function auditHandlers(parts: HostParts): Pick<Handlers, 'audit.list' | 'audit.verify' | 'audit.export'> {
  const { options, view, studies, reader, works } = parts;
  /** In the log's order. */
  const ofKinds = (kinds: readonly string[]): readonly EntryWithHash[] => {
    const chosen = [...new Set(kinds)].map((kind) => view.ofKind(kind as EntryKind));
    return chosen.length === 1 ? chosen[0]! : chosen.flat().sort((left, right) => left.entry.seq - right.entry.seq);
  };
  return {
    'audit.list': async ({ from, count, kinds }) => {
      const all = view.entries();
      const chosen = kinds.length === 0 ? all : ofKinds(kinds);
      const end = Math.max(0, chosen.length - from);
      return {
        total: chosen.length,
        first: all[0]?.entry.time ?? null,
        rows: chosen
          .slice(Math.max(0, end - count), end)
          .reverse()
          .map(rowOf),
      };
    },
    'audit.verify': () =>
      works.run('audit.verify', async ({ signal, progress }) => {
        const since = view.entries()[0]?.entry.time ?? null;
        const [study] = await studies.list();
        // Before the first invitation is answered there is neither a key nor a log.
        if (study === undefined) return { verified: true, entries: 0, since, finding: null };
        const told = (read: number): void => progress(read, Math.max(read, view.entries().length));
        const verdict = await reader.ask(
          'verify',
          { publicKey: study.enrolment.identityKey },
          { signal, progress: told },
        );
        return { verified: verdict.verified, entries: verdict.entries, since, finding: verdict.finding };
      }),
    'audit.export': async ({ folder: chosen }) => {
      if (view.entries().length === 0)
        throw new RefusalError('ledger-empty', 'The privacy log has no entries yet, so there is nothing to export.');
      const below = chosen ?? join(options.home, 'exports');
      await (chosen === undefined ? makeFolder(below) : requireFolder(below));
      const folder = join(below, `privacy-log-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`);
      return works.run('audit.export', async (tools) => {
        const { entries, files } = await reader.ask('export', { out: folder }, tools);
        return { folder, entries, files: [...files] };
      });
    },
  };
}

/** A path from where the program happens to run would surprise the person who looks for it. */
async function requireFolder(path: string): Promise<void> {
  const found = isAbsolute(path) ? await stat(path).catch(() => null) : null;
  if (found === null || !found.isDirectory())
    throw new InputError(
      'no-such-folder',
      `${path} is no folder of this machine. Choose one, or leave the field empty. Nothing was written.`,
    );
}

const rowOf = ({ entry, hash }: EntryWithHash) => ({
  seq: entry.seq,
  time: entry.time,
  actor: describeActor(entry.actor),
  kind: entry.kind,
  sentence: describeEntry(entry),
  hash,
});
