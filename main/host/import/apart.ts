// Reads a table file in a thread of its own, with progress and a cancel: the preview and the check that a window asks for.
// What crosses are counts, lines and columns, and the first rows where a steward asks for them. Design 2 (host: nothing in
// it takes 50 ms).

import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { InputError, InvariantError } from '../../../app/errors.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import type { RowProblem } from '../../../app/training/records.ts';
import type { PersonRule, Table } from '../../../app/training/types.ts';
import { cancelledError } from '../bridge/work.ts';
import type { WorkTools } from '../bridge/work.ts';
import type { Preview, PreviewOptions } from './preview.ts';

export type CheckRequest = {
  readonly kind: 'check';
  readonly path: string;
  readonly table: Table;
  readonly mapping: Mapping | null;
  readonly unit: 'record' | 'person' | 'institution';
  readonly person: PersonRule | null;
  /** Folder of the checkpoint whose tokenizer reads texts; null or absent for tables. */
  readonly checkpoint?: string | null;
};
export type CheckResult = {
  /** Units that fit. */
  readonly units: number;
  readonly dropped: number;
  readonly problemCount: number;
  readonly problems: readonly RowProblem[];
};
export type ReadRequest =
  CheckRequest | { readonly kind: 'preview'; readonly options: Omit<PreviewOptions, 'onProgress'> };
export type ReadAnswer =
  | { readonly kind: 'progress'; readonly done: number; readonly total: number | null }
  | { readonly kind: 'checked'; readonly value: CheckResult }
  | { readonly kind: 'previewed'; readonly value: Preview }
  | { readonly kind: 'failed'; readonly code: string; readonly sentence: string };

const entry = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './apart-worker.ts' : './apart-worker.js', import.meta.url),
);

/** @throws InputError as previewTable; UnavailableError `cancelled`; InvariantError where the thread dies. */
export async function previewApart(options: Omit<PreviewOptions, 'onProgress'>, tools: WorkTools): Promise<Preview> {
  const answer = await ask({ kind: 'preview', options }, tools);
  if (answer.kind !== 'previewed') throw new TypeError('the reading thread answered another question');
  return answer.value;
}

/** @throws as readTable; UnavailableError `cancelled`. Rows that the study refuses are in the result. */
export async function checkApart(request: Omit<CheckRequest, 'kind'>, tools: WorkTools): Promise<CheckResult> {
  const answer = await ask({ kind: 'check', ...request }, tools);
  if (answer.kind !== 'checked') throw new TypeError('the reading thread answered another question');
  return answer.value;
}

async function ask(request: ReadRequest, { signal, progress }: WorkTools): Promise<ReadAnswer> {
  if (signal.aborted) throw cancelledError();
  const worker = new Worker(entry);
  try {
    return await new Promise<ReadAnswer>((resolve, reject) => {
      const stop = (): void => reject(cancelledError());
      signal.addEventListener('abort', stop, { once: true });
      worker.on('message', (answer: ReadAnswer) => {
        if (answer.kind === 'progress') progress(answer.done, answer.total);
        else if (answer.kind === 'failed') reject(failed(answer));
        else resolve(answer);
      });
      worker.once('error', () => reject(stopped()));
      worker.once('exit', () => reject(stopped()));
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage(request);
    });
  } finally {
    await worker.terminate();
  }
}

const stopped = (): InvariantError =>
  new InvariantError('import-stopped', 'The reading of the file stopped unexpectedly. Nothing was changed.');

const failed = ({ code, sentence }: { readonly code: string; readonly sentence: string }): Error =>
  code === 'defect' ? stopped() : new InputError(code, sentence);
