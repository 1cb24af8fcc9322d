// The trainer as a real child process: results, progress, cancel, kill, time limit, a host that dies, errors without
// content, and an environment without secrets.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { InputError, UnavailableError } from '../../../app/errors.ts';
import { initialParameters } from '../../../app/training/model.ts';
import { backendNames } from '../../../main/trainer/candidates.ts';
import { Trainer } from '../../../main/trainer/client.ts';
import type { RoundWork } from '../../../main/trainer/messages.ts';
import type { Checkpoint } from '../../../main/trainer/sealed-vector.ts';
import { folderFor, patientFile, studyContract } from './synthetic.ts';

async function roundWork(recordsFile: string, steps = 1): Promise<RoundWork> {
  const contract = await studyContract(steps === 1 ? 'heart-private' : 'heart-local');
  const training = { ...contract.training, localSteps: steps };
  const parameters = initialParameters(contract.task);
  return { kind: 'round', contract: { ...contract, training }, index: 0, parameters, recordsFile, excluded: null };
}

const withCode = (code: string) => (error: unknown) => error instanceof UnavailableError && error.code === code;

/** A zombie that nobody has waited for yet is gone. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function waitUntilGone(pid: number): Promise<void> {
  while (isRunning(pid)) await setTimeout(20);
}

/** Resolves with the trainer's process id at the first progress of a long job; the job's own promise beside it. */
async function longJob(trainer: Trainer, file: string, signal?: AbortSignal) {
  const work = await roundWork(file, 10_000);
  const started = Promise.withResolvers<number>();
  const job = trainer.run(work, {
    onProgress: () => started.resolve(trainer.pid!),
    ...(signal === undefined ? {} : { signal }),
  });
  job.catch(started.reject);
  return { job, pid: await started.promise };
}

test('a round gives a fresh noised vector; the process stays for the next', async (context) => {
  const file = await patientFile(await folderFor(context));
  const trainer = new Trainer();
  context.after(() => trainer.close());
  const work = await roundWork(file);
  const first = await trainer.run(work);
  const pid = trainer.pid;
  const second = await trainer.run(work);
  assert.equal(first.words.length, 16);
  assert.equal(first.failure, null);
  assert.notDeepEqual(first.words, second.words);
  assert.equal(trainer.pid, pid);
  assert.ok(backendNames.some((name) => name === trainer.backend?.name));
});

test('progress grows; a cancelled job ends and the next one runs', async (context) => {
  const file = await patientFile(await folderFor(context));
  const trainer = new Trainer();
  context.after(() => trainer.close());
  const abort = new AbortController();
  const seen: number[] = [];
  const job = trainer.run(await roundWork(file, 10_000), {
    signal: abort.signal,
    onProgress: (done, total) => {
      assert.ok(done < total);
      seen.push(done);
      if (seen.length === 3) abort.abort();
    },
  });
  await assert.rejects(job, withCode('training-cancelled'));
  assert.ok(seen[0]! < seen[1]! && seen[1]! < seen[2]!);
  const pid = trainer.pid;
  assert.equal((await trainer.run(await roundWork(file))).failure, null);
  assert.equal(trainer.pid, pid, 'a trainer that stops at once is not killed');
  await assert.rejects(trainer.run(await roundWork(file), { signal: abort.signal }), withCode('training-cancelled'));
});

test('a killed trainer fails its job and is replaced', async (context) => {
  const file = await patientFile(await folderFor(context));
  const trainer = new Trainer();
  context.after(() => trainer.close());
  const { job, pid } = await longJob(trainer, file);
  process.kill(pid, 'SIGKILL');
  await assert.rejects(job, withCode('trainer-stopped'));
  assert.equal((await trainer.run(await roundWork(file))).failure, null);
  assert.notEqual(trainer.pid, pid);
});

test('a killed trainer’s last checkpoint is taken up by the next one', async (context) => {
  const file = await patientFile(await folderFor(context));
  const trainer = new Trainer();
  context.after(() => trainer.close());
  const steps = 10_000;
  const work = await roundWork(file, steps);
  const first = Promise.withResolvers<Checkpoint>();
  const job = trainer.run(work, { onCheckpoint: first.resolve });
  const checkpoint = await Promise.race([first.promise, job.then(() => assert.fail('it finished'))]);
  process.kill(trainer.pid!, 'SIGKILL');
  await assert.rejects(job, withCode('trainer-stopped'));
  assert.ok(checkpoint.steps > 0 && checkpoint.parameters.some((value) => value !== 0));
  // Almost at its end, so that a trainer that began anew would be seen by its progress.
  const seen: number[] = [];
  const resume = { ...checkpoint, steps: steps - 1 };
  const { failure } = await trainer.run({ ...work, resume }, { onProgress: (done, total) => seen.push(done / total) });
  assert.equal(failure, null);
  assert.ok(
    seen.every((share) => share >= 1 - 2 / steps),
    String(seen[0]),
  );
});

test('a trainer that hangs is killed: when cancelled, and at its time limit', async (context) => {
  if (process.platform === 'win32') return context.skip('Windows has no SIGSTOP');
  const file = await patientFile(await folderFor(context));
  const trainer = new Trainer({ cancelGraceMs: 100 });
  context.after(() => trainer.close());
  const abort = new AbortController();
  const { job, pid } = await longJob(trainer, file, abort.signal);
  process.kill(pid, 'SIGSTOP');
  abort.abort();
  await assert.rejects(job, withCode('training-cancelled'));
  await waitUntilGone(pid);
  await assert.rejects(trainer.run(await roundWork(file, 10_000), { timeoutMs: 300 }), withCode('training-timeout'));
  assert.equal(trainer.pid, null);
});

test('the trainer ends when its host is killed', async (context) => {
  const file = await patientFile(await folderFor(context));
  const fixture = fileURLToPath(new URL('./host-fixture.ts', import.meta.url));
  const host = spawn(process.execPath, [fixture, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [printed] = (await once(host.stdout, 'data')) as [Buffer];
  const pid = Number(printed.toString());
  assert.ok(isRunning(pid));
  host.kill('SIGKILL');
  await waitUntilGone(pid);
});

test('one job at a time; closing cancels', async (context) => {
  const file = await patientFile(await folderFor(context));
  const trainer = new Trainer();
  const { job, pid } = await longJob(trainer, file);
  await assert.rejects(trainer.run(await roundWork(file)), TypeError);
  const cancelled = assert.rejects(job, withCode('training-cancelled'));
  await trainer.close();
  await cancelled;
  await waitUntilGone(pid);
  await trainer.close();
});

test('bad records are told by line and column, never by value', async (context) => {
  const folder = await folderFor(context);
  const file = await patientFile(folder);
  const lines = (await readFile(file, 'utf8')).split('\n');
  lines[4] = lines[4]!.replace(/^\d+/, 'canary-value');
  const bad = join(folder, 'bad.csv');
  await writeFile(bad, lines.join('\n'));
  const trainer = new Trainer();
  context.after(() => trainer.close());
  await assert.rejects(trainer.run(await roundWork(bad)), (error: unknown) => {
    assert.ok(error instanceof InputError && error.code === 'rows-refused');
    assert.match(error.message, /line 5, column "age": not a number/);
    assert.doesNotMatch(error.message, /canary/);
    return true;
  });
  await assert.rejects(trainer.run(await roundWork(join(folder, 'none.csv'))), withCode('disk-failed'));
  const { task } = await studyContract('heart-private');
  assert.deepEqual(await trainer.run({ kind: 'inspect', task, recordsFile: bad }), {
    kind: 'inspect',
    rows: 119,
    dropped: 0,
    problems: [{ line: 5, column: 'age', problem: 'not a number' }],
  });
});

test('an edited file is read anew; the own-site baseline gives its metrics only', async (context) => {
  const folder = await folderFor(context);
  const [file, testFile] = [await patientFile(folder, 150, 1), await patientFile(folder, 100, 2)];
  const trainer = new Trainer();
  context.after(() => trainer.close());
  const { task } = await studyContract('heart-private');
  const outcome = await trainer.run({ kind: 'own-site', task, recordsFile: file, testFile });
  assert.deepEqual([Object.keys(outcome), outcome.joint], [['kind', 'metrics', 'joint'], null]);
  assert.ok(outcome.metrics.kind === 'classification' && outcome.metrics.accuracy > 0.8);
  await writeFile(file, 'age,sex\n1,1\n');
  await assert.rejects(trainer.run(await roundWork(file)), (error: unknown) => {
    return error instanceof InputError && error.code === 'column-missing';
  });
});

test('nothing of the host’s environment or contract is in the trainer’s environment or command line', async (context) => {
  if (process.platform !== 'linux') return context.skip('reads /proc');
  const file = await patientFile(await folderFor(context));
  process.env['CONSILIENCE_TEST_SECRET'] = 'canary-secret';
  context.after(() => delete process.env['CONSILIENCE_TEST_SECRET']);
  const trainer = new Trainer();
  context.after(() => trainer.close());
  await trainer.run(await roundWork(file));
  for (const name of ['environ', 'cmdline']) {
    const text = await readFile(`/proc/${trainer.pid}/${name}`, 'utf8');
    assert.doesNotMatch(text, /canary|heart|patients/);
  }
});
