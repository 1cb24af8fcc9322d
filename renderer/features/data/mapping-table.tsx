// Which column of the file is which of the study, one line each, with what has to be done to its cells: nothing, a unit, a
// list of codes, a date. Every line is the steward's to confirm. Design 1, journey 2; docs/IMPORT.md.

import { Checkbox, NumberInput, Select, TextInput, Textarea } from '@mantine/core';
import { useState } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useWords } from '../../ui/words.tsx';
import type { Words } from '../../ui/words.tsx';
import {
  changeOf,
  codesText,
  sourceOf,
  withChange,
  withCodes,
  withDate,
  withSource,
  withUnit,
} from './mapping-draft.ts';
import type { Change, DateRule, Mapping, StudyColumn } from './mapping-draft.ts';

type Preview = OutputOf<'data.preview'>;
type Edit = { readonly mapping: Mapping; readonly onChange: (mapping: Mapping) => void };

export function MappingTable(props: Edit & { readonly columns: readonly StudyColumn[]; readonly preview: Preview }) {
  const { say, number } = useWords();
  const { columns, preview, mapping, onChange } = props;
  const names = preview.columns.map(({ column }) => column);
  return (
    <div className="stack" style={{ gap: '16px' }}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{say('column.study-column')}</th>
            <th scope="col">{say('column.file-column')}</th>
            <th scope="col">{say('column.holds')}</th>
            <th scope="col">{say('column.change')}</th>
          </tr>
        </thead>
        <tbody>
          {columns.map((column) => {
            const source = sourceOf(mapping, column.column, names);
            const found = preview.columns.find((one) => one.column === source);
            return (
              <tr key={column.column} data-missing={source === null}>
                <th scope="row">
                  <span className="mapping-name">
                    <span className="code">{column.column}</span>
                    <span className="muted small">{wanted(column, say, number)}</span>
                  </span>
                </th>
                <td>
                  <Select
                    aria-label={say('mapping.source-of', { column: column.column })}
                    placeholder={say('mapping.none')}
                    data={[...new Set(names)]}
                    value={source}
                    searchable={names.length > 12}
                    allowDeselect={false}
                    error={source === null}
                    onChange={(chosen) => chosen !== null && onChange(withSource(mapping, column.column, chosen))}
                  />
                </td>
                <td className="muted">
                  {found === undefined ? '–' : kindInWords(found.kind, say)}
                  {found === undefined || found.missing === 0 ? null : (
                    <span className="small"> {say('mapping.missing', { count: found.missing })}</span>
                  )}
                </td>
                <td>
                  <ColumnChange column={column} mapping={mapping} onChange={onChange} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <Checkbox
        label={say('mapping.decimal-comma')}
        checked={mapping.decimalComma}
        onChange={(event) => onChange({ ...mapping, decimalComma: event.currentTarget.checked })}
      />
      <FileReading mapping={mapping} onChange={onChange} />
    </div>
  );
}

function wanted(column: StudyColumn, say: Words['say'], number: Words['number']): string {
  if (column.kind === 'person') return say('mapping.person');
  if (column.kind === 'label') return say('mapping.label');
  if (column.categories !== null) return say('mapping.one-of', { list: column.categories.slice(0, 8).join(', ') });
  return column.least === null || column.most === null
    ? say('mapping.number')
    : say('mapping.between', { least: number(column.least), most: number(column.most) });
}

function kindInWords(kind: string | null, say: Words['say']): string {
  switch (kind) {
    case null:
      return say('cells.nothing');
    case 'number':
      return say('cells.number');
    case 'number with decimal comma':
      return say('cells.comma');
    case 'text':
      return say('cells.text');
    default:
      return say('cells.date', { form: kind.replace(/^date /, '') });
  }
}

function ColumnChange({ column, mapping, onChange }: Edit & { readonly column: StudyColumn }) {
  const { say } = useWords();
  const name = column.column;
  const change = changeOf(mapping, name);
  const kinds: readonly Change[] = column.number ? ['none', 'unit', 'codes', 'date'] : ['none', 'codes'];
  return (
    <div className="stack">
      <Select
        aria-label={say('mapping.change-of', { column: name })}
        data={kinds.map((kind) => ({ value: kind, label: say(`change.${kind}`) }))}
        value={change}
        allowDeselect={false}
        onChange={(value) => {
          const chosen = kinds.find((one) => one === value) ?? 'none';
          onChange(withChange(mapping, name, chosen, new Date().toISOString().slice(0, 10)));
        }}
      />
      {change === 'unit' ? <UnitFields name={name} mapping={mapping} onChange={onChange} /> : null}
      {change === 'codes' ? <CodeFields name={name} mapping={mapping} onChange={onChange} /> : null}
      {change === 'date' ? <DateFields name={name} mapping={mapping} onChange={onChange} /> : null}
    </div>
  );
}

function UnitFields({ name, mapping, onChange }: Edit & { readonly name: string }) {
  const { say } = useWords();
  const unit = mapping.units[name]!;
  return (
    <div className="row" style={{ flexWrap: 'nowrap' }}>
      <NumberInput
        label={say('change.factor')}
        value={unit.factor}
        hideControls
        onChange={(value) => onChange(withUnit(mapping, name, { ...unit, factor: Number(value) }))}
      />
      <NumberInput
        label={say('change.offset')}
        value={unit.offset}
        hideControls
        onChange={(value) => onChange(withUnit(mapping, name, { ...unit, offset: Number(value) }))}
      />
    </div>
  );
}

function CodeFields({ name, mapping, onChange }: Edit & { readonly name: string }) {
  const { say } = useWords();
  const [text, setText] = useState(codesText(mapping, name));
  return (
    <Textarea
      label={say('change.code-list')}
      description={say('change.code-list-note')}
      value={text}
      autosize
      minRows={2}
      maxRows={8}
      onChange={(event) => {
        setText(event.currentTarget.value);
        onChange(withCodes(mapping, name, event.currentTarget.value));
      }}
    />
  );
}

const dateForms = ['dd.mm.yyyy', 'dd/mm/yyyy', 'mm/dd/yyyy', 'yyyy-mm-dd'] as const;
const dateKinds = ['years', 'days', 'year'] as const;

function DateFields({ name, mapping, onChange }: Edit & { readonly name: string }) {
  const { say } = useWords();
  const rule = mapping.dates[name]!;
  const { to } = rule;
  const day = to.kind === 'years' ? to.at : to.kind === 'days' ? to.since : null;
  const set = (next: DateRule): void => onChange(withDate(mapping, name, next));
  const toOf = (kind: (typeof dateKinds)[number], at: string): DateRule['to'] =>
    kind === 'years' ? { kind, at } : kind === 'days' ? { kind, since: at } : { kind };
  return (
    <>
      <Select
        label={say('change.date-form')}
        data={[...dateForms]}
        value={rule.from}
        allowDeselect={false}
        onChange={(value) => set({ ...rule, from: dateForms.find((one) => one === value) ?? rule.from })}
      />
      <Select
        label={say('change.date-becomes')}
        data={dateKinds.map((kind) => ({ value: kind, label: say(`date.${kind}`) }))}
        value={to.kind}
        allowDeselect={false}
        onChange={(value) => {
          const kind = dateKinds.find((one) => one === value) ?? 'years';
          set({ ...rule, to: toOf(kind, day ?? new Date().toISOString().slice(0, 10)) });
        }}
      />
      {day === null ? null : (
        <TextInput
          type="date"
          label={say('change.date-day')}
          value={day}
          onChange={(event) =>
            event.currentTarget.value !== '' && set({ ...rule, to: toOf(to.kind, event.currentTarget.value) })
          }
        />
      )}
    </>
  );
}

const encodings = ['auto', 'utf-8', 'windows-1252', 'utf-16le', 'utf-16be'] as const;
const delimiters = ['auto', ',', ';', '\t', '|'] as const;

function FileReading({ mapping, onChange }: Edit) {
  const { say } = useWords();
  const { source } = mapping;
  const set = (change: Partial<Mapping['source']>): void => onChange({ ...mapping, source: { ...source, ...change } });
  return (
    <details>
      <summary>{say('reading.how')}</summary>
      <div className="columns" style={{ marginTop: '8px' }}>
        <Select
          label={say('reading.encoding')}
          data={encodings.map((one) => ({ value: one, label: one === 'auto' ? say('reading.found-out') : one }))}
          value={source.encoding}
          allowDeselect={false}
          onChange={(value) => set({ encoding: encodings.find((one) => one === value) ?? 'auto' })}
        />
        <Select
          label={say('reading.delimiter')}
          data={delimiters.map((one) => ({
            value: one,
            label: one === 'auto' ? say('reading.found-out') : one === '\t' ? say('reading.tab') : one,
          }))}
          value={source.delimiter}
          allowDeselect={false}
          onChange={(value) => set({ delimiter: delimiters.find((one) => one === value) ?? 'auto' })}
        />
        <TextInput
          label={say('reading.sheet')}
          description={say('reading.sheet-note')}
          value={source.sheet ?? ''}
          onChange={(event) => set({ sheet: event.currentTarget.value === '' ? null : event.currentTarget.value })}
        />
      </div>
    </details>
  );
}
