// Budget: one bar an allowance (used, reserved, left), the step curve with its forecast, the amounts as a table. Shares
// are of the filter's capacity, which starts at zero; ε at δ stands beside them. Design 9, "Budget".

import { useCallback } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useBridge, useCall } from '../../bridge-provider.tsx';
import { WhatIsThis } from '../../ui/meaning.tsx';
import { Empty, Figure, LinkButton, Problem, Screen } from '../../ui/parts.tsx';
import { usePages } from '../../ui/use-pages.ts';
import { useNarrow } from '../../ui/use-narrow.ts';
import { VirtualTable } from '../../ui/virtual-table.tsx';
import { useWords } from '../../ui/words.tsx';
import { AllowanceBar, AllowanceCurve } from './charts.tsx';

export type Allowance = OutputOf<'budget.get'>[number];

export function Budget() {
  const { say } = useWords();
  const budget = useCall('budget.get', {}, 'ledger.changed');
  const all = budget.value ?? [];
  // A dataset's allowance first: a study's is what this study may take of it.
  const ordered = [...all.filter(({ kind }) => kind !== 'consent'), ...all.filter(({ kind }) => kind === 'consent')];
  return (
    <Screen title={say('screen.budget')} aside={<WhatIsThis name="epsilon" />}>
      <Problem error={budget.error} />
      {budget.value !== null && all.length === 0 ? (
        <Empty action={<LinkButton to="studies">{say('data.to-studies')}</LinkButton>}>{say('budget.none')}</Empty>
      ) : null}
      {ordered.map((allowance) => (
        <AllowanceCard key={`${allowance.kind} ${allowance.id}`} allowance={allowance} />
      ))}
    </Screen>
  );
}

function AllowanceCard({ allowance }: { readonly allowance: Allowance }) {
  const { say, number, percent, moment } = useWords();
  const { epsilon, share, used, delta, forecast, curve, unit } = allowance;
  const title = say(`budget.of-${allowance.kind}`, { name: allowance.label });
  return (
    <section className="card" aria-label={title}>
      <h2>{title}</h2>
      {epsilon === null || share === null ? (
        <p className="problem">{say('cost.no-bound')}</p>
      ) : (
        <>
          <div className="figures">
            <Figure label={say('budget.used')} value={percent(share)} note={say('budget.share-note')} />
            <Figure
              label={say('budget.reading')}
              value={used === null ? '–' : `ε ${number(used)}`}
              note={say('budget.reading-note', { epsilon, delta: number(delta) })}
            />
            <Figure label={say('cost.protects')} value={say(`unit.${unit}`)} note={say('budget.here')} />
          </div>
          <AllowanceBar allowance={allowance} />
          <p className="muted">
            {forecast === null
              ? say('budget.no-forecast')
              : forecast.rounds === 0
                ? say('budget.spent')
                : say('budget.forecast', { rounds: forecast.rounds, at: moment(forecast.at) })}
          </p>
        </>
      )}
      {curve.length === 0 ? (
        <p className="muted">{say('budget.nothing-used')}</p>
      ) : (
        <>
          {share === null ? null : <AllowanceCurve allowance={allowance} />}
          <details>
            <summary>{say('budget.as-table', { count: allowance.amounts })}</summary>
            <Amounts allowance={allowance} title={title} />
          </details>
        </>
      )}
    </section>
  );
}

const rowHeight = 48;

function Amounts({ allowance, title }: { readonly allowance: Allowance; readonly title: string }) {
  const { say, sayKnown, number, percent, moment } = useWords();
  const narrow = useNarrow();
  const bridge = useBridge();
  const { kind, id, delta } = allowance;
  const ask = useCallback(
    (from: number, count: number) => bridge.call('budget.amounts', { kind, id, from, count }),
    [bridge, kind, id],
  );
  const pages = usePages(ask, `${allowance.amounts} ${allowance.curve.at(-1)?.state}`);
  const cells = useCallback(
    (row: number) => {
      const point = pages.row(row);
      if (point === null) return null;
      return [
        number(point.round),
        moment(point.time),
        say(`amount.${point.state}`),
        sayKnown('mechanism', point.mechanism) ?? point.mechanism,
        point.used === null ? '–' : `${number(point.used)} (${number(delta)})`,
        point.share === null ? '–' : percent(point.share),
        number(point.seq),
      ];
    },
    [pages, delta, say, sayKnown, number, percent, moment],
  );
  return (
    <VirtualTable
      label={say('budget.amounts', { name: title })}
      rows={pages.total}
      rowHeight={rowHeight}
      columns={[
        { key: 'round', title: say('column.round'), width: narrow ? '48px' : '56px' },
        { key: 'time', title: say('column.when'), width: narrow ? '96px' : '180px' },
        { key: 'state', title: say('column.state'), width: '96px' },
        { key: 'mechanism', title: say('column.mechanism'), width: '1fr' },
        { key: 'used', title: say('column.used'), width: narrow ? '92px' : '112px' },
        { key: 'share', title: say('column.share'), width: narrow ? '60px' : '80px' },
        // The log tells it too.
        ...(narrow ? [] : [{ key: 'entry', title: say('column.entry'), width: '60px' }]),
      ]}
      cells={cells}
      onView={pages.onView}
    />
  );
}
