// Data: the datasets that take part, with their versions and what was used of their allowance; bringing records into a study;
// persons who object. Nothing of a record's content is here, but the first rows where a steward asks for them. Design 1.

import { Button } from '@mantine/core';
import { useState } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useAction, useCall } from '../../bridge-provider.tsx';
import { Dialogue } from '../../ui/dialogue.tsx';
import { CopyCode, Empty, LinkButton, Problem, Screen } from '../../ui/parts.tsx';
import { useWords } from '../../ui/words.tsx';
import { takesConsent } from '../studies/study-state.ts';
import { Exclusions } from './exclusions.tsx';
import { Import } from './import.tsx';

type Dataset = OutputOf<'data.list'>[number];

export function Data() {
  const { say } = useWords();
  const data = useCall('data.list', {}, 'study.changed', 'ledger.changed');
  const studies = useCall('study.list', {}, 'study.changed');
  const open = (studies.value ?? []).filter(takesConsent);
  return (
    <Screen title={say('screen.data')}>
      <Problem error={data.error ?? studies.error} />
      {data.value !== null && data.value.length === 0 && open.length === 0 ? (
        <Empty action={<LinkButton to="studies">{say('data.to-studies')}</LinkButton>}>{say('data.none')}</Empty>
      ) : null}
      {open.length === 0 ? null : <Import studies={open} />}
      {(data.value ?? []).map((dataset) => (
        <DatasetCard key={dataset.name} dataset={dataset} />
      ))}
      {data.value !== null && data.value.length > 0 ? <Exclusions /> : null}
    </Screen>
  );
}

function DatasetCard({ dataset }: { readonly dataset: Dataset }) {
  const { say, moment, number, percent } = useWords();
  const [forgetting, setForgetting] = useState(false);
  const allowance =
    dataset.epsilon === null || dataset.share === null
      ? say('cost.unbounded')
      : say('data.allowance-used', { share: percent(dataset.share), epsilon: number(dataset.epsilon) });
  return (
    <section className="card" aria-label={dataset.name}>
      <div className="row row-end">
        <h2>{dataset.name}</h2>
        {dataset.forgotten ? (
          <span className="mark">{say('data.forgotten')}</span>
        ) : (
          <Button variant="default" onClick={() => setForgetting(true)}>
            {say('data.forget')}
          </Button>
        )}
      </div>
      <dl className="facts">
        <dt>{say('data.holds')}</dt>
        <dd className="number">
          {say('data.bucket', { from: dataset.from, to: dataset.to, unit: say(`units.${dataset.unit}`) })}
        </dd>
        <dt>{say('data.persons')}</dt>
        <dd>{say(dataset.persons ? 'data.persons-named' : 'data.persons-not')}</dd>
        <dt>{say('data.file')}</dt>
        <dd className="code">{dataset.path ?? say('data.no-file')}</dd>
        <dt>{say('data.used-in')}</dt>
        <dd>{dataset.studies.map(({ title }) => title).join(', ')}</dd>
        <dt>{say('data.allowance')}</dt>
        <dd className="number">
          {allowance}, {say('data.amounts', { count: dataset.amounts })}
        </dd>
        {dataset.sharesWith.length === 0 ? null : (
          <>
            <dt>{say('data.shares')}</dt>
            <dd>{dataset.sharesWith.join(', ')}</dd>
          </>
        )}
      </dl>
      <p className="muted">
        {say(dataset.forgotten ? 'data.forgotten-note' : dataset.encrypted ? 'data.encrypted' : 'data.stays')}
      </p>
      <details>
        <summary>{say('data.versions', { count: dataset.versions.length })}</summary>
        <div className="wide">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{say('data.imported')}</th>
                <th scope="col">{say('column.study')}</th>
                <th scope="col">{say('data.holds')}</th>
                <th scope="col">{say('data.digest')}</th>
                <th scope="col">{say('data.mapping')}</th>
                <th scope="col" className="amount">
                  {say('column.entry')}
                </th>
              </tr>
            </thead>
            <tbody>
              {dataset.versions.map((version) => (
                <tr key={version.seq}>
                  <td className="number">{moment(version.time)}</td>
                  <td>{version.study}</td>
                  <td className="number">
                    {say('data.bucket', { from: version.from, to: version.to, unit: say(`units.${dataset.unit}`) })}
                  </td>
                  <td>
                    <CopyCode code={version.digest} />
                  </td>
                  <td>{version.mapping === null ? '–' : <CopyCode code={version.mapping} />}</td>
                  <td className="amount">{number(version.seq)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
      <Forget name={dataset.name} opened={forgetting} onClose={() => setForgetting(false)} />
    </section>
  );
}

function Forget(props: { readonly name: string; readonly opened: boolean; readonly onClose: () => void }) {
  const { say } = useWords();
  const forget = useAction('data.delete');
  const [done, setDone] = useState<OutputOf<'data.delete'> | null>(null);
  return (
    <Dialogue opened={props.opened} onClose={props.onClose} title={say('data.forget')}>
      <p>{say('data.forget-what', { name: props.name })}</p>
      <Problem error={forget.error} />
      {done === null ? (
        <div className="row">
          <Button disabled={forget.busy} onClick={() => void forget.run({ dataset: props.name }).then(setDone)}>
            {say('data.forget-do')}
          </Button>
          <Button variant="default" onClick={props.onClose}>
            {say('data.forget-not')}
          </Button>
        </div>
      ) : (
        <div className="notice stack" role="status">
          <p>{say('data.forget-done', { count: done.studies })}</p>
          {done.files.map((file) => (
            <p key={file} className="code" style={{ overflowWrap: 'anywhere' }}>
              {file}
            </p>
          ))}
        </div>
      )}
    </Dialogue>
  );
}
