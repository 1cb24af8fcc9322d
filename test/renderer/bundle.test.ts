// The built window: what a browser must read before the first paint is small and holds no screen and no host's sentence, and
// every part of the component library that is used has its styles. Issue 6, "Numbers" (first paint).

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import { builtWindow } from './built.ts';

const folder = builtWindow();
const assets = path.join(folder, 'assets');
const textOf = (name: string): string => readFileSync(path.join(assets, name), 'utf8');
const named = (ending: string): string[] => readdirSync(assets).filter((name) => name.endsWith(ending));
const page = readFileSync(path.join(folder, 'index.html'), 'utf8');

/** Script and style sheet that the page names, and what that script imports at once. */
function readFirst(): string[] {
  const first = new Set([...page.matchAll(/(?:src|href)="\.\/assets\/([^"]+)"/g)].map((match) => match[1]!));
  for (const name of first)
    if (name.endsWith('.js'))
      for (const [, imported] of textOf(name).matchAll(/\bimport(?:[^"'();]*?from)?["']\.\/([^"']+)["']/g))
        first.add(imported!);
  return [...first];
}

/** The library's classes are hashes. */
const classesIn = (text: string): Set<string> => new Set(text.match(/\bm_[0-9a-f]{6,8}\b/g));

test('the first paint waits for no screen, no host’s sentence and few bytes', (t) => {
  const first = readFirst();
  const size = (ending: string): number =>
    first.filter((name) => name.endsWith(ending)).reduce((sum, name) => sum + textOf(name).length, 0);
  t.diagnostic(`read before the first paint: ${size('.js')} characters of script, ${size('.css')} of styles`);
  assert.ok(size('.js') < 500_000 && size('.js') > 100_000);
  assert.ok(size('.css') < 150_000 && size('.css') > 10_000);
  const late = 'Höchstens {most} Versuche erlauben.';
  const holders = named('.js').filter((name) => textOf(name).includes(late));
  assert.equal(holders.length, 1, 'the host’s sentences lie in one piece');
  assert.ok(!first.includes(holders[0]!), 'which is not read at first');
  const screens = named('.js').filter((name) =>
    /^(?:today|studies|study-page|data|rounds|budget|audit|system)-/.test(name),
  );
  assert.equal(screens.length, 8);
  assert.deepEqual(
    screens.filter((name) => first.includes(name)),
    [],
  );
});

test('every part of the component library that is used has its styles', () => {
  const all = classesIn(readFileSync(createRequire(import.meta.url).resolve('@mantine/core/styles.css'), 'utf8'));
  const used = classesIn(named('.js').map(textOf).join('\n'));
  const styled = classesIn(named('.css').map(textOf).join('\n'));
  const wanted = [...used].filter((one) => all.has(one));
  assert.ok(wanted.length > 50);
  assert.deepEqual(
    wanted.filter((one) => !styled.has(one)),
    [],
  );
});
