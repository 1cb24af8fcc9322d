// What the host says is said in three languages: every sentence that its source can send, every problem of a cell, every
// kind of entry of the log; with the host's parameters in each, and in a steward's words.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { hostTexts } from './host-texts.ts';
import { describeActor, describeEntry } from '../../app/ledger/sentences.ts';
import { entryKinds } from '../../app/ledger/entry.ts';
import type { Entry } from '../../app/ledger/entry.ts';
import { sampleLedger } from '../app/ledger/sample.ts';

type Language = 'en' | 'de' | 'fr';
type Said = { readonly [Code in Language]: string };
// The window's own project is not a reference of the tests'.
const { hostSentences, sayHostError, sayHostText, saidByCode } = (await import(
  pathToFileURL(path.resolve(import.meta.dirname, '../../renderer/ui/host-sentences.ts')).href
)) as {
  readonly hostSentences: readonly (readonly [host: string, english: string, german: string, french: string])[];
  readonly saidByCode: ReadonlyMap<string, Said>;
  readonly sayHostText: (language: Language, text: string) => string | null;
  readonly sayHostError: (language: Language, error: { readonly code: string; readonly message: string }) => string;
};

const languages = ['en', 'de', 'fr'] as const;
const root = path.resolve(import.meta.dirname, '../..');
const texts = hostTexts();
/** A code may have a part that is known only when it runs. */
const fits = (code: string, one: string): boolean =>
  code === one || (code.startsWith('\u0000') && one.endsWith(code.slice(1)));
const bracesIn = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!).sort();
/** Parameters as nobody writes them, so that they are found again. */
const filled = (text: string): { readonly said: string; readonly values: readonly string[] } => {
  const values = bracesIn(text).map((name) => `⟦${name}⟧`);
  return { said: text.replaceAll(/\{(\w+)\}/g, '⟦$1⟧'), values };
};

test('every sentence of the host is said in three languages, with all of its parameters', () => {
  assert.ok(texts.length > 400, `only ${texts.length} sentences were found in the source`);
  const missing: string[] = [];
  for (const { file, code, text } of texts) {
    const { said, values } = filled(text);
    // What puts other sentences together adds at most one of its own.
    const own = text.replaceAll(/\{\w+\}/g, '').trim();
    if (own === '' || own === ':' || (text.startsWith('{') && sayHostText('de', own) !== null)) continue;
    for (const language of languages) {
      const told = sayHostText(language, said);
      if (told === null && !(code !== null && [...saidByCode.keys()].some((one) => fits(code, one))))
        missing.push(`${file}: ${code}: ${text}`);
      for (const value of told === null ? [] : values)
        assert.ok(told!.includes(value), `${language} loses ${value} of: ${text}`);
    }
  }
  assert.deepEqual([...new Set(missing)], [], 'add them to renderer/sentences, in three languages');
});

test('every code that is said by itself is one that the host has', () => {
  const source = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => /^(?:app|main).*\.ts$/.test(name))
    .map((name) => readFileSync(path.join(root, name), 'utf8'))
    .join('\n');
  const stale = [...saidByCode.keys()].filter(
    (code) => !source.includes(`'${code}'`) && !code.endsWith('-needs-add-or-remove'),
  );
  assert.deepEqual(stale, []);
});

test('the languages name the same parameters', () => {
  const seen = new Set<string>();
  for (const [host, english, german, french] of hostSentences) {
    for (const one of [english === '' ? host : english, german, french]) {
      assert.deepEqual(bracesIn(one), bracesIn(host), host);
      assert.notEqual(one.trim(), '', host);
    }
    const fixed = host.replaceAll(/\{\w+\}/g, '{}');
    assert.ok(!seen.has(fixed), `twice: ${host}`);
    seen.add(fixed);
  }
});

test('no sentence on a screen uses a word that a hospital uses for something else', () => {
  const wrong =
    /\b(?:coordinator|cohort|dropout|unmask|masked|roster|contract|charge[sd]?|ledger|colluders?|withdraw)\b|!/i;
  for (const [host, english] of hostSentences) {
    const said = (english === '' ? host : english).replaceAll(/\{\w+\}|ledger\.jsonl|"[^"]*"/g, '');
    assert.doesNotMatch(said, wrong, host);
  }
});

test('several sentences, phrases among parameters and names in quotation marks', () => {
  const both = 'The study runs until 3; the policy allows none beyond 4. Let the study end by 4. Nothing was sent.';
  assert.equal(
    sayHostText('de', both),
    'Die Studie läuft bis 3; die Richtlinie erlaubt keine über 4 hinaus. Die Studie bis 4 enden lassen. Nichts wurde gesendet.',
  );
  assert.match(
    sayHostText(
      'fr',
      'The folder /a b could not be written or read: the disk is full. Free some space and try again.',
    )!,
    /^Le dossier \/a b : .* le disque est plein/,
  );
  assert.match(
    sayHostText('de', 'The file has no column "consent", which the study needs. Rename or add it.')!,
    /„consent“/,
  );
  const error = { code: 'sum-differs', message: 'Nobody knows this.' };
  assert.match(sayHostError('fr', error), /service relais .* \(sum-differs\)/);
  assert.equal(sayHostError('fr', { code: 'never-heard', message: 'As it is.' }), 'As it is.');
});

test('every entry of a log is said in three languages', () => {
  const entries = sampleLedger().lines.map((line) => JSON.parse(line) as Entry);
  const [first] = entries;
  // The sample's own bodies, and for every other kind one of plain members.
  const others = entryKinds
    .filter((kind) => !entries.some((one) => one.kind === kind))
    .map((kind) => ({ ...first!, kind, body: { name: 'one', number: 2, charged: [1, 2] } }) as Entry);
  assert.ok(others.length > 5);
  for (const entry of [...entries, ...others])
    for (const language of languages) {
      assert.notEqual(sayHostText(language, describeEntry(entry)), null, describeEntry(entry));
      assert.notEqual(sayHostText(language, describeActor(entry.actor)), null);
    }
});

test('every problem of a cell is said in three languages', () => {
  const source = ['app/training/encoder.ts', 'app/training/records.ts']
    .map((name) => readFileSync(path.join(root, name), 'utf8'))
    .join('\n');
  const problems = [...source.matchAll(/type (?:Cell|Mapping)Problem =([^;]+);/g)].flatMap((match) =>
    [...match[1]!.matchAll(/'([^']+)'/g)].map((one) => one[1]!),
  );
  assert.ok(problems.length >= 6);
  const comma = /unexpectedComma =\s+'([^']+)'/.exec(source)![1]!;
  for (const problem of [...problems, comma])
    for (const language of languages) assert.notEqual(sayHostText(language, problem), null, problem);
});
