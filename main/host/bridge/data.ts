// The calls about records: preview and check in a thread of their own, what was prepared for a study, datasets with their
// versions, persons who object, the own-site baseline. Nothing here agrees to anything. Design 1, journey 2 and "Data".

import type { Handlers, OutputOf } from '../../../app/bridge.ts';
import type { dataCalls } from '../../../app/bridge/data.ts';
import { knownLineages } from '../records/dataset-lineage.ts';
import { datasetStanding } from './budget.ts';
import { keepBaseline, keepDraft } from './drafts.ts';
import { listFiles } from './files.ts';
import type { KnownStudy } from './studies.ts';
import { actorOf, termsOf } from './study-calls.ts';
import { recordsPointer } from '../records/records-copies.ts';
import type { HostParts } from './host.ts';
import { checkApart, previewApart } from '../import/apart.ts';
import { countBucket, dataEnded } from '../participant/dataset.ts';

type Listed = OutputOf<'data.list'>[number];
type Body = { readonly [key: string]: unknown };

const mostProblemsShown = 50;

export function dataHandlers(parts: HostParts): Pick<Handlers, keyof typeof dataCalls> {
  const { options, studies, runs, thread, reader, view, works, changed } = parts;
  const { home } = options;

  return {
    'file.list': ({ folder }) => listFiles(folder),
    'data.preview': async ({ study, path, mapping, rows, checkpoint }) => {
      const seen = await works.run('data.preview', async (tools) => {
        const table = study === null ? null : termsOf(await studies.find(study)).contract.task.table;
        return previewApart({ path, table, mapping, firstRows: rows, checkpoint: checkpoint ?? null }, tools);
      });
      return {
        format: seen.format,
        said: [...seen.said],
        rows: seen.rows,
        columns: seen.columns.map(({ column, kind, filled, missing }) => ({ column, kind, filled, missing })),
        firstRows: seen.firstRows.map(({ line, cells }) => ({ line, cells: cells.map(String) })),
        fit:
          seen.fit === null
            ? null
            : { ...seen.fit, problems: [...seen.fit.problems], columnsDropped: [...seen.fit.columnsDropped] },
        refusal: seen.refusal,
        proposal:
          seen.proposal === null ? null : { mapping: seen.proposal.mapping, columns: [...seen.proposal.columns] },
      };
    },
    'data.check': async ({ study: name, path, mapping = null, checkpoint = null }) => {
      const study = await studies.find(name);
      const { contract } = termsOf(study);
      const { unit, person } = contract.training;
      const { table } = contract.task;
      const found = await works.run('data.check', (tools) =>
        checkApart({ path, table, mapping, unit, person, checkpoint }, tools),
      );
      const agreed = study.enrolment.nominalUnits;
      return {
        ...countBucket(found.units),
        unit,
        agreed,
        fits: found.units > 0 && found.units <= agreed && found.problemCount === 0,
        dropped: found.dropped,
        problemCount: found.problemCount,
        problems: found.problems.slice(0, mostProblemsShown),
      };
    },
    'data.keep': async ({ study, ...draft }) => {
      await studies.find(study);
      await keepDraft(home, study, draft);
      await changed('study.changed');
      return {};
    },
    'data.list': async () => listDatasets(parts, await studies.list()),
    'data.delete': async ({ dataset }, session) => {
      const deleted = await runs.exclusive(() => thread.ask('deleteData', { dataset, actor: actorOf(session) }));
      await changed('study.changed');
      return { files: [...deleted.files], studies: deleted.studies.length };
    },
    'exclusion.list': async () =>
      view
        .ofKind('exclusion-list-loaded')
        .map(({ entry }) => {
          const body: Body = entry.body;
          return { seq: entry.seq, time: entry.time, from: Number(body['countFrom']), to: Number(body['countTo']) };
        })
        .reverse(),
    'exclusion.add': async ({ path }, session) => {
      const { count } = await runs.exclusive(() => thread.ask('exclude', { path, actor: actorOf(session) }));
      await changed('study.changed');
      return count;
    },
    'study.baseline': async ({ study: name, path, mapping, testPath }) => {
      const terms = termsOf(await studies.find(name));
      const { task } = terms.contract;
      const measured = await works.run('study.baseline', async (tools) => {
        const joint = await runs.exclusive(() => thread.ask('jointModel', { study: terms.hash }));
        const asked = { study: terms.hash, task, path, mapping, testPath, joint: joint?.parameters ?? null };
        const found = await reader.ask('baseline', asked, tools);
        return {
          measured: new Date().toISOString(),
          ownFile: testPath !== null,
          own: found.own,
          joint: found.joint,
          jointRounds: joint?.rounds ?? 0,
        };
      });
      await keepBaseline(home, name, measured);
      await changed('study.changed');
      return measured;
    },
  };
}

async function listDatasets({ options, view, book }: HostParts, known: readonly KnownStudy[]): Promise<Listed[]> {
  const budget = await book.standings();
  const lineages = knownLineages(view.ofKind('dataset-imported'));
  const byName = new Map<string, Listed>();
  const amounts = new Map<string, number>();
  const titleOf = (hash: string): string =>
    known.find((one) => one.terms?.hash === hash)?.terms?.contract.title ?? hash.slice(0, 8);
  for (const { entry } of view.ofKind('budget-reserved')) {
    const name = String((entry.body as Body)['dataset']);
    amounts.set(name, (amounts.get(name) ?? 0) + 1);
  }
  const changes = [...view.ofKind('dataset-imported'), ...view.ofKind('settings-changed')];
  for (const { entry } of changes.sort((left, right) => left.entry.seq - right.entry.seq)) {
    const body: Body = entry.body;
    const name = String(body['dataset']);
    const before = byName.get(name);
    if (entry.kind === 'settings-changed' && body['setting'] === dataEnded && before !== undefined)
      byName.set(name, { ...before, forgotten: true, path: null, encrypted: false });
    if (entry.kind !== 'dataset-imported') continue;
    const hash = String(body['study']);
    const title = titleOf(hash);
    const pointer = await recordsPointer(options.home, hash);
    const reading = datasetStanding(budget, name);
    const count = { from: Number(body['countFrom']), to: Number(body['countTo']) };
    byName.set(name, {
      name,
      path: pointer?.path ?? null,
      encrypted: pointer !== null && pointer.copy !== null,
      imported: entry.time,
      ...count,
      unit: body['unit'] as Listed['unit'],
      studies: [...(before?.studies.filter((one) => one.hash !== hash) ?? []), { hash, title }],
      epsilon: reading?.ceiling.epsilon ?? null,
      share: reading === null || reading.share === null ? null : Math.min(reading.share, 1e6),
      persons: body['persons'] === true,
      sharesWith:
        lineages.find(({ datasets }) => datasets.includes(name))?.datasets.filter((one) => one !== name) ?? [],
      forgotten: false,
      amounts: 0,
      versions: [
        {
          seq: entry.seq,
          time: entry.time,
          study: title,
          ...count,
          digest: String(body['digest']),
          mapping: typeof body['mapping'] === 'string' ? body['mapping'] : null,
        },
        ...(before?.versions ?? []),
      ],
    });
  }
  return Array.from(byName.values(), (one) => ({ ...one, amounts: amounts.get(one.name) ?? 0 }));
}
