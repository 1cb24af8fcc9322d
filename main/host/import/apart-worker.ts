// The thread in which apart.ts reads a file: the host's own loop stays free, and a cancelled reading ends at once.

import { parentPort } from 'node:worker_threads';
import { ConsilienceError } from '../../../app/errors.ts';
import { unitRows } from '../../../app/training/records.ts';
import { tokeniserIn } from '../checkpoint/task-checkpoint.ts';
import type { CheckRequest, CheckResult, ReadAnswer, ReadRequest } from './apart.ts';
import { previewTable } from './preview.ts';
import { readTable } from './read-table.ts';

const mostProblems = 1000;
const tellEveryMs = 100;

function tell(answer: ReadAnswer): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort!.postMessage(answer);
}

let told = 0;
function onProgress(done: number, total: number | null): void {
  const now = performance.now();
  if (now - told < tellEveryMs) return;
  told = now;
  tell({ kind: 'progress', done, total });
}

async function checked(request: CheckRequest): Promise<CheckResult> {
  const { path, table, mapping, unit, person, checkpoint = null } = request;
  const tokenise = checkpoint === null ? null : await tokeniserIn(checkpoint);
  const encoded = await readTable(path, table, { labels: true, mapping, tokenise, onProgress });
  return {
    units: encoded.rows === 0 ? 0 : unitRows(encoded, unit, person).length,
    dropped: encoded.dropped,
    problemCount: encoded.problems.length,
    problems: encoded.problems.slice(0, mostProblems),
  };
}

parentPort!.once('message', (request: ReadRequest) => {
  const work =
    request.kind === 'check'
      ? checked(request).then((value) => tell({ kind: 'checked', value }))
      : previewTable({ ...request.options, onProgress }).then((value) => tell({ kind: 'previewed', value }));
  work.catch((error: unknown) => {
    const known = error instanceof ConsilienceError;
    // The sentence of an unknown error may quote a cell, so it does not cross.
    tell({ kind: 'failed', code: known ? error.code : 'defect', sentence: known ? error.message : '' });
  });
});
