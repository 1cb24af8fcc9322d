// Audit: is the log unaltered, what does it say, take it away. Only the pages in view are asked for, so that 10⁵ entries
// stay smooth. Design 9, "Audit"; design 1, journey 5.

import { Button, Select } from '@mantine/core';
import { useCallback, useState } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useAction, useBridge, useCall } from '../../bridge-provider.tsx';
import { Dialogue } from '../../ui/dialogue.tsx';
import { FileField } from '../../ui/file-picker.tsx';
import { CopyCode, Empty, Problem, Screen } from '../../ui/parts.tsx';
import { usePages } from '../../ui/use-pages.ts';
import { useNarrow } from '../../ui/use-narrow.ts';
import { VirtualTable } from '../../ui/virtual-table.tsx';
import { WorkProgress } from '../../ui/work-progress.tsx';
import { useWords } from '../../ui/words.tsx';

const filters: { readonly [name: string]: readonly string[] } = {
  all: [],
  consent: ['enrolled', 'contract-reviewed', 'consent-given', 'consent-withdrawn', 'consent-expired'],
  amounts: ['budget-reserved', 'budget-settled', 'settings-changed', 'policy-changed'],
  rounds: ['round-stage-reached', 'round-closed', 'round-aborted', 'model-pinned'],
  program: ['start', 'clean-stop', 'recovery', 'device-replaced', 'coordinator-key-changed', 'export-made'],
};
const filterNames = ['all', 'consent', 'amounts', 'rounds', 'program'] as const;
type FilterName = (typeof filterNames)[number];

export function Audit() {
  const { say } = useWords();
  const [filter, setFilter] = useState<FilterName>('all');
  const [exporting, setExporting] = useState(false);
  const session = useCall('session.get', {}, 'ledger.changed');
  const entries = session.value?.entries ?? 0;
  return (
    <Screen
      title={say('screen.audit')}
      aside={
        <Button disabled={entries === 0} onClick={() => setExporting(true)}>
          {say('audit.export')}
        </Button>
      }
    >
      <Problem error={session.error} />
      {session.value !== null && entries === 0 ? (
        <Empty>{say('audit.none')}</Empty>
      ) : (
        <>
          <Verdict entries={entries} />
          <div className="row row-end">
            <Select
              label={say('audit.filter')}
              data={filterNames.map((name) => ({ value: name, label: say(`audit.filter-${name}`) }))}
              value={filter}
              allowDeselect={false}
              onChange={(value) => setFilter(filterNames.find((name) => name === value) ?? 'all')}
            />
          </div>
          <Log key={filter} kinds={filters[filter]!} entries={entries} />
        </>
      )}
      <Export typed={session.value?.role !== 'steward'} opened={exporting} onClose={() => setExporting(false)} />
    </Screen>
  );
}

/** @param props.entries of the log now: what was written after a check is not in it. */
function Verdict({ entries }: { readonly entries: number }) {
  const { say, sayHost, day } = useWords();
  const verify = useAction('audit.verify');
  const [verdict, setVerdict] = useState<OutputOf<'audit.verify'> | null>(null);
  return (
    <section className="card" data-tone={verdict?.verified === false ? 'broken' : 'quiet'}>
      <div className="row row-end">
        <p role="status">
          {verdict === null ? (
            say('audit.not-yet')
          ) : verdict.verified ? (
            <strong>
              {say('audit.unaltered', {
                since: verdict.since === null ? '–' : day(verdict.since),
                entries: verdict.entries,
              })}
            </strong>
          ) : (
            <span className="level" data-level="fail">
              {say('audit.altered')} {sayHost(verdict.finding ?? '')}
            </span>
          )}
        </p>
        <Button variant="default" disabled={verify.busy} onClick={() => void verify.run({}).then(setVerdict)}>
          {say('audit.verify')}
        </Button>
      </div>
      {verdict === null || entries <= verdict.entries || !verdict.verified ? null : (
        <p className="muted">{say('audit.since-then', { count: entries - verdict.entries })}</p>
      )}
      <WorkProgress name="audit.verify" label={say('audit.verifying')} />
      <Problem error={verify.error} />
    </section>
  );
}

type Row = OutputOf<'audit.list'>['rows'][number];
/** Two lines of a sentence; three where the window is narrow. */
const [rowHeight, narrowRowHeight] = [56, 76];

/** A timeline: the day stands at its newest entry. */
function Log({ kinds, entries }: { readonly kinds: readonly string[]; readonly entries: number }) {
  const { say, sayHost, moment, day, shortDay, time, number } = useWords();
  const narrow = useNarrow();
  const bridge = useBridge();
  const [chosen, setChosen] = useState<Row | null>(null);
  const ask = useCallback(
    (from: number, count: number) => bridge.call('audit.list', { from, count, kinds: [...kinds] }),
    [bridge, kinds],
  );
  const pages = usePages(ask, entries);
  const cells = useCallback(
    (place: number) => {
      const one = pages.row(place);
      if (one === null) return null;
      const newer = place === 0 ? null : pages.row(place - 1);
      const same = newer !== null && day(newer.time) === day(one.time);
      return [
        <span key="when">
          {same ? null : <strong>{shortDay(one.time)} </strong>}
          {time(one.time)}
        </span>,
        <button type="button" className="plain-button" key="seq" onClick={() => setChosen(one)}>
          {number(one.seq)}
        </button>,
        sayHost(one.actor),
        sayHost(one.sentence),
      ];
    },
    [pages, sayHost, day, shortDay, time, number],
  );
  return (
    <>
      <VirtualTable
        label={say('audit.log')}
        rows={pages.total}
        rowHeight={narrow ? narrowRowHeight : rowHeight}
        columns={[
          { key: 'when', title: say('column.when'), width: '104px' },
          { key: 'seq', title: say('column.entry'), width: '64px' },
          { key: 'actor', title: say('column.who'), width: narrow ? '96px' : '128px' },
          { key: 'what', title: say('column.what'), width: '1fr' },
        ]}
        cells={cells}
        onView={pages.onView}
      />
      <Dialogue
        opened={chosen !== null}
        onClose={() => setChosen(null)}
        title={chosen === null ? '' : say('audit.entry', { seq: chosen.seq })}
        wide
      >
        {chosen === null ? null : (
          <>
            <p style={{ overflowWrap: 'anywhere' }}>{sayHost(chosen.sentence)}</p>
            <dl className="facts">
              <dt>{say('column.when')}</dt>
              <dd className="number">{moment(chosen.time)}</dd>
              <dt>{say('column.who')}</dt>
              <dd>{sayHost(chosen.actor)}</dd>
              <dt>{say('audit.hash')}</dt>
              <dd>
                <CopyCode code={chosen.hash} />
              </dd>
            </dl>
          </>
        )}
      </Dialogue>
    </>
  );
}

function Export(props: { readonly opened: boolean; readonly onClose: () => void; readonly typed: boolean }) {
  const { opened, onClose, typed } = props;
  const { say } = useWords();
  const run = useAction('audit.export');
  const [done, setDone] = useState<OutputOf<'audit.export'> | null>(null);
  const [folder, setFolder] = useState('');
  return (
    <Dialogue opened={opened} onClose={onClose} title={say('audit.export')}>
      <p>{say('export.inside')}</p>
      <p>{say('export.not-inside')}</p>
      <Problem error={run.error} />
      <WorkProgress name="audit.export" label={say('export.doing')} />
      {done === null ? (
        <>
          <FileField
            label={say('export.folder')}
            note={say('export.folder-note')}
            value={folder}
            onChange={setFolder}
            folder
            typed={typed}
          />
          <div className="row">
            <Button
              disabled={run.busy}
              onClick={() => void run.run(folder.trim() === '' ? {} : { folder: folder.trim() }).then(setDone)}
            >
              {say('export.do')}
            </Button>
          </div>
        </>
      ) : (
        <div className="notice stack" role="status">
          <p>{say('export.done', { entries: done.entries, count: done.files.length })}</p>
          <p className="code" style={{ overflowWrap: 'anywhere' }}>
            {done.folder}
          </p>
          <p>{say('export.check')}</p>
        </div>
      )}
    </Dialogue>
  );
}
