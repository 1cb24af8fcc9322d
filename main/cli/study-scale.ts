// What `study new` takes for studies of many institutions, slow ones, or regions: who is expected, turns, the pace of stages,
// regions and their relays. Regions and slow institutions stand in the terms by roster position, so they are given by
// name here and the draft holds a place for each name, which its enrolment fills. Design 3, "Trees"; design 6.

import { RefusalError } from '../../app/errors.ts';
import { regionFindings } from '../../app/review/region-rules.ts';
import { selectionFindings } from '../../app/review/selection-rules.ts';
import type { ContractDraft } from '../../app/study/contract.ts';
import { listOption, numberOption, stringOption, UsageError } from './command.ts';
import type { Command, OptionValues } from './command.ts';
import { readText } from './study-file.ts';

export const scaleOptions: Command['options'] = {
  institutions: {
    type: 'string',
    value: 'NAME,NAME…',
    help: 'Who is expected, in the roster’s order; each enrolment fills its place. Regions name theirs themselves.',
  },
  selection: {
    type: 'string',
    value: 'N',
    help: 'Ask N institutions in each round, by fair turns; hides nobody, ε stays. "none" takes it out.',
  },
  slow: {
    type: 'string',
    value: 'NAME,NAME…',
    help: 'Expected institutions that are slow; they have turns of their own.',
  },
  'slow-per-round': { type: 'string', value: 'N', help: 'How many slow ones are asked in each round; 1 unless told.' },
  pace: {
    type: 'string',
    value: 'N',
    help: 'End a stage soon after N institutions are done: the rest get as long again. "none" takes it out.',
  },
  'pace-patience': {
    type: 'string',
    value: 'X',
    help: 'The rest get X times as long as these N took, in all; 2 unless told.',
  },
  'pace-least': { type: 'string', value: 'SECONDS', help: 'No stage is shorter than this; 60 unless told.' },
  region: {
    type: 'string',
    multiple: true,
    value: 'REGION=NAME,NAME…',
    help: 'A region and its institutions; two at least, every institution in one. "none" takes all regions out.',
  },
  relay: {
    type: 'string',
    multiple: true,
    value: 'REGION=URL',
    help: 'Where that region’s members reach their relay.',
  },
  'relay-key': {
    type: 'string',
    multiple: true,
    value: 'REGION=KEY',
    help: 'What "consilience relay key" printed for it.',
  },
  'relay-operator': { type: 'string', multiple: true, value: 'REGION=TEXT', help: 'Who runs that relay.' },
  'relay-authority': { type: 'string', multiple: true, value: 'REGION=FILE', help: 'PEM of that relay’s private CA.' },
  opening: {
    type: 'string',
    value: 'WHAT',
    help: 'root (default): nothing opens below the root. region: each region’s sum opens too, which takes more noise.',
  },
};

/**
 * The draft with what the options say; regions and slow institutions of an earlier draft are left behind with its roster.
 * @throws UsageError; UnavailableError for a file.
 */
export async function withScale(draft: ContractDraft, options: OptionValues): Promise<ContractDraft> {
  const expected = namesOf(options, 'institutions');
  const regions = regionLists(options);
  const names = [...new Set([...expected, ...(regions ?? []).flatMap(({ members }) => members)])];
  if (draft.roster.length > 0 && names.length > 0)
    throw new UsageError('The draft has a roster already; name the expected institutions in a new one.');
  // Until it enrols: its own name stands for its organisation, and one unit for how many it has.
  const roster =
    names.length === 0 ? draft.roster : names.map((name) => ({ name, organisation: name, nominalUnits: 1 }));
  const position = (name: string, option: string): number => {
    const at = names.indexOf(name);
    if (at < 0) throw new UsageError(`--${option} names "${name.slice(0, 64)}", which --institutions does not.`);
    return at;
  };
  const { selection: oldSelection, pace: oldPace, ...schedule } = draft.schedule;
  const kept = oldSelection === undefined || oldSelection.slow.length > 0 ? undefined : oldSelection;
  const selection = selectionOption(options, (name) => position(name, 'slow'), kept);
  const pace = paceOption(options, oldPace);
  const { regions: _left, ...rest } = draft;
  return {
    ...rest,
    roster,
    schedule: {
      ...schedule,
      ...(selection === undefined ? {} : { selection }),
      ...(pace === undefined ? {} : { pace }),
    },
    ...(regions === null ? {} : { regions: await regionsOption(options, regions, (name) => position(name, 'region')) }),
  };
}

/** @throws RefusalError with the code of the first finding that the check would refuse, once it is known who is expected. */
export function requireScalable(draft: ContractDraft): void {
  if (draft.roster.length === 0) return;
  const [broken] = [...selectionFindings(draft), ...regionFindings(draft)].filter(({ level }) => level === 'refuse');
  if (broken !== undefined)
    throw new RefusalError(broken.code, `${broken.reason} ${broken.repair} Nothing was written.`);
}

type Selection = ContractDraft['schedule']['selection'];
type Pace = ContractDraft['schedule']['pace'];

function selectionOption(options: OptionValues, position: (name: string) => number, kept: Selection): Selection {
  const given = belonging(options, 'selection', ['slow', 'slow-per-round']);
  if (given === undefined) return kept;
  if (given === 'none') return undefined;
  const institutions = numberOption(options, 'selection', { least: 3, most: 500, whole: true })!;
  const slow = namesOf(options, 'slow').map(position);
  const perRound = numberOption(options, 'slow-per-round', { least: 0, most: 500, whole: true });
  return {
    institutions,
    slow: [...slow].sort((left, right) => left - right),
    slowPerRound: perRound ?? Math.min(1, slow.length),
  };
}

function paceOption(options: OptionValues, kept: Pace): Pace {
  const given = belonging(options, 'pace', ['pace-patience', 'pace-least']);
  if (given === undefined) return kept;
  if (given === 'none') return undefined;
  return {
    enough: numberOption(options, 'pace', { least: 3, most: 500, whole: true })!,
    patience: numberOption(options, 'pace-patience', { least: 1, most: 100 }) ?? 2,
    leastSeconds: numberOption(options, 'pace-least', { least: 0, most: 604_800, whole: true }) ?? 60,
  };
}

type RegionList = { readonly name: string; readonly members: readonly string[] };

/** Null: no regions are asked for. */
function regionLists(options: OptionValues): readonly RegionList[] | null {
  const lists = listOption(options, 'region');
  const further = ['relay', 'relay-key', 'relay-operator', 'relay-authority', 'opening'];
  const alone = further.filter((name) => options[name] !== undefined);
  const none = lists.length === 1 && lists[0] === 'none';
  if (lists.length === 0 || none) {
    if (alone.length > 0) throw new UsageError(`--${alone.join(', --')} says more of --region, which is missing.`);
    return null;
  }
  if (lists.length < 2) throw new UsageError('--region is given once; there are two regions at least.');
  return [...valuesByRegion(options, 'region')].map(([name, text]) => ({ name, members: splitNames(text, 'region') }));
}

async function regionsOption(
  options: OptionValues,
  lists: readonly RegionList[],
  position: (name: string) => number,
): Promise<NonNullable<ContractDraft['regions']>> {
  const opening = stringOption(options, 'opening') ?? 'root';
  if (opening !== 'root' && opening !== 'region') throw new UsageError('--opening is root or region.');
  const named = new Set(lists.map(({ name }) => name));
  const valuesOf = (option: string): ReadonlyMap<string, string> => {
    const values = valuesByRegion(options, option);
    for (const name of values.keys())
      if (!named.has(name)) throw new UsageError(`--${option} names "${name.slice(0, 64)}", which is no --region.`);
    return values;
  };
  const [addresses, keys, operators, authorities] = ['relay', 'relay-key', 'relay-operator', 'relay-authority'].map(
    valuesOf,
  ) as [
    ReadonlyMap<string, string>,
    ReadonlyMap<string, string>,
    ReadonlyMap<string, string>,
    ReadonlyMap<string, string>,
  ];
  const needed = (values: ReadonlyMap<string, string>, option: string, name: string): string => {
    const value = values.get(name);
    if (value === undefined) throw new UsageError(`--${option} ${name}=… is missing.`);
    return value;
  };
  const relays = [];
  for (const { name, members } of lists) {
    const authority = authorities.get(name);
    relays.push({
      name,
      operator: needed(operators, 'relay-operator', name),
      address: needed(addresses, 'relay', name),
      key: needed(keys, 'relay-key', name),
      certificateAuthority: authority === undefined ? null : await readText(authority),
      members: members.map(position).sort((left, right) => left - right),
    });
  }
  return { opening, relays };
}

/** "REGION=VALUE" options. @throws UsageError on a missing "=" or a region named twice. */
function valuesByRegion(options: OptionValues, option: string): ReadonlyMap<string, string> {
  const out = new Map<string, string>();
  for (const item of listOption(options, option)) {
    const at = item.indexOf('=');
    if (at < 1 || at === item.length - 1)
      throw new UsageError(`--${option} takes REGION=…; it was "${item.slice(0, 80)}".`);
    const name = item.slice(0, at);
    if (out.has(name)) throw new UsageError(`--${option} names "${name.slice(0, 64)}" twice.`);
    out.set(name, item.slice(at + 1));
  }
  return out;
}

function namesOf(options: OptionValues, option: string): readonly string[] {
  const text = stringOption(options, option);
  return text === undefined ? [] : splitNames(text, option);
}

function splitNames(text: string, option: string): readonly string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('') || new Set(names).size < names.length)
    throw new UsageError(`--${option} takes names with commas between them, each once; it was "${text.slice(0, 80)}".`);
  return names;
}

/** What the option says; what only it needs may not stand alone, nor beside its "none". */
function belonging(options: OptionValues, name: string, details: readonly string[]): string | undefined {
  const given = stringOption(options, name);
  const alone = details.filter((detail) => options[detail] !== undefined);
  if (alone.length > 0 && (given === undefined || given === 'none'))
    throw new UsageError(`--${alone.join(', --')} says more of --${name}, which needs a value for it.`);
  return given;
}
