// What can be done about a study that was agreed to: pause, go on, stop taking part for good. Design 1, journeys 2 and 3.

import { Button, Textarea } from '@mantine/core';
import { useState } from 'react';
import { useAction } from '../../bridge-provider.tsx';
import { Dialogue } from '../../ui/dialogue.tsx';
import { Problem } from '../../ui/parts.tsx';
import { useWords } from '../../ui/words.tsx';
import { needsSomebody } from './study-state.ts';
import { SessionFields } from './session-fields.tsx';
import type { SessionLength } from './session-fields.tsx';
import type { Page } from './study-page.tsx';

export function TakingPart({ page }: { readonly page: Page }) {
  const { say, day } = useWords();
  const { summary, consent } = page;
  const pause = useAction('round.pause');
  const resume = useAction('round.resume');
  const [stopping, setStopping] = useState(false);
  const study = { study: summary.name };
  const ended = summary.state === 'withdrawn' || summary.state === 'finished';
  return (
    <section
      className="card"
      data-tone={summary.state === 'stopped' ? 'broken' : needsSomebody(summary) ? 'decision' : 'quiet'}
    >
      <h2>{say(`study-state.${summary.state}`)}</h2>
      <Problem error={summary.problem} />
      {summary.state === 'spent' ? <p>{say('today.spent-what')}</p> : null}
      {consent === null ? null : (
        <p>
          {say('consent.given', {
            dataset: consent.dataset,
            epsilon: consent.epsilon ?? say('cost.unbounded'),
            until: day(consent.expires),
          })}
        </p>
      )}
      {ended ? null : <Approval page={page} />}
      <Problem error={pause.error ?? resume.error} />
      {ended ? null : (
        <div className="row">
          {summary.state === 'asks' ? null : summary.state === 'taking-part' || summary.state === 'spent' ? (
            <Button variant="default" loading={pause.busy} onClick={() => void pause.run(study)}>
              {say('round.pause')}
            </Button>
          ) : (
            <Button loading={resume.busy} onClick={() => void resume.run(study)}>
              {say('round.resume')}
            </Button>
          )}
          <Button variant="default" onClick={() => setStopping(true)}>
            {say('withdraw.title')}
          </Button>
        </div>
      )}
      <Stop name={summary.name} opened={stopping} onClose={() => setStopping(false)} />
    </section>
  );
}

/** What is approved now, the next approval, and how it is asked for from now on. */
function Approval({ page }: { readonly page: Page }) {
  const { say, moment } = useWords();
  const { name, approval } = page.summary;
  const { session, left } = approval;
  const [length, setLength] = useState<SessionLength | null>(session);
  const approve = useAction('session.approve');
  const ask = useAction('session.ask');
  return (
    <div className="stack">
      <p>
        {session === null
          ? say('session.now-alone')
          : left === null
            ? say('session.now-none')
            : say('session.now-left', {
                rounds: left.rounds ?? say('session.any'),
                until: left.until === null ? say('session.no-end') : moment(left.until),
              })}
      </p>
      {session === null || left !== null ? null : (
        <div className="row">
          <Button disabled={approve.busy} onClick={() => void approve.run({ study: name })}>
            {say('session.approve')}
          </Button>
        </div>
      )}
      <details>
        <summary>{say('session.change')}</summary>
        <div className="stack" style={{ marginTop: '8px', gap: '16px' }}>
          <SessionFields value={length} onChange={setLength} />
          <div className="row">
            <Button
              variant="default"
              disabled={ask.busy}
              onClick={() => void ask.run({ study: name, session: length })}
            >
              {say('session.keep')}
            </Button>
          </div>
        </div>
      </details>
      <Problem error={approve.error ?? ask.error} />
    </div>
  );
}

function Stop(props: { readonly name: string; readonly opened: boolean; readonly onClose: () => void }) {
  const { say } = useWords();
  const [reason, setReason] = useState('');
  const withdraw = useAction('consent.withdraw');
  const stop = async (): Promise<void> => {
    const done = await withdraw.run({ study: props.name, reason: reason.trim() === '' ? null : reason.trim() });
    if (done !== null) props.onClose();
  };
  return (
    <Dialogue opened={props.opened} onClose={props.onClose} title={say('withdraw.title')}>
      <p>{say('withdraw.what')}</p>
      <Textarea
        label={say('withdraw.reason')}
        description={say('withdraw.reason-note')}
        value={reason}
        onChange={(event) => setReason(event.currentTarget.value)}
      />
      <Problem error={withdraw.error} />
      <div className="row">
        <Button loading={withdraw.busy} onClick={() => void stop()}>
          {say('withdraw.do')}
        </Button>
        <Button variant="default" onClick={props.onClose}>
          {say('withdraw.not')}
        </Button>
      </div>
    </Dialogue>
  );
}
