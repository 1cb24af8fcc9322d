// The records for a study: a file, what is in it, which column is which, which rows do not fit. The same on the study's page
// and on Data. Reading shows progress and can be cancelled; cells are shown only where the steward asks for the first rows.

import { Button } from '@mantine/core';
import { useCallback, useState } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useAction } from '../../bridge-provider.tsx';
import { FileField } from '../../ui/file-picker.tsx';
import { Problem } from '../../ui/parts.tsx';
import { VirtualTable } from '../../ui/virtual-table.tsx';
import { WorkProgress } from '../../ui/work-progress.tsx';
import { useWords } from '../../ui/words.tsx';
import { isPlain, noMapping } from './mapping-draft.ts';
import type { Mapping, StudyColumn } from './mapping-draft.ts';
import { MappingTable } from './mapping-table.tsx';

type Preview = OutputOf<'data.preview'>;
type Check = OutputOf<'data.check'>;

export type Records = {
  readonly path: string;
  readonly mapping: Mapping | null;
  /** Folder of the language model that the study adapts; empty where none is needed or named yet. */
  readonly checkpoint: string;
};

/** What a consent begins with. */
export const suggestedRecords = ({ suggestion }: OutputOf<'study.review'>): Records => ({
  path: suggestion.path ?? '',
  mapping: suggestion.mapping,
  checkpoint: '',
});

/** Nothing is missing that the reading needs. */
export const recordsNamed = ({ path, checkpoint }: Records, wanted: Wanted): boolean =>
  path !== '' && (wanted === null || checkpoint !== '');

/** As a call takes it. */
export const checkpointFolder = ({ checkpoint }: Records): string | null => (checkpoint === '' ? null : checkpoint);

type Wanted = OutputOf<'study.review'>['checkpoint'];

export type RecordsChooserProps = {
  readonly study: string;
  readonly columns: readonly StudyColumn[];
  /** The language model that the study adapts; null for tables. */
  readonly wanted: Wanted;
  readonly value: Records;
  readonly onChange: (records: Records) => void;
};

export function RecordsChooser({ study, columns, wanted, value, onChange }: RecordsChooserProps) {
  const { say, sayHost, sayError } = useWords();
  const [seen, setSeen] = useState<Preview | null>(null);
  const [checked, setChecked] = useState<Check | null>(null);
  const [changed, setChanged] = useState(false);
  const preview = useAction('data.preview');
  const check = useAction('data.check');
  const mapping = value.mapping ?? noMapping;
  const kept = (next: Mapping): Mapping | null => (isPlain(next) ? null : next);

  async function read(rows: number): Promise<void> {
    const { path } = value;
    const checkpoint = checkpointFolder(value);
    const ask = (tried: Mapping | null): ReturnType<typeof preview.run> =>
      preview.run({ study, path, mapping: tried, rows, checkpoint });
    setChecked(null);
    let used = value.mapping;
    let found = await ask(used);
    const proposed = found?.refusal?.code === 'column-missing' ? kept(found.proposal?.mapping ?? noMapping) : null;
    // Where the names differ, what is proposed is tried at once; every line of it is shown.
    if (used === null && proposed !== null) {
      used = proposed;
      onChange({ ...value, mapping: used });
      found = await ask(used);
    }
    if (found === null) return;
    setSeen(found);
    setChanged(false);
    if (found.fit?.refused === 0) setChecked(await check.run({ study, path, mapping: used, checkpoint }));
  }

  return (
    <div className="stack" style={{ gap: '16px' }}>
      <FileField
        label={say('consent.path')}
        note={say('consent.path-note')}
        value={value.path}
        onChange={(path) => {
          onChange({ ...value, path, mapping: null });
          setSeen(null);
          setChecked(null);
        }}
      />
      {wanted === null ? null : (
        <>
          <p>{say('checkpoint.wanted', { family: wanted.family, parameters: wanted.parameters, hash: wanted.hash })}</p>
          {wanted.source === null ? null : <p>{say('checkpoint.source', { source: wanted.source })}</p>}
          <FileField
            folder
            label={say('checkpoint.path')}
            note={say('checkpoint.path-note')}
            value={value.checkpoint}
            onChange={(checkpoint) => {
              onChange({ ...value, checkpoint });
              setSeen(null);
              setChecked(null);
            }}
          />
        </>
      )}
      <div className="row">
        <Button
          variant={seen === null || changed ? 'filled' : 'default'}
          disabled={!recordsNamed(value, wanted) || preview.busy || check.busy}
          onClick={() => void read(0)}
        >
          {say(changed ? 'records.check-again' : 'consent.check')}
        </Button>
        {seen === null || seen.firstRows.length > 0 ? null : (
          <Button variant="default" disabled={preview.busy || check.busy} onClick={() => void read(5)}>
            {say('records.first-rows')}
          </Button>
        )}
      </div>
      <WorkProgress name="data.preview" label={say('records.reading')} />
      <WorkProgress name="data.check" label={say('records.checking')} />
      <Problem error={preview.error ?? check.error} />
      {seen === null ? null : (
        <>
          <p className="muted">
            {seen.said.map(sayHost).join(' ')} {say('records.rows', { count: seen.rows })}
          </p>
          {seen.firstRows.length === 0 ? null : <FirstRows preview={seen} />}
          {seen.refusal === null ? null : <p className="problem">{sayError(seen.refusal)}</p>}
          <details open={seen.refusal !== null || value.mapping !== null}>
            <summary>{say(value.mapping === null ? 'records.columns-same' : 'records.columns-mapped')}</summary>
            <div style={{ marginTop: '8px' }}>
              <MappingTable
                columns={columns}
                preview={seen}
                mapping={mapping}
                onChange={(next) => {
                  onChange({ ...value, mapping: kept(next) });
                  setChanged(true);
                  setChecked(null);
                }}
              />
            </div>
          </details>
          {seen.fit === null ? null : <Fit fit={seen.fit} />}
        </>
      )}
      {checked === null ? null : <Checked check={checked} />}
    </div>
  );
}

function FirstRows({ preview }: { readonly preview: Preview }) {
  const { say, number } = useWords();
  return (
    <div className="wide" tabIndex={0} role="region" aria-label={say('records.first-rows')}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{say('column.line')}</th>
            {preview.columns.map(({ column }, place) => (
              // oxlint-disable-next-line react/no-array-index-key -- a file may have two columns of one name
              <th scope="col" key={place}>
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {preview.firstRows.map(({ line, cells }) => (
            <tr key={line}>
              <td className="amount">{number(line)}</td>
              {cells.map((cell, place) => (
                // oxlint-disable-next-line react/no-array-index-key -- cells have no other name than their place
                <td key={place} className="number">
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Fit({ fit }: { readonly fit: NonNullable<Preview['fit']> }) {
  const { say } = useWords();
  const { accepted, refused, dropped, problems, columnsDropped } = fit;
  return (
    <div className="stack">
      <p className="number">{say('records.fit', { accepted, refused, dropped })}</p>
      {columnsDropped.length === 0 ? null : (
        <p className="muted">{say('records.not-read', { columns: columnsDropped.join(', ') })}</p>
      )}
      {problems.length === 0 ? null : <Problems problems={problems} />}
    </div>
  );
}

const rowHeight = 36;

function Problems({ problems }: { readonly problems: NonNullable<Preview['fit']>['problems'] }) {
  const { say, sayHost, number } = useWords();
  const cells = useCallback(
    (row: number) => {
      const one = problems[row];
      return one === undefined ? null : [number(one.line), one.column, sayHost(one.problem)];
    },
    [problems, sayHost, number],
  );
  return (
    <VirtualTable
      label={say('check.problems', { count: problems.length })}
      rows={problems.length}
      rowHeight={rowHeight}
      columns={[
        { key: 'line', title: say('column.line'), width: '80px' },
        { key: 'column', title: say('column.column'), width: '200px' },
        { key: 'problem', title: say('column.problem'), width: '1fr' },
      ]}
      cells={cells}
    />
  );
}

function Checked({ check }: { readonly check: Check }) {
  const { say } = useWords();
  return (
    <div className="notice stack" role="status">
      <p>
        {say('check.counted', { from: check.from, to: check.to, unit: say(`units.${check.unit}`) })}{' '}
        {check.dropped === 0 ? null : say('check.dropped', { count: check.dropped })}
      </p>
      <p>{check.fits ? say('check.fits') : say('check.does-not-fit')}</p>
    </div>
  );
}
