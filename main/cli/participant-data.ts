// `consilience participant data list | delete` and `consilience participant exclude`: what the institution's data used so
// far, the end of a dataset here, and the persons who object. The logic is in main/host.

import { excludePersons } from '../host/records/exclusion-list.ts';
import { deleteData, listData } from '../host/participant/data.ts';
import type { DataLineage } from '../host/participant/data.ts';
import { UsageError, requiredOption } from './command.ts';
import type { Invocation } from './command.ts';
import { keyOptions } from './key-options.ts';
import { percent, say } from './output.ts';

export async function data(files: readonly string[], invocation: Invocation): Promise<0 | 1> {
  const { options } = invocation;
  const [what, ...rest] = files;
  if (rest.length > 0 || (what !== 'list' && what !== 'delete'))
    throw new UsageError('participant data knows list and delete.');
  const home = requiredOption(options, 'home');
  const keys = keyOptions(options);
  if (what === 'list') {
    const lineages = await listData(home, keys);
    const report = lineages.map(({ datasets, unit, readings }) => ({
      datasets,
      unit,
      ceilings: readings.map(({ ceiling, share }) => ({ epsilon: ceiling.epsilon, delta: ceiling.delta, share })),
    }));
    return say(
      invocation,
      { lineages: report },
      lineages.length === 0 ? ['Nothing was imported here yet.'] : lineages.map(lineageSentence),
    );
  }
  const deleted = await deleteData(home, keys, requiredOption(options, 'dataset'));
  const { dataset, files: paths, studies } = deleted;
  return say(invocation, deleted, [
    `The dataset "${dataset}" is no longer used here; ${studies.length} ${studies.length === 1 ? 'study' : 'studies'} cannot train with it.`,
    'The privacy log and what was used stay: the same persons under any name go on from there.',
    ...paths.map((path) => `The records file itself is yours to remove: ${path}`),
  ]);
}

function lineageSentence({ datasets, unit, readings }: DataLineage): string {
  const names = datasets.map((name) => `"${name}"`).join(', ');
  const uses = readings.map(({ ceiling, share }) =>
    ceiling.epsilon === null || share === null
      ? 'nothing bounds what was used'
      : `${percent(share)} of ε = ${ceiling.epsilon} at δ = ${ceiling.delta} is used`,
  );
  return `${names}, per ${unit}: ${uses.length === 0 ? 'no allowance is set' : uses.join('; ')}.`;
}

export async function exclude(invocation: Invocation): Promise<0 | 1> {
  const { options } = invocation;
  const added = await excludePersons({
    home: requiredOption(options, 'home'),
    keys: keyOptions(options),
    path: requiredOption(options, 'file'),
  });
  const { from, to } = added.count;
  return say(invocation, added, [
    `A list of ${from}–${to} persons who object is kept as keyed hashes; nobody is taken off it again.`,
    added.by === 'running'
      ? 'The running participant takes it up before its next training: from the next round on none of them is sampled.'
      : 'From the next round on none of them is sampled, in any study.',
  ]);
}
