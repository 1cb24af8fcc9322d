// Gives the screens their words and numbers in the person's language. Texts stand in words-<language>.ts and nowhere
// else; a missing one does not compile. Numbers show at most three significant digits (design 1, "Screens").

import { createContext, useContext, useEffect, useMemo, useState } from 'react';
import type { ReactNode } from 'react';
import { english } from './words-english.ts';
import type { WordKey, WordTable } from './words-english.ts';
import { french } from './words-french.ts';
import { german } from './words-german.ts';

export type Language = 'en' | 'de' | 'fr';
export const languages: { readonly [Code in Language]: { readonly name: string; readonly words: WordTable } } = {
  en: { name: 'English', words: english },
  de: { name: 'Deutsch', words: german },
  fr: { name: 'Français', words: french },
};

export type Words = {
  readonly language: Language;
  readonly setLanguage: (language: Language) => void;
  /** @param values stand where the text says {name}. */
  readonly say: (key: WordKey, values?: { readonly [name: string]: string | number }) => string;
  /** The text of a key that comes from the host; null where there is none. */
  readonly sayKnown: (prefix: string, name: string) => string | null;
  /** What the host says in English, in the person's language. */
  readonly sayHost: (text: string) => string;
  readonly sayError: (error: { readonly code: string; readonly message: string }) => string;
  readonly number: (value: number) => string;
  readonly percent: (share: number) => string;
  readonly day: (time: string) => string;
  /** The same, short enough for a column. */
  readonly shortDay: (time: string) => string;
  readonly moment: (time: string) => string;
  /** Of a day that is said beside it. */
  readonly time: (time: string) => string;
};

let host: typeof import('./host-sentences.ts') | null = null;

/** They are many, and no frame needs them: every screen waits for them. Before that the host is heard in its English. */
export async function loadHostSentences(): Promise<void> {
  host ??= await import('./host-sentences.ts');
}

const WordsContext = createContext<Words | null>(null);
const storageKey = 'consilience-language';

export function WordsProvider({ children }: { readonly children: ReactNode }) {
  const [language, setLanguage] = useState<Language>(firstLanguage);
  useEffect(() => {
    document.documentElement.lang = language;
    localStorage.setItem(storageKey, language);
  }, [language]);
  const words = useMemo(() => wordsOf(language, setLanguage), [language]);
  return <WordsContext value={words}>{children}</WordsContext>;
}

export function useWords(): Words {
  const words = useContext(WordsContext);
  if (words === null) throw new Error('useWords needs a WordsProvider around it');
  return words;
}

function firstLanguage(): Language {
  const wanted = localStorage.getItem(storageKey) ?? navigator.language.slice(0, 2);
  return wanted === 'de' || wanted === 'fr' ? wanted : 'en';
}

function wordsOf(language: Language, setLanguage: (language: Language) => void): Words {
  const { words } = languages[language];
  // British and Swiss people write dates and numbers in their own way.
  const locale = navigator.language.startsWith(language) ? navigator.language : language;
  const numbers = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });
  const wholes = new Intl.NumberFormat(locale);
  const percents = new Intl.NumberFormat(locale, { style: 'percent', maximumSignificantDigits: 3 });
  const days = new Intl.DateTimeFormat(locale, { dateStyle: 'long' });
  const shortDays = new Intl.DateTimeFormat(locale, { dateStyle: 'medium' });
  const times = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' });
  const moments = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });
  const number = (value: number): string => {
    if (value !== 0 && Math.abs(value) < 1e-3) return powerOfTen(value);
    return Number.isInteger(value) ? wholes.format(value) : numbers.format(value);
  };
  return {
    language,
    setLanguage,
    say: (key, values = {}) =>
      words[key].replaceAll(/\{(\w+)\}/g, (_whole, name: string) => {
        const value = values[name];
        return typeof value === 'number' ? number(value) : (value ?? `{${name}}`);
      }),
    sayKnown: (prefix, name) => (words as { readonly [key: string]: string })[`${prefix}.${name}`] ?? null,
    sayHost: (text) => host?.sayHostText(language, text) ?? text,
    sayError: (error) => host?.sayHostError(language, error) ?? error.message,
    number,
    percent: (share) => percents.format(share),
    day: (time) => days.format(new Date(time)),
    shortDay: (time) => shortDays.format(new Date(time)),
    moment: (time) => moments.format(new Date(time)),
    time: (time) => times.format(new Date(time)),
  };
}

/** 0.000001 as 10⁻⁶: nobody counts zeros. */
function powerOfTen(value: number): string {
  const [digits, exponent] = value.toExponential().split('e');
  const raised = [...exponent!.replace('+', '')]
    .map((sign) => (sign === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(sign)]))
    .join('');
  const front = Number(Number(digits).toPrecision(3));
  return front === 1 ? `10${raised}` : `${front}·10${raised}`;
}
