// Planted marks in records appear nowhere: no log, error, ledger, export, status, temporary file, model or byte on the wire,
// in plain text or as Base64, hexadecimal, UTF-16 or the bytes of a number. A whole federation of real processes, its wire
// recorded by a proxy. Issue 4, "Nothing leaks".

import assert from 'node:assert/strict';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../free-port.ts';
import { consentEverybody, processFederation } from './process-federation.ts';

/** A text that nothing else can hold, one in a column that the study reads, one in a column that it does not. */
const texts = ['CANARYpatientq7Zk', 'KANARIENVOGELw3Xy'];
/** Values of a feature, as written; as numbers they would show in a vector or a message. */
const numbers = ['0.7316958241', '-0.4819273655'];

/** Every form in which the mark could stand in a stream of bytes. */
function formsOf(mark: string): Buffer[] {
  const plain = Buffer.from(mark, 'utf8');
  const forms = [plain, Buffer.from(mark, 'utf16le'), Buffer.from(mark, 'utf16le').swap16()];
  forms.push(Buffer.from(plain.toString('hex')), Buffer.from(plain.toString('hex').toUpperCase()));
  // Base64 of it at each of the three places it may begin at, without the characters that its neighbours share.
  for (const before of [0, 1, 2])
    for (const alphabet of ['base64', 'base64url'] as const) {
      const text = Buffer.concat([Buffer.alloc(before), plain])
        .toString(alphabet)
        .replaceAll('=', '');
      forms.push(Buffer.from(text.slice(Math.ceil((before * 4) / 3), -1)));
    }
  return forms;
}

function bytesOfNumber(text: string): Buffer[] {
  const value = Number(text);
  const [single, double] = [Buffer.alloc(4), Buffer.alloc(8)];
  single.writeFloatLE(value);
  double.writeDoubleLE(value);
  const swapped = [single, double].map((bytes) => Buffer.from(bytes.toReversed()));
  const hexadecimal = [double, swapped[1]!].map((bytes) => Buffer.from(bytes.toString('hex')));
  // Four bytes alone come about by chance in megabytes; five would not.
  return [double, swapped[1]!, ...hexadecimal];
}

const marks = new Map<string, Buffer[]>([
  ...texts.map((text): [string, Buffer[]] => [text, formsOf(text)]),
  ...numbers.map((text): [string, Buffer[]] => [text, [...formsOf(text), ...bytesOfNumber(text)]]),
]);

/** Names of the marks in these bytes. */
const found = (bytes: Buffer): string[] =>
  [...marks].filter(([, forms]) => forms.some((form) => bytes.includes(form))).map(([mark]) => mark);

function records(index: number): string {
  const rows = ['x0,x1,x2,x3,y,name'];
  for (let row = 0; row < 90; row++) {
    const value = (column: number): string => Math.sin(index * 97 + row * 13 + column * 7).toFixed(4);
    const marked = row % 9 === 4;
    const cells = [value(0), marked ? numbers[0]! : value(1), value(2), marked ? numbers[1]! : value(3)];
    rows.push(`${cells.join(',')},${Number(value(0)) > 0 ? 1 : 0},${marked ? texts[1]! : 'x'}`);
  }
  return `${rows.join('\n')}\n`;
}

/** Passes bytes on, both ways, and keeps them. */
async function recordingProxy(target: number): Promise<{ port: number; recorded: Buffer[]; close(): void }> {
  const recorded: Buffer[] = [];
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (bytes: Buffer) => {
        recorded.push(bytes);
        to.write(bytes);
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, recorded, close: () => void server.close() };
}

test('the search finds every form in which a mark could be hidden', () => {
  for (const [mark, forms] of marks)
    for (const form of forms)
      assert.ok(found(Buffer.concat([Buffer.from('..'), form, Buffer.from('..')])).includes(mark));
  for (const mark of [...texts, ...numbers])
    for (const before of ['', 'a', 'ab', 'abc']) {
      const inside = Buffer.from(`${before}${mark}zz`);
      assert.deepEqual(found(Buffer.from(inside.toString('base64'))), [mark]);
      assert.deepEqual(found(Buffer.from(inside.toString('base64url'))), [mark]);
    }
});

test('planted marks appear in no log, error, ledger, export, status, temporary file, model or wire byte', async (t) => {
  const port = await freePort();
  const proxy = await recordingProxy(port);
  t.after(() => proxy.close());
  const fed = await processFederation({
    records: [0, 1, 2].map(records),
    port,
    address: `http://127.0.0.1:${proxy.port}`,
    schedule: {
      rounds: 2,
      attempts: 4,
      stageSeconds: { ready: 60, shares: 60, masked: 60, consistency: 60, unmask: 60 },
      intervalSeconds: 0,
    },
  });
  t.after(() => fed.close());
  const credential = ['--credential-file', fed.at('credential')];
  const coordinator = await fed.startCoordinator();

  // A file with a mark in a cell that must be a number is refused by line and column.
  await writeFile(
    fed.at('records-0/bad.csv'),
    records(0).replace('x3,y,name\n', `x3,y,name\n0.1,${texts[0]!},0.1,0.1,1,x\n`),
  );
  const bad = ['--data', fed.at('records-0/bad.csv'), '--contract', fed.at('signed.json')];
  const refused = await fed.start('participant', 'consent', '--home', fed.at('site-0'), ...bad, ...credential).ended;
  assert.equal(refused.code, 1);
  assert.match(refused.out, /rows-refused.*line 2.*x1/is);

  await consentEverybody(fed);
  for (const { code, out } of await Promise.all(fed.names.map((name) => fed.takePart(name).ended))) {
    assert.equal(code, 0, out + fed.said());
    assert.match(out, /"outcome":"complete"/);
    assert.doesNotMatch(out, /untrained/);
  }
  for (const name of fed.names) {
    await fed.ok('participant', 'status', '--home', fed.at(name));
    await fed.ok('ledger', 'export', join(fed.at(name), 'ledger'), '--out', fed.at(`export-${name}`));
    await fed.ok('model', 'export', '--home', fed.at(name), '--out', fed.at(`model-${name}`), ...credential);
  }
  coordinator.child.kill('SIGTERM');
  await coordinator.ended;

  assert.deepEqual(found(Buffer.from(fed.said())), [], 'what the processes said');
  const wire = Buffer.concat(proxy.recorded);
  assert.ok(wire.includes('/v1/rounds/2/chunks/0'), 'the wire was recorded');
  assert.deepEqual(found(wire), [], 'the wire');
  const names = await readdir(fed.folder, { recursive: true, withFileTypes: true });
  const searched: string[] = [];
  for (const one of names) {
    assert.deepEqual(found(Buffer.from(one.name)), [], one.name);
    const path = join(one.parentPath, one.name);
    if (!one.isFile() || /[/\\]records-\d/.test(one.parentPath)) continue;
    searched.push(one.name);
    assert.deepEqual(found(await readFile(path)), [], path);
  }
  for (const name of [
    'ledger.jsonl',
    'report.md',
    'verify.html',
    'state.sqlite',
    'coordinator.sqlite',
    'status.json',
    'model.safetensors',
    'card.md',
  ])
    assert.ok(searched.includes(name), `${name} was searched`);
  assert.equal(found(await readFile(fed.at('records-0/records.csv'))).length, 3, 'the marks stand in the records');
});
