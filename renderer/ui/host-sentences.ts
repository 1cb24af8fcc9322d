// Says in the person's language what the host said. The host's own sentence is the key: its text without the parameters is
// looked up, and the parameters are set into the same sentence of the language. So the code, the log's own words and the
// command line have one English source, and a sentence without a translation fails a test (test/renderer/host-sentences).

import { dataSentences } from '../sentences/data.ts';
import { findingSentences } from '../sentences/findings.ts';
import { logSentences } from '../sentences/log.ts';
import { machineSentences } from '../sentences/machine.ts';
import { saidByCode } from '../sentences/protocol.ts';
import { refusalSentences } from '../sentences/refusals.ts';
import type { Sentence } from '../sentences/sentence.ts';

export { saidByCode };

type Language = 'en' | 'de' | 'fr';

export const hostSentences: readonly Sentence[] = [
  ...findingSentences,
  ...refusalSentences,
  ...dataSentences,
  ...machineSentences,
  ...logSentences,
];

type Known = {
  /** Text before the first parameter: what the sentence begins with. */
  readonly start: string;
  readonly names: readonly string[];
  /** Those in quotation marks: names from a file or a person, never a phrase of the host. */
  readonly quoted: ReadonlySet<string>;
  /** The whole text is this one sentence, or it goes on after a blank. */
  readonly whole: RegExp;
  readonly first: RegExp;
  readonly said: { readonly [Code in Language]: string };
  readonly fixed: number;
};

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');

const known: readonly Known[] = hostSentences
  .map(([host, english, german, french]): Known => {
    const parts = host.split(/\{\w+\}/);
    const pattern = parts.map(escaped).join('(.*?)');
    return {
      start: parts[0]!,
      names: [...host.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!),
      quoted: new Set([...host.matchAll(/["“]\{(\w+)\}["”]/g)].map((match) => match[1]!)),
      whole: new RegExp(`^${pattern}$`, 's'),
      first: new RegExp(`^${pattern} (?=\\S)`, 's'),
      said: { en: english === '' ? host : english, de: german, fr: french },
      fixed: parts.join('').length,
    };
  })
  // What says more of itself comes first: a sentence that is nearly all parameter fits nearly everything.
  .sort((left, right) => right.fixed - left.fixed);

/** A phrase among the parameters is said in the language too, so deep. */
const mostNested = 4;

/** null where the sentence is none that is known. */
export function sayHostText(language: Language, text: string, depth = 0): string | null {
  const fits = known.filter(({ start }) => text.startsWith(start));
  let whole: string | null = null;
  for (const one of fits) {
    const match = one.whole.exec(text);
    if (match === null || !worth(one)) continue;
    const all = filled(one, match, language, depth);
    // A parameter that holds the end of a sentence may be two sentences read as one.
    if (!match.slice(1).some((value) => /\. \S/.test(value))) return all;
    whole ??= all;
  }
  // Several sentences, one after another.
  for (const one of fits) {
    const match = one.first.exec(text);
    if (match === null || !worth(one)) continue;
    const rest = sayHostText(language, text.slice(match[0].length), depth);
    if (rest !== null) return `${filled(one, match, language, depth)} ${rest}`;
  }
  return whole;
}

/** Whether enough of it is fixed to be sure that it is this one. */
const worth = ({ fixed, names }: Known): boolean => names.length === 0 || fixed >= 2;

/** A number as the host writes it. */
const decimal = /^-?\d+\.\d+$/;

function filled({ names, quoted, said }: Known, match: RegExpExecArray, language: Language, depth: number): string {
  const values = new Map(names.map((name, at) => [name, match[at + 1]!]));
  return said[language].replaceAll(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values.get(name);
    if (value === undefined) return whole;
    if (language !== 'en' && decimal.test(value) && !quoted.has(name) && name !== 'version')
      return value.replace('.', ',');
    return depth < mostNested && !quoted.has(name) ? (sayHostText(language, value, depth + 1) ?? value) : value;
  });
}

/** An error of the host: its sentence where that is known, else what its code means; in English where neither is. */
export function sayHostError(
  language: Language,
  { code, message }: { readonly code: string; readonly message: string },
): string {
  return sayHostText(language, message) ?? saidByCode.get(code)?.[language].replace('{code}', code) ?? message;
}
