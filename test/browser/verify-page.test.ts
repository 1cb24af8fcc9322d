// verify.html of an export, opened from disk in a real Chromium: whole bundles verify, damaged ones are named by their first
// bad entry, no signature is believed without its key, nothing goes over a network.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright';
import { fromUtf8, toHex, utf8 } from '../../app/encoding/bytes.ts';
import { signerFromSeed } from '../../app/encoding/signature.ts';
import { writeCheckpoint } from '../../app/ledger/checkpoint.ts';
import { exportBundle } from '../../app/ledger/export.ts';
import { nodeCipher } from '../../main/host/machine.ts';
import { SampleLedger, sampleLedger, sampleSigner, sampleStart } from '../app/ledger/sample.ts';
import { launchChromium, withoutChromium } from './chromium.ts';

const key = toHex(sampleSigner.publicKey);
const sample = sampleLedger();
const text = sample.text();
const checkpoint = sample.checkpoint();
let browser: Browser | null = null;
let folder = '';

before(async () => {
  if (withoutChromium !== false) return;
  folder = await mkdtemp(join(tmpdir(), 'consilience-verify-page-'));
  const bundle = exportBundle(nodeCipher, { ledger: utf8(text), checkpoint, contracts: [], publicKeys: [] });
  const page = bundle.files.find((file) => file.path === 'verify.html')!;
  await writeFile(join(folder, 'verify.html'), fromUtf8(page.bytes));
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  if (folder !== '') await rm(folder, { recursive: true });
});

type Shown = { readonly verdict: string; readonly findings: readonly string[] };

async function opened(
  prepare: (page: Page) => Promise<unknown> = async () => {},
): Promise<{ page: Page; asked: string[] }> {
  const page = await browser!.newPage();
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await prepare(page);
  await page.goto(pathToFileURL(join(folder, 'verify.html')).href);
  return { page, asked };
}

async function check(page: Page, ledger: string | Uint8Array, signed = checkpoint, expected = ''): Promise<Shown> {
  await page.setInputFiles('#files', [
    { name: 'ledger.jsonl', mimeType: 'text/plain', buffer: Buffer.from(ledger) },
    { name: 'checkpoint', mimeType: 'text/plain', buffer: Buffer.from(signed) },
  ]);
  await page.fill('#key', expected);
  await page.click('#check');
  await page.locator('#verdict:not(:empty)').filter({ hasNotText: 'Checking …' }).waitFor();
  const findings = await page.locator('#findings li').allTextContents();
  return { verdict: await page.locator('#verdict').innerText(), findings };
}

test(
  'a whole bundle verifies, with the key compared or not, and nothing is asked of a network',
  { skip: withoutChromium },
  async () => {
    const { page, asked } = await opened();
    const shown = await check(page, text, checkpoint, key.toUpperCase());
    assert.equal(shown.verdict, 'The log is unaltered.');
    assert.equal(shown.findings.length, 4);
    assert.ok(
      shown.findings.every((finding) => finding.startsWith('ok: ')),
      shown.findings.join('\n'),
    );
    const without = await check(page, text);
    assert.equal(without.verdict, 'The log is unaltered.');
    assert.match(without.findings.at(-1)!, /^not checked: Whose key it is/);
    assert.ok(
      asked.every((url) => url.startsWith('file:')),
      asked.join(),
    );
  },
);

test('damage is named by its first bad entry', { skip: withoutChromium }, async () => {
  const { page } = await opened();
  const lines = text.split('\n');
  const swapped = [lines[0], lines[2], lines[1], ...lines.slice(3)].join('\n');
  const longer = new SampleLedger();
  longer.add('start', { version: 'another' });
  for (let more = 1; more < sample.head.size; more++) longer.add('start', {});
  const cases: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
    ['flipped', text.replace('heart-a', 'heart-b'), /Entry 4 does not follow/],
    ['flipped, the last', text.replace('"kind":"clean-stop"', '"kind":"clean-stoq"'), /Entry 11 is not the one/],
    ['cut at the end', `${lines.slice(0, 10).join('\n')}\n`, /names entry 11, but only 10 are there/],
    ['cut in mid-line', text.slice(0, -4), /The last line, after entry 10, is cut off/],
    [
      'cut in the middle',
      [...lines.slice(0, 4), ...lines.slice(5)].join('\n'),
      /In place of entry 5 stands one with the number 6/,
    ],
    ['reordered', swapped, /In place of entry 2 stands one with the number 3/],
    ['rewritten whole', longer.text(), /Entry 11 is not the one that the checkpoint names/],
    [
      'not text',
      Buffer.concat([Buffer.from(text.slice(0, 20)), Buffer.of(0xff), Buffer.from(text.slice(20))]),
      /Entry 1 .*not text/,
    ],
    ['a member twice', text.replace('{"actor"', '{"actor":1,"actor"'), /Entry 1 .*not canonical/],
  ];
  for (const [name, ledger, finding] of cases) {
    const shown = await check(page, ledger);
    assert.equal(shown.verdict, 'The log does NOT verify.', name);
    assert.match(
      shown.findings.find((one) => one.startsWith('WRONG'))!,
      finding,
      name,
    );
  }
});

test('checkpoints: signed anew by another key, altered, malformed', { skip: withoutChromium }, async () => {
  const { page } = await opened();
  const thief = signerFromSeed(nodeCipher, new Uint8Array(32).fill(9));
  const resigned = writeCheckpoint(nodeCipher, thief, sample.head, sampleStart);
  const other = await check(page, text, resigned, key);
  assert.match(other.findings.at(-1)!, /WRONG: It is another key than the one that you expect/);
  assert.equal(other.verdict, 'The log does NOT verify.');
  const stamp = checkpoint.slice(0, -10) + (checkpoint.at(-10) === 'A' ? 'B' : 'A') + checkpoint.slice(-9);
  assert.match((await check(page, text, stamp)).findings[2]!, /WRONG: The signature of the checkpoint does not hold/);
  const renamed = checkpoint.replace('— consilience-ledger', '— consilience-lodger');
  assert.match((await check(page, text, renamed)).findings[2]!, /WRONG: The signature/);
  assert.match((await check(page, text, 'nonsense')).findings[0]!, /not in the form/);
});

test('a browser without Ed25519 says so and does not call the log verified', { skip: withoutChromium }, async () => {
  const { page } = await opened((one) =>
    one.addInitScript(() => {
      const { subtle } = crypto;
      Object.defineProperty(subtle, 'importKey', {
        value: () => Promise.reject(new DOMException('no Ed25519', 'NotSupportedError')),
      });
    }),
  );
  const shown = await check(page, text);
  assert.equal(shown.verdict, 'The entries are linked; the signature was not checked.');
  assert.match(shown.findings[2]!, /^not checked: This browser has no Ed25519/);
});
