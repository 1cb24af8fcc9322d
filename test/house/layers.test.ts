// The layers of design 2, third lock after the compiler and the linter: who may import whom, in thirty lines.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const root = path.resolve(import.meta.dirname, '../..');
const base = ['units', 'errors', 'ports', 'encoding'];
/** Rooms of app and the rooms each may enter, besides itself and the base. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  'sealed-sum': [],
  privacy: [],
  training: [],
  ledger: [],
  study: [],
  // The steward's mapping is the one thing of a core room that a window hands in.
  bridge: ['training'],
  review: ['study', 'sealed-sum', 'privacy'],
  round: ['study', 'sealed-sum', 'privacy', 'training', 'ledger', 'review'],
  simulation: ['study', 'sealed-sum', 'privacy', 'training', 'ledger', 'review', 'round'],
  audit: ['study', 'sealed-sum', 'privacy', 'training', 'ledger', 'review', 'round', 'simulation'],
};
/** Packages that app may use: none of them touches a machine. */
const pure = ['zod', 'canonicalize', 'tweetnacl', '@tensorflow/tfjs-core'];

const sources = (folder: string): string[] =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => path.join(folder, name));

const importsOf = (file: string): string[] => {
  const text = readFileSync(path.join(root, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)].map((match) => match[1]!);
};

const targetOf = (file: string, name: string): string =>
  name.startsWith('.') ? path.join(path.dirname(file), name) : name;

test('app imports only pure packages and the rooms below it', () => {
  for (const file of sources('app')) {
    const room = file.split(path.sep)[1]!.replace(/\.ts$/, '');
    for (const name of importsOf(file)) {
      const target = targetOf(file, name);
      if (!name.startsWith('.')) assert.ok(pure.includes(name), `${file} imports ${name}`);
      else {
        const [top, other = ''] = target.split(path.sep);
        const entered = other.replace(/\.ts$/, '');
        const allowed = room === entered || base.includes(entered) || rooms[room]?.includes(entered) === true;
        assert.ok(
          top === 'app' && (base.includes(room) ? base.includes(entered) : allowed),
          `${file} imports ${target}`,
        );
      }
    }
  }
});

test('main and renderer never import each other, and nothing imports test', () => {
  for (const [folder, forbidden] of [
    ['main', /^(renderer|test)\//],
    ['renderer', /^(main|test)\/|^node:|^electron$/],
  ] as const)
    for (const file of sources(folder))
      for (const name of importsOf(file)) {
        if (file.endsWith('vite.config.ts')) continue;
        assert.ok(!forbidden.test(targetOf(file, name)), `${file} imports ${name}`);
      }
});

test('the rule sees an import that breaks it', () => {
  assert.deepEqual(
    [
      ...`import x from '../main/a.ts'; await import('node:fs')`.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g),
    ].map((match) => match[1]),
    ['../main/a.ts', 'node:fs'],
  );
});
