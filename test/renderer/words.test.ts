// The texts of the window: the same keys and the same names in braces in every language, every text used by a screen,
// every key that a screen or the host can ask for there, and none of the words that a hospital uses for something else.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const folder = path.resolve(import.meta.dirname, '../../renderer');

type Table = { readonly [key: string]: string };
const table = async (language: string): Promise<Table> => {
  const module = (await import(pathToFileURL(path.join(folder, `ui/words-${language}.ts`)).href)) as {
    [name: string]: Table;
  };
  return module[language]!;
};

const english = await table('english');
const screens = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.tsx?$/.test(name) && !/words-\w+\.ts$/.test(name))
  .map((name) => readFileSync(path.join(folder, name), 'utf8'))
  .join('\n');

const bracesIn = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!).sort();

/** Keys that a screen names whole, and the beginnings of those it puts together. */
const wholeKeys = new Set([...screens.matchAll(/'([a-z-]+(?:\.[a-z-]+)+|close|reading)'/g)].map((match) => match[1]!));
const beginnings = [
  ...new Set([
    ...[...screens.matchAll(/say\(\s*`([a-z-]+[.-](?:[a-z]+-)?)\$\{/g)].map((match) => match[1]!),
    ...[...screens.matchAll(/sayKnown\('([a-z-]+)'/g)].map((match) => `${match[1]!}.`),
  ]),
];

for (const language of ['german', 'french'])
  test(`every text is there in ${language}, with the same names in braces`, async () => {
    const other = await table(language);
    assert.deepEqual(Object.keys(other).sort(), Object.keys(english).sort());
    for (const [key, text] of Object.entries(english)) {
      assert.deepEqual(bracesIn(other[key]!), bracesIn(text), key);
      assert.ok(other[key]!.trim() !== '', key);
    }
    const same = Object.keys(english).filter((key) => other[key] === english[key] && /[a-z]{4}/.test(english[key]!));
    assert.ok(same.length < 20, `not translated: ${same.join(', ')}`);
  });

test('every text is used by a screen', () => {
  assert.ok(beginnings.length > 5 && wholeKeys.size > 100);
  const unused = Object.keys(english).filter(
    (key) => !wholeKeys.has(key) && !beginnings.some((beginning) => key.startsWith(beginning)),
  );
  assert.deepEqual(unused, []);
});

test('every text that a screen names is there', () => {
  const missing = [...screens.matchAll(/\bsay\(\s*'([^']+)'/g)]
    .map((match) => match[1]!)
    .filter((key) => !(key in english));
  assert.deepEqual(missing, []);
  for (const [prefix, names] of Object.entries({
    stage: ['ready', 'shares', 'opened', 'masked', 'consistency', 'unmask', 'left', 'wiped'],
    'study-state': [
      'waiting-for-terms',
      'decide',
      'taking-part',
      'asks',
      'spent',
      'paused',
      'stopped',
      'finished',
      'withdrawn',
    ],
    known: ['own', 'policy', 'earlier-study', 'unknown'],
    level: ['pass', 'warn', 'refuse', 'fail'],
  }))
    for (const name of names) assert.ok(`${prefix}.${name}` in english, `${prefix}.${name}`);
});

test('no text uses a word that a hospital uses for something else, shouts, or speaks the engineers’ language', () => {
  const wrong =
    /\b(?:coordinator|cohort|dropout|unmask|masked|roster|contract|charge[sd]?|ledger|colluders?|withdraw|slice)\b|!/i;
  for (const [key, text] of Object.entries(english)) assert.doesNotMatch(text.replaceAll(/\{\w+\}/g, ''), wrong, key);
});
