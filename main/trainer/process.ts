// The trainer: a plain Node child of the host that reads records, trains and hands back noised vectors. One job at a
// time; between pieces of work it listens for a cancel. It ends when its host does. Started by client.ts only: no more
// comes by argument than the names of backends that brought earlier trainers down. Design 2, "Processes".

import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { ConsilienceError, InvariantError } from '../../app/errors.ts';
import { reportOf } from '../../app/reported-error.ts';
import { evaluate } from '../../app/training/evaluate.ts';
import { architectureOf } from '../../app/training/model.ts';
import { heldOut, trainOwnSite } from '../../app/training/own-site.ts';
import { withoutExcluded } from '../../app/training/prints.ts';
import { requireAccepted } from '../../app/training/records.ts';
import type { Records } from '../../app/training/records.ts';
import type { Mapping } from '../../app/training/mapping.ts';
import { isLanguageTask } from '../../app/training/types.ts';
import type { Table, TrainingTask } from '../../app/training/types.ts';
import { diskError } from '../host/disk/disk-error.ts';
import { nodeCipher, systemRandom } from '../host/machine.ts';
import { readRecordsCopy } from '../host/records/records-copy-file.ts';
import type { CopyToRead } from '../host/records/records-copy-file.ts';
import { readTable } from '../host/import/read-table.ts';
import { chooseBackend } from './candidates.ts';
import { Helpers } from './helpers.ts';
import { openLanguage } from './language.ts';
import type { OpenedLanguage } from './language.ts';
import { threadedNoise } from './noise-threads.ts';
import type { FailedJob, Outcome, OwnSiteWork, TrainerReport, TrainerRequest, Work } from './messages.ts';
import type { Checkpoint } from './sealed-vector.ts';
import { roundVector, TrainingCancelled } from './step.ts';
import type { HelpersOf } from './step.ts';

const cancelled = new Set<number>();
let cached: { readonly key: string; readonly records: Records } | null = null;
let opened: { readonly key: string; readonly language: OpenedLanguage } | null = null;

function send(report: TrainerReport): void {
  process.send?.(report);
}

/** The checkpoint of a language task, read and held to the contract's hash once; null for tables. */
async function languageOf(task: TrainingTask, folder: string | null): Promise<OpenedLanguage | null> {
  if (!isLanguageTask(task)) return null;
  const key = JSON.stringify([folder, task]);
  if (opened?.key !== key) {
    opened?.language.model.dispose();
    opened = null;
    opened = { key, language: await openLanguage(task, folder) };
  }
  return opened.language;
}

/** The records of a file, kept while file, table and mapping are the same. */
async function recordsOf(
  path: string,
  table: Table,
  mapping: Mapping | null = null,
  language: OpenedLanguage | null = null,
): Promise<Records> {
  const { size, mtimeMs } = await stat(path).catch((error: unknown) => {
    throw diskError(error, `The file ${path}`);
  });
  // Token ids are those of one tokenizer: the checkpoint's.
  const checkpoint = language?.task.model.checkpoint.hash ?? null;
  const key = JSON.stringify([path, size, mtimeMs, table, mapping, checkpoint]);
  if (cached?.key !== key)
    cached = {
      key,
      records: requireAccepted(
        await readTable(path, table, { labels: true, mapping, tokenise: language?.tokenise ?? null }),
      ),
    };
  return cached.records;
}

/** The records of the home's copy, which are mapped already; only this process's memory ever holds them plain. */
async function recordsOfCopy(copy: CopyToRead): Promise<Records> {
  const { mtimeMs, ino } = await stat(copy.path).catch((error: unknown) => {
    throw diskError(error, `The file ${copy.path}`);
  });
  const key = JSON.stringify([copy.path, copy.binding, mtimeMs, ino]);
  if (cached?.key !== key) cached = { key, records: await readRecordsCopy(copy) };
  return cached.records;
}

async function testOf({ task, mapping }: OwnSiteWork, path: string): Promise<Records> {
  return requireAccepted(await readTable(path, task.table, { labels: true, mapping: mapping ?? null }));
}

const drawNoise = threadedNoise(systemRandom);
const helpersOf =
  (checkpointFolder: string | null): HelpersOf =>
  (work, setup) =>
    helpers.forWork(work, { ...setup, checkpointFolder });

async function outcomeOf(job: number, work: Work): Promise<Outcome> {
  let told = 0;
  const pause = async (done: number, total: number): Promise<void> => {
    await setImmediate();
    if (cancelled.has(job)) throw new TrainingCancelled();
    const now = performance.now();
    if (now - told < 100) return;
    told = now;
    send({ type: 'progress', job, done, total });
  };
  let kept = performance.now();
  const onCheckpoint = (checkpoint: Checkpoint): void => {
    const now = performance.now();
    if (now - kept < 500) return;
    kept = now;
    send({ type: 'checkpoint', job, checkpoint });
  };
  switch (work.kind) {
    case 'round': {
      const { excluded } = work;
      const { copy = null } = work;
      const { task } = work.contract;
      const language = await languageOf(task, work.checkpointFolder ?? null);
      const all =
        copy === null
          ? await recordsOf(work.recordsFile, task.table, work.mapping, language)
          : await recordsOfCopy(copy);
      const records = excluded === null ? all : withoutExcluded(nodeCipher, all, excluded);
      return {
        kind: 'round',
        ...(await roundVector({
          ...work,
          records,
          language,
          random: systemRandom,
          drawNoise,
          pause,
          helpersOf: helpersOf(work.checkpointFolder ?? null),
          onCheckpoint,
        })),
      };
    }
    case 'own-site': {
      const { task, copy = null, joint = null } = work;
      const all =
        copy === null ? await recordsOf(work.recordsFile, task.table, work.mapping) : await recordsOfCopy(copy);
      const { training, test } =
        work.testFile === null ? heldOut(all) : { training: all, test: await testOf(work, work.testFile) };
      const parameters = await trainOwnSite(task, training, pause);
      const tested = (of: Float32Array) => evaluate(task, architectureOf(task), of, test);
      return { kind: 'own-site', metrics: tested(parameters), joint: joint === null ? null : tested(joint) };
    }
    case 'inspect': {
      const { rows, dropped, problems } = await readTable(work.recordsFile, work.task.table, {
        labels: true,
        mapping: work.mapping ?? null,
      });
      return { kind: 'inspect', rows, dropped, problems: problems.slice(0, 1000) };
    }
  }
}

function failed(error: unknown): FailedJob {
  if (error instanceof TrainingCancelled) return { kind: 'cancelled' };
  if (error instanceof ConsilienceError) return reportOf(error);
  return {
    kind: 'invariant',
    code: 'training-failed',
    sentence: 'Training failed unexpectedly. Please report this.',
  };
}

async function start(job: number, work: Work): Promise<void> {
  try {
    send({ type: 'result', job, outcome: await outcomeOf(job, work) });
  } catch (error) {
    send({ type: 'failed', job, error: failed(error) });
  } finally {
    cancelled.delete(job);
  }
}

if (process.send === undefined)
  throw new InvariantError('trainer-alone', 'The trainer is started by its host, never by hand.');
process.on('disconnect', () => process.exit(0));
// A terminal's Ctrl-C goes to the whole group: the host decides what becomes of the round.
process.on('SIGINT', () => {});
const backend = await chooseBackend({ distrusted: process.argv.slice(2) });
const helpers = new Helpers(backend.name);
let queue: Promise<void> = Promise.resolve();
process.on('message', (request: TrainerRequest) => {
  if (request.type === 'cancel') cancelled.add(request.job);
  else queue = queue.then(() => start(request.job, request.work));
});
send({ type: 'ready', backend });
