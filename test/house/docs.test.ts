// The documents speak of files and names that exist: every path in docs/ and README.md, every `path#name`, every link.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const root = path.resolve(import.meta.dirname, '../..');

const documents = [
  'README.md',
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.join('docs', name)),
];

/** `app/x/y.ts#name`, wherever it stands in backticks; patterns with a star or an angle bracket are no paths. */
function mentions(text: string): { readonly file: string; readonly name: string | null }[] {
  return [...text.matchAll(/`((?:app|main|renderer|test|docs|dist)\/[^`\s*<>]+)`/g)]
    .map((match) => match[1]!)
    .filter((mention) => !mention.startsWith('dist/'))
    .map((mention) => {
      const [file, name] = mention.split('#');
      return { file: file!, name: name ?? null };
    });
}

const links = (text: string): string[] =>
  [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!).filter((target) => !/^[a-z]+:|^#/.test(target));

const declares = (source: string, name: string): boolean =>
  new RegExp(`^export (?:async )?(?:function|const|class|type) ${name}\\b`, 'm').test(source);

test('every path and name that the documents mention exists', () => {
  let seen = 0;
  for (const document of documents)
    for (const { file, name } of mentions(readFileSync(path.join(root, document), 'utf8'))) {
      assert.ok(existsSync(path.join(root, file)), `${document} speaks of ${file}, which is not there`);
      if (name === null) continue;
      seen++;
      const source = readFileSync(path.join(root, file), 'utf8');
      assert.ok(declares(source, name), `${document} speaks of ${name}, which ${file} does not export`);
    }
  assert.ok(seen > 30, 'the walk names functions');
});

test('every link between the documents leads somewhere', () => {
  for (const document of documents)
    for (const link of links(readFileSync(path.join(root, document), 'utf8'))) {
      const target = path.join(root, path.dirname(document), link.replace(/#.*$/, ''));
      assert.ok(existsSync(target), `${document} links to ${link}, which is not there`);
    }
});

test('the rule sees what is not there', () => {
  assert.deepEqual(mentions('see `app/no/such.ts#thing`, `app/units.ts` and `test/*.ts`'), [
    { file: 'app/no/such.ts', name: 'thing' },
    { file: 'app/units.ts', name: null },
  ]);
  assert.deepEqual(links('[a](b.md) and [c](https://example.org) and [d](#e)'), ['b.md']);
  assert.ok(!declares('const other = name', 'name'));
  assert.ok(declares('export async function name(', 'name'));
});
