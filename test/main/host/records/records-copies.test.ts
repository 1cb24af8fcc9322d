// The encrypted copy of an import: nothing of it is plain in the home, it is what training gets, every change of it is
// refused, a kill leaves nothing half, and deleting destroys copy and key but neither log nor lineage.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, readdir, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { RefusalError } from '../../../../app/errors.ts';
import { initialParameters } from '../../../../app/training/model.ts';
import type { Records } from '../../../../app/training/records.ts';
import { readTable } from '../../../../main/host/import/read-table.ts';
import { deleteData } from '../../../../main/host/participant/data.ts';
import { openExistingKeys } from '../../../../main/host/participant/home.ts';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import {
  openRecords,
  recordsFolder,
  recordsPointer,
  sweepRecords,
} from '../../../../main/host/records/records-copies.ts';
import {
  readRecordsCopy,
  requireWholeCopy,
  writeRecordsCopy,
} from '../../../../main/host/records/records-copy-file.ts';
import { Trainer } from '../../../../main/trainer/client.ts';
import { folderFor, patientFile, studyContract } from '../../trainer/synthetic.ts';
import { ledgerEntries, makeCentral, makeHomes, runOptions } from '../participant/homes.ts';
import type { Homes } from '../participant/homes.ts';

async function withHomes(use: (homes: Homes, home: string) => Promise<void>): Promise<void> {
  const homes = await makeHomes(3);
  try {
    await use(homes, homes.institutions[0]!.home);
  } finally {
    await homes.remove();
  }
}

const refused = (code: string) => (error: unknown) => error instanceof RefusalError && error.code === code;
const consent = async (homes: Homes): Promise<{ study: string; digest: string }> => {
  const { study, dataset } = await homes.consent(homes.institutions[0]!, { keepCopy: true });
  return { study, digest: dataset.digest };
};

async function copyOf(homes: Homes, home: string, of: { study: string; digest: string }) {
  const keystore = await openExistingKeys(home, homes.keys);
  try {
    return await openRecords(home, keystore, (await recordsPointer(home, of.study))!.copy!, of);
  } finally {
    keystore.close();
  }
}

/** Every file under a folder, whole. */
async function everyByte(folder: string): Promise<Buffer> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  return Buffer.concat(await Promise.all(files.map((file) => readFile(file))));
}

test('the copy holds what training would read, and the home nothing of it in plain', () =>
  withHomes(async (homes, home) => {
    const { data } = homes.institutions[0]!;
    const { contract } = homes.signed;
    const of = await consent(homes);
    const { rows, width, features, labels, persons } = await readTable(data, contract.task.table);
    assert.deepEqual(await readRecordsCopy(await copyOf(homes, home, of)), { rows, width, features, labels, persons });
    const bytes = await everyByte(home);
    const cells = (await readFile(data, 'utf8'))
      .split('\n')
      .slice(1)
      .flatMap((line) => line.split(','));
    const telling = cells.filter((cell) => cell.length >= 5);
    assert.ok(telling.length > 100);
    for (const cell of telling) assert.ok(!bytes.includes(cell), 'a cell of the file lies in the home');
    const numbers = Buffer.from(features.buffer, features.byteOffset, features.byteLength);
    for (let at = 0; at + 16 <= numbers.length; at += 4 * width)
      assert.ok(!bytes.includes(numbers.subarray(at, at + 16)), 'encoded cells lie in the home');
  }));

test('a run needs the copy alone; an altered, cut, exchanged or absent one is refused by name', () =>
  withHomes(async (homes, home) => {
    const { data } = homes.institutions[0]!;
    const of = await consent(homes);
    await unlink(data);
    const central = makeCentral(homes.signed.contract);
    const stop = new AbortController();
    const run = async (): Promise<unknown> =>
      runParticipant({
        ...runOptions(homes, central, { home }, stop.signal),
        onEvent: ({ kind }) => void (kind === 'waiting' || kind === 'stage' ? stop.abort() : null),
      });
    setTimeout(() => stop.abort(), 1500).unref();
    await run();

    const copy = await copyOf(homes, home, of);
    const whole = await readFile(copy.path);
    const changes: readonly (readonly [string, Buffer])[] = [
      ['a bit', Buffer.from(whole.map((byte, at) => (at === 40 ? byte ^ 1 : byte)))],
      ['cut short', whole.subarray(0, whole.length - 20)],
      ['longer', Buffer.concat([whole, whole])],
      ['empty', Buffer.alloc(0)],
    ];
    for (const [what, bytes] of changes) {
      await writeFile(copy.path, bytes);
      await assert.rejects(requireWholeCopy(copy), refused('records-altered'), what);
      await assert.rejects(run(), refused('records-altered'), what);
    }
    await writeFile(copy.path, whole);
    await assert.rejects(requireWholeCopy({ ...copy, binding: `${copy.binding}0` }), refused('records-altered'));
    await rename(copy.path, `${copy.path}.away`);
    await assert.rejects(requireWholeCopy(copy), refused('records-gone'));
  }));

test('pieces cannot be left out or moved, whatever the length is', async (context) => {
  const folder = await folderFor(context);
  const sizes = [0, 1, 16_380, 16_384, 40_000];
  for (const [place, rows] of sizes.entries()) {
    const features = Float32Array.from({ length: rows }, (_, row) => row / 7);
    const persons = rows === 1 ? ['a "quoted"\nname'] : null;
    const records: Records = { rows, width: 1, features, labels: new Float32Array(0), persons };
    const copy = { path: join(folder, `${place}.copy`), key: new Uint8Array(32).fill(place + 1), binding: 'b' };
    await writeRecordsCopy(copy, records);
    assert.deepEqual(await readRecordsCopy(copy), records);
    const whole = await readFile(copy.path);
    const sealed = 64 * 1024 + 16;
    if (whole.length <= 2 * sealed) continue;
    const [first, second, rest] = [
      whole.subarray(0, sealed),
      whole.subarray(sealed, 2 * sealed),
      whole.subarray(2 * sealed),
    ];
    for (const bytes of [
      [first, second],
      [second, first, rest],
      [first, rest],
    ]) {
      await writeFile(copy.path, Buffer.concat(bytes));
      // The tags alone must tell, before anything is made of the content.
      await assert.rejects(requireWholeCopy(copy), refused('records-altered'));
    }
  }
});

test('a new version replaces the old copy; what a killed import left is swept away; deleting destroys copy and key', () =>
  withHomes(async (homes, home) => {
    const folder = recordsFolder(home);
    const first = await consent(homes);
    const [before] = await readdir(folder);
    const { digest } = await consent(homes);
    assert.equal(digest, first.digest, 'the digest follows the file, not the copy');
    const names = await readdir(folder);
    assert.deepEqual(names.map((name) => name.split('.')[1]).sort(), ['copy', 'key']);
    assert.ok(!names.includes(before!));

    for (const name of [`${'ab'.repeat(16)}.copy.part`, `${'ab'.repeat(16)}.key`, `.${'cd'.repeat(16)}.key.ef.tmp`])
      await writeFile(join(folder, name), 'half');
    await sweepRecords(home);
    assert.deepEqual((await readdir(folder)).sort(), names.sort());

    const spent = (await ledgerEntries(home)).length;
    await deleteData(home, homes.keys, 'records');
    assert.deepEqual(await readdir(folder), []);
    const entries = await ledgerEntries(home);
    assert.equal(entries.length, spent + 1);
    const imported = entries.filter(({ kind }) => kind === 'dataset-imported');
    assert.equal(imported[0]!.body['lineage'], imported[1]!.body['lineage']);
    assert.ok(existsSync(homes.institutions[0]!.data), 'the file is its owner’s');
    const again = await consent(homes);
    assert.equal(
      (await ledgerEntries(home)).findLast(({ kind }) => kind === 'dataset-imported')!.body['lineage'],
      imported[0]!.body['lineage'],
    );
    assert.equal(again.digest, first.digest);
  }));

test('a command that keeps no copy reads the file where it lies, and says so', () =>
  withHomes(async (homes, home) => {
    const { study } = await homes.consent(homes.institutions[0]!);
    assert.equal((await recordsPointer(home, study))!.copy, null);
    assert.ok(!existsSync(recordsFolder(home)));
  }));

test('the trainer process trains from the copy, with no file beside it', async (context) => {
  const folder = await folderFor(context);
  const file = await patientFile(folder);
  const contract = await studyContract('heart-private');
  const { rows, width, features, labels, persons } = await readTable(file, contract.task.table);
  const copy = { path: join(folder, 'one.copy'), key: new Uint8Array(32).fill(9), binding: 'study digest' };
  await writeRecordsCopy(copy, { rows, width, features, labels, persons });
  await unlink(file);
  const trainer = new Trainer();
  context.after(() => trainer.close());
  const parameters = initialParameters(contract.task);
  const work = { kind: 'round', contract, index: 0, parameters, recordsFile: copy.path, excluded: null } as const;
  const { words, failure } = await trainer.run({ ...work, copy });
  assert.deepEqual([failure, words.length], [null, contract.sealing.dimension]);
  const wrong = { ...copy, key: new Uint8Array(32), binding: 'other' };
  await assert.rejects(trainer.run({ ...work, copy: wrong }), refused('records-altered'));
});
