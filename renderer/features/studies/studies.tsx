// Studies: those this institution was invited to, and opening another invitation. Design 1, journey 2.

import { Button, NumberInput, TextInput, Textarea } from '@mantine/core';
import { useEffect, useState } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useAction, useCall } from '../../bridge-provider.tsx';
import { CopyCode, Empty, Problem, Screen } from '../../ui/parts.tsx';
import { useWords } from '../../ui/words.tsx';

/** @param props.invitation that was opened outside the window; it is read at once. */
export function Studies({ invitation = null }: { readonly invitation?: string | null }) {
  const { say } = useWords();
  const studies = useCall('study.list', {}, 'study.changed', 'round.changed');
  return (
    <Screen title={say('screen.studies')}>
      <Problem error={studies.error} />
      {studies.value === null || studies.value.length === 0 ? (
        <Empty>{say('studies.none')}</Empty>
      ) : (
        <StudyTable studies={studies.value} />
      )}
      <OpenInvitation given={invitation} />
    </Screen>
  );
}

function StudyTable({ studies }: { readonly studies: OutputOf<'study.list'> }) {
  const { say, number } = useWords();
  return (
    <section className="card">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{say('column.study')}</th>
            <th scope="col">{say('column.lead')}</th>
            <th scope="col">{say('column.state')}</th>
            <th scope="col" className="amount">
              {say('column.rounds')}
            </th>
          </tr>
        </thead>
        <tbody>
          {studies.map((study) => (
            <tr key={study.name}>
              <td>
                <a href={`#/studies/${study.name}`}>{study.title}</a>
              </td>
              <td>{study.lead}</td>
              <td>{say(`study-state.${study.state}`)}</td>
              <td className="amount">
                {study.roundsPlanned === null
                  ? '–'
                  : say('studies.rounds-of', { closed: study.roundsClosed, planned: number(study.roundsPlanned) })}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

type Read = OutputOf<'invitation.read'>;

function OpenInvitation({ given }: { readonly given: string | null }) {
  const { say, day } = useWords();
  const [text, setText] = useState(given ?? '');
  const [read, setRead] = useState<Read | null>(null);
  const [answer, setAnswer] = useState<OutputOf<'invitation.accept'> | null>(null);
  const reading = useAction('invitation.read');
  const readNow = reading.run;
  useEffect(() => {
    if (given !== null) void readNow({ text: given }).then(setRead);
  }, [given, readNow]);

  const take = async (given: string): Promise<void> => {
    setText(given);
    setAnswer(null);
    setRead(given.trim() === '' ? null : await reading.run({ text: given }));
  };

  return (
    <section className="card" aria-labelledby="open-invitation">
      <h2 id="open-invitation">{say('studies.open-invitation')}</h2>
      <p className="muted">{say('studies.open-note')}</p>
      <Textarea
        label={say('studies.invitation-text')}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        autosize
        minRows={3}
        maxRows={6}
      />
      <div className="row">
        <Button loading={reading.busy} disabled={text.trim() === ''} onClick={() => void take(text)}>
          {say('studies.read')}
        </Button>
        <Button component="label" variant="default" className="file-button">
          {say('studies.or-file')}
          <input
            type="file"
            className="visually-hidden"
            accept=".json,application/json"
            onChange={(event) => {
              const file = event.currentTarget.files?.[0];
              if (file !== undefined) void file.text().then(take);
            }}
          />
        </Button>
      </div>
      <Problem error={reading.error} />
      {read === null ? null : (
        <>
          <dl className="facts">
            <dt>{say('column.study')}</dt>
            <dd>{read.title}</dd>
            <dt>{say('study.purpose')}</dt>
            <dd>{read.purpose}</dd>
            <dt>{say('column.lead')}</dt>
            <dd>{read.lead}</dd>
            <dt>{say('study.code')}</dt>
            <dd className="code">{read.leadCode}</dd>
            <dt>{say('study.relay')}</dt>
            <dd>{read.address}</dd>
            <dt>{say('study.until')}</dt>
            <dd>{day(read.expires)}</dd>
          </dl>
          <p>{say('studies.compare-code')}</p>
          {read.answered && answer === null ? <p className="notice">{say('studies.answered')}</p> : null}
          {answer === null && !read.answered ? <Answer text={text} onAnswer={setAnswer} /> : null}
        </>
      )}
      {answer === null ? null : <Answered answer={answer} />}
    </section>
  );
}

function Answer(props: { readonly text: string; readonly onAnswer: (answer: OutputOf<'invitation.accept'>) => void }) {
  const { say } = useWords();
  const [name, setName] = useState('');
  const [organisation, setOrganisation] = useState('');
  const [units, setUnits] = useState<string | number>('');
  const accept = useAction('invitation.accept');
  const send = async (): Promise<void> => {
    const given = { text: props.text, name, organisation, nominalUnits: Number(units) };
    const answer = await accept.run(given);
    if (answer !== null) props.onAnswer(answer);
  };
  return (
    <>
      <div className="columns">
        <TextInput
          label={say('studies.own-name')}
          description={say('studies.own-name-note')}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <TextInput
          label={say('studies.organisation')}
          description={say('studies.organisation-note')}
          value={organisation}
          onChange={(event) => setOrganisation(event.currentTarget.value)}
        />
        <NumberInput
          label={say('studies.units')}
          description={say('studies.units-note')}
          value={units}
          onChange={setUnits}
          min={1}
          allowDecimal={false}
          allowNegative={false}
          hideControls
        />
      </div>
      <Problem error={accept.error} />
      <div className="row">
        <Button
          loading={accept.busy}
          disabled={name === '' || organisation === '' || units === ''}
          onClick={() => void send()}
        >
          {say('studies.answer')}
        </Button>
        <span className="muted">{say('studies.answer-note')}</span>
      </div>
    </>
  );
}

function Answered({ answer }: { readonly answer: OutputOf<'invitation.accept'> }) {
  const { say } = useWords();
  return (
    <div className="notice stack" role="status">
      <p>{say('studies.send-enrolment', { path: answer.enrolmentPath })}</p>
      <p className="row">
        {say('studies.own-code')} <CopyCode code={answer.ownCode} />
      </p>
      <details>
        <summary>{say('studies.show-enrolment')}</summary>
        <Textarea label={say('studies.enrolment')} value={answer.enrolment} readOnly autosize maxRows={8} />
      </details>
    </div>
  );
}
