// What joining may bring: the institution's own model on rows that it did not see, and the joint model on the same rows once
// there is one. Both are measured on this machine, and stay here. Design 1, journey 2; design 9, "Study page".

import { Button } from '@mantine/core';
import { useState } from 'react';
import { useAction } from '../../bridge-provider.tsx';
import { FileField } from '../../ui/file-picker.tsx';
import { Problem } from '../../ui/parts.tsx';
import { WorkProgress } from '../../ui/work-progress.tsx';
import { useWords } from '../../ui/words.tsx';
import type { Page } from './study-page.tsx';

type Measured = NonNullable<Page['baseline']>;

export function Baseline({ page }: { readonly page: Page }) {
  const { say } = useWords();
  const { suggestion, summary, baseline } = page;
  const [testPath, setTestPath] = useState('');
  const measure = useAction('study.baseline');
  const path = suggestion.path ?? '';
  return (
    <section className="card">
      <h2>{say('baseline.title')}</h2>
      <p className="muted">{say('baseline.what')}</p>
      {baseline === null ? null : <Figures measured={baseline} />}
      <details>
        <summary>{say('baseline.own-rows')}</summary>
        <div style={{ marginTop: '8px' }}>
          <FileField
            label={say('baseline.test-file')}
            note={say('baseline.test-note')}
            value={testPath}
            onChange={setTestPath}
          />
        </div>
      </details>
      <div className="row">
        <Button
          variant="default"
          disabled={path === '' || measure.busy}
          onClick={() =>
            void measure.run({
              study: summary.name,
              path,
              mapping: suggestion.mapping,
              testPath: testPath === '' ? null : testPath,
            })
          }
        >
          {say(baseline === null ? 'baseline.do' : 'baseline.again')}
        </Button>
        {path === '' ? <span className="muted">{say('baseline.no-records')}</span> : null}
      </div>
      <WorkProgress name="study.baseline" label={say('baseline.doing')} />
      <Problem error={measure.error} />
    </section>
  );
}

function Figures({ measured }: { readonly measured: Measured }) {
  const { say, percent, number, moment } = useWords();
  const { own, joint, jointRounds, ownFile } = measured;
  const rows: readonly (readonly [string, string, string])[] =
    own.kind === 'classification'
      ? [
          [
            say('baseline.accuracy'),
            percent(own.accuracy),
            joint?.kind === 'classification' ? percent(joint.accuracy) : '–',
          ],
          [
            say('baseline.auc'),
            own.auc === null ? '–' : number(own.auc),
            joint?.kind === 'classification' && joint.auc !== null ? number(joint.auc) : '–',
          ],
        ]
      : [
          [
            say('baseline.error'),
            number(own.meanAbsoluteError),
            joint?.kind === 'regression' ? number(joint.meanAbsoluteError) : '–',
          ],
        ];
  return (
    <>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{say('baseline.measure')}</th>
            <th scope="col" className="amount">
              {say('baseline.alone')}
            </th>
            <th scope="col" className="amount">
              {joint === null ? say('baseline.joint-later') : say('baseline.joint', { rounds: jointRounds })}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, alone, together]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td className="amount">{alone}</td>
              <td className="amount">{together}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="muted small">
        {say('baseline.measured', { rows: own.rows, time: moment(measured.measured) })}{' '}
        {say(ownFile ? 'baseline.from-file' : 'baseline.from-records')}
      </p>
    </>
  );
}
