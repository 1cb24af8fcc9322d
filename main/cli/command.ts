// What every subcommand of `consilience` is: its words, its options, its run. Exit codes: 0 ok, 1 refused or a failed
// check, 2 usage. Every command has --json and --help with an example (design 1, "Command line").

import { parseArgs } from 'node:util';
import { ConsilienceError } from '../../app/errors.ts';

export type OptionSpec = {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  /** What stands for the value in the help, e.g. FILE. */
  readonly value?: string;
  readonly help: string;
};

export type OptionValues = { readonly [name: string]: string | boolean | readonly (string | boolean)[] | undefined };

export type Invocation = {
  readonly positionals: readonly string[];
  readonly options: OptionValues;
  readonly json: boolean;
  readonly out: (text: string) => void;
  readonly warn: (text: string) => void;
};

export type Command = {
  readonly name: string;
  readonly summary: string;
  /** Without the leading "consilience ". */
  readonly usage: readonly string[];
  /** A whole command line that works. */
  readonly example: string;
  readonly options: { readonly [name: string]: OptionSpec };
  run(invocation: Invocation): Promise<0 | 1>;
};

/** A mistake in the command line itself: exit code 2. */
export class UsageError extends ConsilienceError {
  constructor(sentence: string) {
    super('usage', sentence);
  }
}

export function stringOption(options: OptionValues, name: string): string | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw new UsageError(`--${name} takes one value.`);
  return value;
}

export function requiredOption(options: OptionValues, name: string): string {
  const value = stringOption(options, name);
  if (value === undefined) throw new UsageError(`--${name} is missing.`);
  return value;
}

export function listOption(options: OptionValues, name: string): readonly string[] {
  const value = options[name];
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : [value]).map(String);
}

/** A number option within [least, most]; `whole` for integers. */
export function numberOption(
  options: OptionValues,
  name: string,
  range: { readonly least: number; readonly most: number; readonly whole?: boolean; readonly aboveLeast?: boolean },
): number | undefined {
  const text = stringOption(options, name);
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const kind = range.whole === true ? 'a whole number' : 'a number';
  const from = range.aboveLeast === true ? `above ${range.least}` : `from ${range.least}`;
  const ok =
    Number.isFinite(value) &&
    (range.aboveLeast === true ? value > range.least : value >= range.least) &&
    value <= range.most &&
    (range.whole !== true || Number.isSafeInteger(value));
  if (!ok) throw new UsageError(`--${name} must be ${kind} ${from} to ${range.most}; it was "${text.slice(0, 40)}".`);
  return value;
}

/** "NAME=FILE" options such as --silo. @throws UsageError on a missing "=" or a name given twice. */
export function namedFiles(options: OptionValues, name: string): ReadonlyMap<string, string> {
  const out = new Map<string, string>();
  for (const item of listOption(options, name)) {
    const at = item.indexOf('=');
    if (at < 1 || at === item.length - 1)
      throw new UsageError(`--${name} takes NAME=FILE; it was "${item.slice(0, 80)}".`);
    const key = item.slice(0, at);
    if (out.has(key)) throw new UsageError(`--${name} names "${key}" twice.`);
    out.set(key, item.slice(at + 1));
  }
  return out;
}

export function helpText(command: Command): string {
  const specs: Command['options'] = {
    ...command.options,
    json: { type: 'boolean', help: 'Print one JSON object and nothing else.' },
    help: { type: 'boolean', help: 'Print this text.' },
  };
  const rows = Object.entries(specs).map(([name, spec]): [string, string] => [
    `  --${name}${spec.type === 'string' ? ` ${spec.value ?? 'VALUE'}` : ''}`,
    spec.help,
  ]);
  const width = Math.max(...rows.map(([left]) => left.length));
  return [
    command.summary,
    '',
    'Usage:',
    ...command.usage.map((line) => `  consilience ${line}`),
    '',
    'Options:',
    ...rows.map(([left, right]) => `${left.padEnd(width)}  ${right}`),
    '',
    'Example:',
    `  ${command.example}`,
    '',
    'Exit codes: 0 ok, 1 refused or a failed check, 2 usage.',
    '',
  ].join('\n');
}

/**
 * What is said of a defect. Never the error's own message: that of a library may quote what it was reading.
 * @param args of the command line, for --json
 */
export function tellUnexpected(
  error: unknown,
  args: readonly string[],
  out: (text: string) => void,
  warn: (text: string) => void,
): void {
  const { name, stack } = error instanceof Error ? error : { name: 'error', stack: '' };
  const sentence = `An unexpected ${name} ended the command: a defect of the program. What is on disk stays as it is, and what was sent was charged in the privacy log before. Run the command again, and report this if it comes back.`;
  if (args.includes('--json')) out(`${JSON.stringify({ error: { code: 'unexpected', message: sentence } })}\n`);
  const frames = (stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  warn([`consilience: ${sentence}`, ...frames, ''].join('\n'));
}

/** Parses, runs, prints errors as a sentence (or {error:{code,message}} with --json) and returns the exit code. */
export async function runCommand(
  command: Command,
  args: readonly string[],
  out: (text: string) => void,
  warn: (text: string) => void,
): Promise<0 | 1 | 2> {
  let json = args.includes('--json');
  try {
    let parsed: ReturnType<typeof parseArgs>;
    try {
      const options = Object.fromEntries(
        Object.entries(command.options).map(([name, spec]) => [
          name,
          { type: spec.type, ...(spec.multiple === true ? { multiple: true } : {}) },
        ]),
      );
      parsed = parseArgs({
        args: [...args],
        allowPositionals: true,
        options: { ...options, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
      });
    } catch (error) {
      throw new UsageError(`${(error as Error).message} See: consilience ${command.name} --help`);
    }
    if (parsed.values['help'] === true) {
      out(helpText(command));
      return 0;
    }
    json = parsed.values['json'] === true;
    return await command.run({ positionals: parsed.positionals, options: parsed.values, json, out, warn });
  } catch (error) {
    if (!(error instanceof ConsilienceError)) throw error;
    if (json) out(`${JSON.stringify({ error: { code: error.code, message: error.message } })}\n`);
    else warn(`consilience ${command.name}: ${error.message}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}
