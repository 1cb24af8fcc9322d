// Rounds: a rail of six stages, one sentence on what happens and what can go wrong now, and what happened. Design 9.

import { Button, Progress } from '@mantine/core';
import { useCallback, useRef } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useAction, useCall } from '../../bridge-provider.tsx';
import { WhatIsThis } from '../../ui/meaning.tsx';
import { Empty, Figure, LinkButton, Problem, Screen } from '../../ui/parts.tsx';
import { useNarrow } from '../../ui/use-narrow.ts';
import { VirtualTable } from '../../ui/virtual-table.tsx';
import { useWords } from '../../ui/words.tsx';
import { railStages, stagesReached, stateOf } from './state-sentence.ts';
import type { RoundNow } from './state-sentence.ts';

export function Rounds() {
  const { say } = useWords();
  const rounds = useCall('round.list', {}, 'round.changed', 'ledger.changed');
  return (
    <Screen title={say('screen.rounds')} aside={<WhatIsThis name="round" />}>
      <Problem error={rounds.error} />
      {rounds.value === null || rounds.value.now.length > 0 || rounds.value.past.length > 0 ? null : (
        <Empty action={<LinkButton to="studies">{say('data.to-studies')}</LinkButton>}>{say('rounds.none')}</Empty>
      )}
      {(rounds.value?.now ?? []).map((now) => (
        <Now key={now.study} now={now} />
      ))}
      {rounds.value === null || rounds.value.past.length === 0 ? null : <Past past={rounds.value.past} />}
    </Screen>
  );
}

function Now({ now }: { readonly now: RoundNow }) {
  const words = useWords();
  const { say, sayKnown } = words;
  const pause = useAction('round.pause');
  const resume = useAction('round.resume');
  const ended = now.doing === 'finished' || now.doing === 'withdrawn';
  return (
    <section className="card" aria-label={now.title}>
      <div className="row row-end">
        <h2>{now.title}</h2>
        {ended ? null : now.running ? (
          <Button variant="default" loading={pause.busy} onClick={() => void pause.run({ study: now.name })}>
            {say('round.pause')}
          </Button>
        ) : (
          <Button loading={resume.busy} onClick={() => void resume.run({ study: now.name })}>
            {say('round.resume')}
          </Button>
        )}
      </div>
      <Rail now={now} />
      <p>{stateOf(words, now, 0).sentence}</p>
      {now.stage === null || ended ? null : <p className="muted">{sayKnown('risk', now.stage)}</p>}
      <Held now={now} />
      {trainerWasLost(now) ? <p role="status">{say('rounds.trainer-lost')}</p> : null}
      {now.training === null || now.stage !== 'opened' ? null : <TrainingProgress now={now} />}
      <Seats now={now} />
      <div className="figures">
        <Figure
          label={say('rounds.closed')}
          value={say('studies.rounds-of', { closed: now.closed, planned: now.planned })}
        />
        <Figure
          label={say('rounds.contributed')}
          value={now.trained === null ? '–' : say(now.trained ? 'rounds.trained' : 'rounds.untrained')}
        />
      </div>
      <Problem error={pause.error ?? resume.error} />
    </section>
  );
}

/** In the newest round; a trainer begins with it. */
const trainerWasLost = ({ round, events }: RoundNow): boolean =>
  events.some(({ kind, text }) => kind === 'trainer-lost' && text.startsWith(`Round ${round}:`));

/** Why no round begins here until somebody mends it on this machine; nothing where a round began since. */
function Held({ now }: { readonly now: RoundNow }) {
  const { sayHost } = useWords();
  const last = now.events.findLast(({ kind }) => kind === 'checkpoint' || kind === 'stage');
  if (last?.kind !== 'checkpoint' || now.doing !== 'waiting') return null;
  return (
    <p className="problem" role="alert">
      {sayHost(last.text)}
    </p>
  );
}

/** The bar with its number, the pace and the estimate, from when this window first saw the round train. */
function TrainingProgress({ now }: { readonly now: RoundNow }) {
  const { say, percent, number } = useWords();
  const { done, total } = now.training!;
  const first = useRef<{ readonly round: number | null; readonly at: number; readonly done: number } | null>(null);
  if (first.current?.round !== now.round || done < first.current.done)
    first.current = { round: now.round, at: Date.now(), done };
  const seconds = (Date.now() - first.current.at) / 1000;
  const pace = seconds > 0.5 ? (done - first.current.done) / seconds : 0;
  const share = done / Math.max(1, total);
  return (
    <div className="stack">
      <span className="number">
        {pace > 0
          ? say('rounds.pace', {
              share: percent(Math.floor(100 * share) / 100),
              pace: number(Math.round(pace)),
              seconds: Math.ceil((total - done) / pace),
            })
          : percent(Math.floor(100 * share) / 100)}
      </span>
      <Progress value={100 * share} aria-label={say('rounds.training')} />
    </div>
  );
}

/** A dot for each institution: filled where its contribution is in the newest total. */
function Seats({ now }: { readonly now: RoundNow }) {
  const { say } = useWords();
  return (
    <div className="stack">
      <span className="muted small">
        {say('rounds.seats')} <WhatIsThis name="missed" />
      </span>
      <ul className="seats">
        {now.institutions.map(({ organisation, own, last }, place) => (
          // oxlint-disable-next-line react/no-array-index-key -- two institutions may bear one name; places are fixed
          <li key={place} data-in={last === true}>
            <span className="dot" aria-hidden="true" />
            <span>{own ? <strong>{organisation}</strong> : organisation}</span>
            <span className="muted small">{last === null ? '' : say(last ? 'rounds.in' : 'rounds.missed')}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Rail({ now }: { readonly now: RoundNow }) {
  const { say } = useWords();
  const reached = stagesReached(now);
  return (
    <ol className="rail" aria-label={say('rounds.rail')}>
      {railStages.map((stage, index) => (
        <li
          key={stage}
          data-reached={index < reached}
          aria-current={index === reached - 1 && now.stage !== null ? 'step' : undefined}
        >
          {say(`rail.${stage}`)}
        </li>
      ))}
    </ol>
  );
}

const rowHeight = 48;

function Past({ past }: { readonly past: OutputOf<'round.list'>['past'] }) {
  const { say, moment, number, percent } = useWords();
  const narrow = useNarrow();
  const perplexed = past.some(({ score }) => score?.perplexity !== undefined);
  const tested = past.some(({ score }) => score !== null && score.perplexity === undefined);
  const cells = useCallback(
    (row: number) => {
      const one = past[row];
      if (one === undefined) return null;
      return [
        number(one.round),
        moment(one.time),
        say(`outcome.${one.outcome}`),
        one.institutions === null ? '–' : number(one.institutions),
        ...(tested ? [one.score === null || one.score.accuracy === null ? '–' : percent(one.score.accuracy)] : []),
        ...(perplexed ? [typeof one.score?.perplexity === 'number' ? number(one.score.perplexity) : '–'] : []),
        number(one.seq),
      ];
    },
    [past, tested, perplexed, say, moment, number, percent],
  );
  return (
    <section className="stack" aria-labelledby="past">
      <h2 id="past">{say('rounds.past')}</h2>
      {tested ? <Accuracy past={past} /> : null}
      <VirtualTable
        label={say('rounds.past')}
        rows={past.length}
        rowHeight={rowHeight}
        columns={[
          { key: 'round', title: say('column.round'), width: '56px' },
          { key: 'time', title: say('column.when'), width: narrow ? '96px' : '196px' },
          { key: 'outcome', title: say('column.outcome'), width: '1fr' },
          { key: 'institutions', title: say('column.took-part'), width: narrow ? '120px' : '136px' },
          ...(tested ? [{ key: 'accuracy', title: say('column.accuracy'), width: narrow ? '88px' : '104px' }] : []),
          ...(perplexed
            ? [{ key: 'perplexity', title: say('column.perplexity'), width: narrow ? '88px' : '104px' }]
            : []),
          { key: 'entry', title: say('column.entry'), width: narrow ? '60px' : '80px' },
        ]}
        cells={cells}
      />
    </section>
  );
}

const [lineWidth, lineHeight] = [240, 48];
/** Shares of right answers that a sparkline spans at least. */
const leastSpan = 0.1;

/** A sparkline of each study's accuracy; the table below is its twin. */
function Accuracy({ past }: { readonly past: OutputOf<'round.list'>['past'] }) {
  const { say, percent } = useWords();
  const byStudy = new Map<string, { readonly round: number; readonly accuracy: number }[]>();
  for (const { study, round, score } of past)
    if (score !== null && score.accuracy !== null)
      byStudy.set(study, [{ round, accuracy: score.accuracy }, ...(byStudy.get(study) ?? [])]);
  // One point is no course; the table tells it.
  const courses = [...byStudy].filter(([, points]) => points.length > 1);
  return courses.map(([study, points]) => {
    const [first, last] = [points[0]!, points.at(-1)!];
    const rounds = Math.max(1, last.round - first.round);
    // From the least to the most, but never so close that noise looks like a course.
    const all = points.map(({ accuracy }) => accuracy);
    const [least, most] = [Math.min(...all), Math.max(...all)];
    const span = Math.max(leastSpan, most - least);
    const floor = Math.max(0, (least + most - span) / 2);
    const placeOf = ({ round, accuracy }: (typeof points)[number]): readonly [number, number] => [
      ((round - first.round) / rounds) * lineWidth,
      (1 - (accuracy - floor) / span) * lineHeight,
    ];
    const line = points
      .map((point) =>
        placeOf(point)
          .map((at) => at.toFixed(1))
          .join(','),
      )
      .join(' ');
    const [endAcross, endDown] = placeOf(last);
    const said = say('rounds.accuracy', { first: percent(first.accuracy), last: percent(last.accuracy) });
    return (
      <div className="row sparkline" key={study}>
        <svg
          width={lineWidth}
          height={lineHeight}
          viewBox={`0 -2 ${lineWidth} ${lineHeight + 4}`}
          role="img"
          aria-label={said}
          style={{ overflow: 'visible', color: 'var(--accent)' }}
        >
          <line x1="0" x2={lineWidth} y1={lineHeight} y2={lineHeight} stroke="var(--line)" />
          <polyline points={line} fill="none" stroke="currentColor" strokeWidth="2" />
          <circle cx={endAcross} cy={endDown} r="3.5" fill="currentColor" />
        </svg>
        <p className="muted">{said}</p>
      </div>
    );
  });
}
