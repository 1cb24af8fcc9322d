// Today: nothing but what needs a decision, and news. Design 9, "Today".

import { Button } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { BridgeError, OutputOf } from '../../../app/bridge.ts';
import { useAction, useBridge, useCall } from '../../bridge-provider.tsx';
import { Empty, LinkButton, Problem, Screen } from '../../ui/parts.tsx';
import { needsSomebody } from '../studies/study-state.ts';
import { Tour } from './tour.tsx';
import { useWords } from '../../ui/words.tsx';
import type { Words } from '../../ui/words.tsx';

type Study = OutputOf<'study.list'>[number];

const newsKinds = ['enrolled', 'consent-given', 'consent-withdrawn', 'consent-expired', 'recovery'];
const mostNews = 8;

export function Today() {
  const words = useWords();
  const { say, moment } = words;
  const studies = useCall('study.list', {}, 'study.changed');
  const demo = useCall('demo.get', {}, 'demo.changed');
  const news = useCall('audit.list', { from: 0, count: mostNews, kinds: newsKinds }, 'ledger.changed');
  const rounds = useCall('round.list', {}, 'ledger.changed');
  const told = newsOf(words, news.value?.rows ?? [], rounds.value?.past ?? []);
  const waiting = (studies.value ?? []).filter(needsSomebody);
  const preparing = demo.value?.state === 'preparing' || demo.value?.state === 'failed';
  return (
    <Screen title={say('screen.today')}>
      <Problem error={studies.error ?? demo.error ?? news.error ?? rounds.error} />
      {demo.value !== null && preparing ? <Preparing demo={demo.value} /> : null}
      {waiting.map((study) => (
        <Decision key={study.name} study={study} />
      ))}
      {studies.value !== null && waiting.length === 0 && !preparing ? (
        <Nothing studies={studies.value} past={rounds.value?.past ?? []} />
      ) : null}
      <Tour />
      <section className="stack" aria-labelledby="news">
        <h2 id="news">{say('today.news')}</h2>
        {told.length === 0 ? (
          <p className="muted">{say('today.no-news')}</p>
        ) : (
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{say('column.when')}</th>
                <th scope="col">{say('column.what')}</th>
                <th scope="col" className="amount">
                  {say('column.entry')}
                </th>
              </tr>
            </thead>
            <tbody>
              {told.map((row) => (
                <tr key={row.seq}>
                  <td className="number when">{moment(row.time)}</td>
                  <td>{row.said}</td>
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

type News = { readonly seq: number; readonly time: string; readonly said: string };

/** Entries of the log that a steward wants to hear of, newest first, in the screen's words. */
function newsOf(
  { say, sayKnown }: Words,
  entries: OutputOf<'audit.list'>['rows'],
  past: OutputOf<'round.list'>['past'],
): readonly News[] {
  const told = entries.map(({ seq, time, kind }) => ({ seq, time, said: sayKnown('news', kind) ?? kind }));
  const rounds = past.slice(0, mostNews).map(({ seq, time, round, outcome, institutions }) => ({
    seq,
    time,
    said: say(`news.${outcome}`, { round, institutions: institutions ?? 0 }),
  }));
  return [...told, ...rounds].sort((left, right) => right.seq - left.seq).slice(0, mostNews);
}

function Decision({ study }: { readonly study: Study }) {
  const { say } = useWords();
  const resume = useAction('round.resume');
  const approve = useAction('session.approve');
  if (study.state === 'stopped')
    return (
      <Card tone="broken" title={say('today.stopped', { title: study.title })}>
        <Problem error={study.problem} />
        <Problem error={resume.error} />
        <div className="row">
          <Button loading={resume.busy} onClick={() => void resume.run({ study: study.name })}>
            {say('today.try-again')}
          </Button>
          <a href={`#/studies/${study.name}`}>{say('today.read-study')}</a>
        </div>
      </Card>
    );
  if (study.state === 'spent')
    return (
      <Card tone="decision" title={say('today.spent', { title: study.title })}>
        <p>{say('today.spent-what')}</p>
        <div className="row">
          <LinkButton to={`studies/${study.name}`}>{say('today.spent-do')}</LinkButton>
          <details>
            <summary>{say('today.why')}</summary>
            <p className="muted">{say('today.spent-why')}</p>
          </details>
        </div>
      </Card>
    );
  if (study.state === 'asks')
    return (
      <Card tone="decision" title={say('today.asks', { title: study.title })}>
        <p>{say('today.asks-what', { closed: study.roundsClosed, planned: study.roundsPlanned ?? 0 })}</p>
        <Problem error={approve.error} />
        <div className="row">
          <Button disabled={approve.busy} onClick={() => void approve.run({ study: study.name })}>
            {say('session.approve')}
          </Button>
          <details>
            <summary>{say('today.why')}</summary>
            <p className="muted">{say('today.asks-why')}</p>
          </details>
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
  const { say, sayHost } = useWords();
  const start = useAction('demo.start');
  const failed = demo.state === 'failed';
  return (
    <Card tone={failed ? 'broken' : 'quiet'} title={say(failed ? 'demo.failed' : 'demo.preparing')}>
      <p role="status">{demo.said === null ? '' : sayHost(demo.said)}</p>
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

type Past = OutputOf<'round.list'>['past'];

function Nothing({ studies, past }: { readonly studies: readonly Study[]; readonly past: Past }) {
  const { say, time } = useWords();
  if (studies.length === 0)
    return (
      <Empty
        action={
          <div className="row">
            <LinkButton to="studies">{say('studies.open-invitation')}</LinkButton>
            <Demonstrate />
          </div>
        }
      >
        {say('today.first')}
      </Empty>
    );
  const next = studies.some(({ state }) => state === 'taking-part') ? nextRound(past) : null;
  return <Empty>{next === null ? say('today.nothing') : say('today.nothing-until', { at: time(next) })}</Empty>;
}

/** A demonstration opens in a folder and a window of its own. */
function Demonstrate() {
  const { say } = useWords();
  const bridge = useBridge();
  const [state, setState] = useState<'idle' | 'busy' | 'opened' | BridgeError>('idle');
  const open = async (): Promise<void> => {
    setState('busy');
    const reply = await bridge.demonstrate();
    setState(reply.ok ? 'opened' : reply.error);
  };
  return (
    <>
      <Button variant="default" loading={state === 'busy'} disabled={state === 'opened'} onClick={() => void open()}>
        {say('demo.try')}
      </Button>
      {state === 'opened' ? <span role="status">{say('demo.opening')}</span> : null}
      <Problem error={typeof state === 'string' ? null : state} />
    </>
  );
}

/** At the pace of the last two; null before there are two, or where that time has passed. */
function nextRound(past: Past): string | null {
  const [last, before] = past;
  if (last === undefined || before === undefined) return null;
  const at = 2 * Date.parse(last.time) - Date.parse(before.time);
  return at > Date.now() ? new Date(at).toISOString() : null;
}

function Card(props: { readonly tone: string; readonly title: string; readonly children: ReactNode }) {
  return (
    <section className="card" data-tone={props.tone}>
      <h2>{props.title}</h2>
      {props.children}
    </section>
  );
}
