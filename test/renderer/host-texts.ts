// Every sentence that the host can send to a window, read off the source: what is thrown with a code, found by the check
// of study terms, or said by the check of the machine, in every file that the host is made of.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseSync } from 'vite';

const root = path.resolve(import.meta.dirname, '../..');

/** A sentence with its parameters as {0}, {1} …; `code` null where none goes with it. */
export type HostText = { readonly file: string; readonly code: string | null; readonly text: string };

type Node = { readonly type: string; readonly [member: string]: unknown };
const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';

/** Files that the host's own file imports, and the desktop shell's, directly or by others; types do not run. */
function hostFiles(): Map<string, Node> {
  const seen = new Map<string, Node>();
  const waiting = [
    'main/host/bridge/host.ts',
    'main/host/home/home-worker.ts',
    'main/cli/app-demo.ts',
    'main/desktop/index.ts',
  ];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (seen.has(file)) continue;
    const { program } = parseSync(file, readFileSync(path.join(root, file), 'utf8'));
    seen.set(file, program as unknown as Node);
    // The demonstration is the command line's; what it starts are processes of their own.
    if (file.startsWith('main/cli/')) continue;
    for (const statement of program.body)
      if (
        (statement.type === 'ImportDeclaration' && statement.importKind !== 'type') ||
        (statement.type === 'ExportNamedDeclaration' && statement.exportKind !== 'type')
      ) {
        const from = statement.source?.value;
        if (from?.startsWith('.') === true) waiting.push(path.join(path.dirname(file), from));
      }
  }
  return seen;
}

/** Each text that the expression can be; null where that is decided elsewhere. */
function textsOf(node: unknown): readonly string[] | null {
  if (!isNode(node)) return null;
  switch (node.type) {
    case 'Literal':
      return typeof node['value'] === 'string' ? [node['value']] : null;
    case 'TemplateLiteral': {
      const quasis = node['quasis'] as readonly { readonly value: { readonly cooked: string } }[];
      let all: readonly string[] = [quasis[0]!.value.cooked];
      for (const [at, expression] of (node['expressions'] as readonly unknown[]).entries()) {
        const inside = textsOf(expression) ?? ['\u0000'];
        all = all.flatMap((front) => inside.map((one) => front + one + quasis[at + 1]!.value.cooked));
      }
      return all;
    }
    case 'ParenthesizedExpression':
      return textsOf(node['expression']);
    case 'ConditionalExpression': {
      const [yes, no] = [textsOf(node['consequent']), textsOf(node['alternate'])];
      return yes === null || no === null ? null : [...yes, ...no];
    }
    default:
      return null;
  }
}

function numbered(text: string): string {
  let count = 0;
  return text.replaceAll('\u0000', () => `{${count++}}`);
}

function eachNode(value: unknown, see: (node: Node) => void): void {
  if (Array.isArray(value)) for (const one of value) eachNode(one, see);
  else if (isNode(value)) {
    see(value);
    for (const [member, inside] of Object.entries(value)) if (member !== 'type') eachNode(inside, see);
  }
}

const errorClasses = new Set(['RefusalError', 'InputError', 'UnavailableError', 'InvariantError']);
const nameOf = (node: unknown): string => (isNode(node) && node.type === 'Identifier' ? String(node['name']) : '');

/** Which arguments of a call are sentences, and where its code stands. */
const calls: { readonly [name: string]: { readonly code: number | null; readonly texts: readonly number[] } } = {
  refusal: { code: 0, texts: [1, 2] },
  warning: { code: 0, texts: [1, 2] },
  add: { code: 1, texts: [2, 3] },
  refuse: { code: 0, texts: [1] },
  refused: { code: 0, texts: [1] },
  check: { code: null, texts: [1, 2] },
  pass: { code: null, texts: [0] },
  warn: { code: null, texts: [0, 1] },
  fail: { code: null, texts: [0, 1] },
  tell: { code: null, texts: [1] },
};
/** Objects that carry a sentence: findings of the policy, the engine's reasons, constants of a check. */
const members = new Set(['reason', 'repair', 'sentence']);

export function hostTexts(): readonly HostText[] {
  const found: HostText[] = [];
  for (const [file, program] of hostFiles()) {
    const take = (code: unknown, text: unknown): void => {
      for (const one of textsOf(text) ?? [])
        for (const name of code === null ? [null] : (textsOf(code) ?? [null]))
          if (one !== '' && one !== '\u0000') found.push({ file, code: name, text: numbered(one) });
    };
    eachNode(program, (node) => {
      const given = (node['arguments'] ?? []) as readonly unknown[];
      if (node.type === 'NewExpression' && errorClasses.has(nameOf(node['callee']))) take(given[0], given[1]);
      if (node.type === 'CallExpression') {
        const call = calls[nameOf(node['callee'])];
        for (const at of call?.texts ?? []) take(call!.code === null ? null : given[call!.code], given[at]);
      }
      if (node.type !== 'ObjectExpression') return;
      const own = new Map(
        (node['properties'] as readonly Node[])
          .filter(({ type }) => type === 'Property')
          .map((one) => [nameOf(one['key']), one['value']]),
      );
      // A level stands with a sentence that a finding takes over as it is.
      if (own.has('level') && !own.has('code')) take(null, own.get('sentence'));
      if (own.has('code')) for (const member of members) if (own.has(member)) take(own.get('code'), own.get(member));
    });
  }
  return found;
}
