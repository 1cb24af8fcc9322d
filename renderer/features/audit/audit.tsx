// Audit: is the log unaltered, what does it say, take it away. Only the pages in view are asked for, so that 10⁵ entries
// stay smooth. Design 9, "Audit"; design 1, journey 5.

import { Button, Modal, Select } from '@mantine/core';
import { useCallback, useEffect, useRef, useState } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useAction, useBridge, useCall } from '../../bridge-provider.tsx';
import { CopyCode, Empty, Problem, Screen } from '../../ui/parts.tsx';
import { VirtualTable } from '../../ui/virtual-table.tsx';
import { useWords } from '../../ui/words.tsx';

const filters: { readonly [name: string]: readonly string[] } = {
  all: [],
  consent: ['enrolled', 'contract-reviewed', 'consent-given', 'consent-withdrawn', 'consent-expired'],
  amounts: ['budget-reserved', 'budget-settled', 'settings-changed', 'policy-changed'],
  rounds: ['round-stage-reached', 'round-closed', 'round-aborted', 'model-pinned'],
  program: ['start', 'clean-stop', 'recovery', 'device-replaced', 'export-made'],
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
          <Verdict />
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
      <Export opened={exporting} onClose={() => setExporting(false)} />
    </Screen>
  );
}

function Verdict() {
  const { say, day } = useWords();
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
              {say('audit.altered')} {verdict.finding}
            </span>
          )}
        </p>
        <Button variant="default" loading={verify.busy} onClick={() => void verify.run({}).then(setVerdict)}>
          {say('audit.verify')}
        </Button>
      </div>
      <Problem error={verify.error} />
    </section>
  );
}

type LogPage = OutputOf<'audit.list'>;
const pageSize = 200;
const rowHeight = 56;

function Log({ kinds, entries }: { readonly kinds: readonly string[]; readonly entries: number }) {
  const { say, moment, number } = useWords();
  const bridge = useBridge();
  const [total, setTotal] = useState(0);
  const [pages, setPages] = useState<ReadonlyMap<number, LogPage['rows']>>(new Map());
  const [chosen, setChosen] = useState<LogPage['rows'][number] | null>(null);
  const asked = useRef(new Set<number>());
  const view = useRef({ first: 0, last: 0 });

  const ask = useCallback(
    (page: number): void => {
      if (asked.current.has(page)) return;
      asked.current.add(page);
      void bridge.call('audit.list', { from: page * pageSize, count: pageSize, kinds: [...kinds] }).then((reply) => {
        if (!reply.ok) return void asked.current.delete(page);
        setTotal(reply.value.total);
        setPages((before) => new Map(before).set(page, reply.value.rows));
      });
    },
    [bridge, kinds],
  );
  const onView = useCallback(
    (first: number, last: number): void => {
      view.current = { first, last };
      for (let page = Math.floor(first / pageSize); page <= Math.floor(last / pageSize); page++) ask(page);
    },
    [ask],
  );
  // The newest come first, so every new entry moves all places: what is in view is asked for again.
  useEffect(() => {
    asked.current.clear();
    onView(view.current.first, view.current.last);
  }, [entries, onView]);

  const cells = useCallback(
    (row: number) => {
      const one = pages.get(Math.floor(row / pageSize))?.[row % pageSize];
      if (one === undefined) return null;
      return [
        <button type="button" className="plain-button" key="seq" onClick={() => setChosen(one)}>
          {number(one.seq)}
        </button>,
        moment(one.time),
        one.actor,
        one.sentence,
      ];
    },
    [pages, moment, number],
  );
  return (
    <>
      <VirtualTable
        label={say('audit.log')}
        rows={total}
        rowHeight={rowHeight}
        columns={[
          { key: 'seq', title: say('column.entry'), width: '64px' },
          { key: 'time', title: say('column.when'), width: '196px' },
          { key: 'actor', title: say('column.who'), width: '128px' },
          { key: 'what', title: say('column.what'), width: '1fr' },
        ]}
        cells={cells}
        onView={onView}
      />
      <Modal
        opened={chosen !== null}
        onClose={() => setChosen(null)}
        title={chosen === null ? '' : say('audit.entry', { seq: chosen.seq })}
        closeButtonProps={{ 'aria-label': say('close') }}
        centered
        size="lg"
      >
        {chosen === null ? null : (
          <div className="stack" style={{ gap: '16px' }}>
            <p style={{ overflowWrap: 'anywhere' }}>{chosen.sentence}</p>
            <dl className="facts">
              <dt>{say('column.when')}</dt>
              <dd className="number">{moment(chosen.time)}</dd>
              <dt>{say('column.who')}</dt>
              <dd>{chosen.actor}</dd>
              <dt>{say('audit.hash')}</dt>
              <dd>
                <CopyCode code={chosen.hash} />
              </dd>
            </dl>
          </div>
        )}
      </Modal>
    </>
  );
}

function Export({ opened, onClose }: { readonly opened: boolean; readonly onClose: () => void }) {
  const { say } = useWords();
  const run = useAction('audit.export');
  const [done, setDone] = useState<OutputOf<'audit.export'> | null>(null);
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={say('audit.export')}
      closeButtonProps={{ 'aria-label': say('close') }}
      centered
    >
      <div className="stack" style={{ gap: '16px' }}>
        <p>{say('export.inside')}</p>
        <p>{say('export.not-inside')}</p>
        <Problem error={run.error} />
        {done === null ? (
          <div className="row">
            <Button loading={run.busy} onClick={() => void run.run({}).then(setDone)}>
              {say('export.do')}
            </Button>
          </div>
        ) : (
          <div className="notice stack" role="status">
            <p>{say('export.done', { entries: done.entries, count: done.files.length })}</p>
            <p className="code" style={{ overflowWrap: 'anywhere' }}>
              {done.folder}
            </p>
            <p>{say('export.check')}</p>
          </div>
        )}
      </div>
    </Modal>
  );
}
