// Today: nothing but what needs a decision, and news. Design 9, "Today".

import { Button } from '@mantine/core';
import type { ReactNode } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useAction, useCall } from '../../bridge-provider.tsx';
import { Empty, LinkButton, Problem, Screen } from '../../ui/parts.tsx';
import { useWords } from '../../ui/words.tsx';

type Study = OutputOf<'study.list'>[number];

const newsKinds = [
  'enrolled',
  'consent-given',
  'consent-withdrawn',
  'consent-expired',
  'round-closed',
  'round-aborted',
  'recovery',
];

export function Today() {
  const { say, moment } = useWords();
  const studies = useCall('study.list', {}, 'study.changed');
  const demo = useCall('demo.get', {}, 'demo.changed');
  const news = useCall('audit.list', { from: 0, count: 8, kinds: newsKinds }, 'ledger.changed');
  const waiting = (studies.value ?? []).filter(({ state }) => state === 'decide' || state === 'stopped');
  const preparing = demo.value?.state === 'preparing' || demo.value?.state === 'failed';
  return (
    <Screen title={say('screen.today')}>
      <Problem error={studies.error ?? demo.error ?? news.error} />
      {demo.value !== null && preparing ? <Preparing demo={demo.value} /> : null}
      {waiting.map((study) => (
        <Decision key={study.name} study={study} />
      ))}
      {studies.value !== null && waiting.length === 0 && !preparing ? <Nothing studies={studies.value} /> : null}
      <section className="stack" aria-labelledby="news">
        <h2 id="news">{say('today.news')}</h2>
        {news.value === null || news.value.rows.length === 0 ? (
          <p className="muted">{say('today.no-news')}</p>
        ) : (
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{say('column.when')}</th>
                <th scope="col">{say('column.what')}</th>
                <th scope="col">{say('column.entry')}</th>
              </tr>
            </thead>
            <tbody>
              {news.value.rows.map((row) => (
                <tr key={row.seq}>
                  <td className="number" style={{ whiteSpace: 'nowrap' }}>
                    {moment(row.time)}
                  </td>
                  <td>{row.sentence}</td>
                  <td className="amount">{row.seq}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
    </Screen>
  );
}

function Decision({ study }: { readonly study: Study }) {
  const { say } = useWords();
  const resume = useAction('round.resume');
  if (study.state === 'stopped')
    return (
      <Card tone="broken" title={say('today.stopped', { title: study.title })}>
        <Problem error={study.problem} />
        <Problem error={resume.error} />
        <div className="row">
          <Button loading={resume.busy} onClick={() => void resume.run({ study: study.name })}>
            {say('today.try-again')}
          </Button>
        </div>
      </Card>
    );
  return (
    <Card tone="decision" title={say('today.decide', { title: study.title })}>
      <p>{say('today.decide-what', { lead: study.lead })}</p>
      <div className="row">
        <LinkButton to={`studies/${study.name}`}>{say('today.read-study')}</LinkButton>
        <details>
          <summary>{say('today.why')}</summary>
          <p className="muted">{say('today.decide-why')}</p>
        </details>
      </div>
    </Card>
  );
}

function Preparing({ demo }: { readonly demo: OutputOf<'demo.get'> }) {
  const { say } = useWords();
  const start = useAction('demo.start');
  const failed = demo.state === 'failed';
  return (
    <Card tone={failed ? 'broken' : 'quiet'} title={say(failed ? 'demo.failed' : 'demo.preparing')}>
      <p role="status">{demo.said}</p>
      {failed ? (
        <div className="row">
          <Button loading={start.busy} onClick={() => void start.run({})}>
            {say('today.try-again')}
          </Button>
        </div>
      ) : (
        <p className="muted">{say('demo.preparing-note')}</p>
      )}
      <Problem error={start.error} />
    </Card>
  );
}

function Nothing({ studies }: { readonly studies: readonly Study[] }) {
  const { say } = useWords();
  if (studies.length === 0)
    return (
      <Empty action={<LinkButton to="studies">{say('studies.open-invitation')}</LinkButton>}>
        {say('today.first')}
      </Empty>
    );
  return <Empty>{say('today.nothing')}</Empty>;
}

function Card(props: { readonly tone: string; readonly title: string; readonly children: ReactNode }) {
  return (
    <section className="card" data-tone={props.tone}>
      <h2>{props.title}</h2>
      {props.children}
    </section>
  );
}
