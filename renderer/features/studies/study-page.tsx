// A study as a good consent form reads: purpose, who takes part, what leaves and what never does, what it costs, what was
// found, how to stop; the terms' hash at the foot. Design 9, "Study page".

import type { OutputOf } from '../../../app/bridge.ts';
import { useCall } from '../../bridge-provider.tsx';
import { WhatIsThis } from '../../ui/meaning.tsx';
import { CopyCode, Figure, Problem, Screen } from '../../ui/parts.tsx';
import { useWords } from '../../ui/words.tsx';
import { Baseline } from './baseline.tsx';
import { takesConsent } from './study-state.ts';
import { ConsentForm } from './consent-form.tsx';
import { TakingPart } from './taking-part.tsx';

export type Page = OutputOf<'study.review'>;

export function StudyPage({ name }: { readonly name: string }) {
  const { say } = useWords();
  const page = useCall('study.review', { study: name }, 'study.changed');
  if (page.value === null)
    return (
      <Screen title={say('screen.studies')}>
        {page.error === null ? <p className="muted">{say('reading')}</p> : <Problem error={page.error} />}
      </Screen>
    );
  const { summary } = page.value;
  return (
    <Screen title={summary.title} aside={<a href="#/studies">{say('study.all')}</a>}>
      <Problem error={page.error} />
      {summary.state === 'decide' ? null : <TakingPart page={page.value} />}
      <Purpose page={page.value} />
      <Institutions page={page.value} />
      <WhatLeaves page={page.value} />
      <Cost page={page.value} />
      {page.value.checkpoint === null ? <Baseline page={page.value} /> : null}
      <Findings page={page.value} />
      {takesConsent(summary) ? <ConsentForm page={page.value} /> : null}
      <footer className="row muted small">
        {say('study.hash')} <CopyCode code={summary.hash ?? ''} />
      </footer>
    </Screen>
  );
}

function Purpose({ page }: { readonly page: Page }) {
  const { say, day } = useWords();
  return (
    <section className="card">
      <h2>{say('study.purpose')}</h2>
      <p>{page.purpose}</p>
      <dl className="facts">
        <dt>{say('column.lead')}</dt>
        <dd>
          {page.lead.organisation} <span className="code">{page.lead.code}</span>
        </dd>
        <dt>{say('study.relay')}</dt>
        <dd>
          {page.relay.operator}, {page.relay.address}
        </dd>
        <dt>{say('study.lawful-basis')}</dt>
        <dd>{page.lawfulBasis}</dd>
        <dt>{say('study.ethics')}</dt>
        <dd>{page.references.ethics}</dd>
        <dt>{say('study.dpia')}</dt>
        <dd>{page.references.dpia}</dd>
        <dt>{say('study.retention')}</dt>
        <dd>{page.retention}</dd>
        <dt>{say('study.until')}</dt>
        <dd>{day(page.expires)}</dd>
      </dl>
    </section>
  );
}

function Institutions({ page }: { readonly page: Page }) {
  const { say } = useWords();
  const unknown = page.institutions.filter(({ known }) => known === 'unknown').length;
  return (
    <section className="card">
      <h2>{say('study.who')}</h2>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{say('column.institution')}</th>
            <th scope="col">{say('study.code')}</th>
            <th scope="col">{say('column.known')}</th>
          </tr>
        </thead>
        <tbody>
          {page.institutions.map(({ name, organisation, code, known }) => (
            <tr key={name}>
              <td>{organisation}</td>
              <td className="code">{code}</td>
              <td>
                {known === 'unknown' ? (
                  <span className="mark">{say('known.unknown')}</span>
                ) : (
                  <>
                    <span aria-hidden="true" className="tick">
                      ✓
                    </span>{' '}
                    {say(`known.${known}`)}
                  </>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="muted">
        {say('study.colluders', { colluders: page.colluders, losses: page.survivableLosses, unknown })}{' '}
        <WhatIsThis name="missed" />
      </p>
      {page.neighbours !== null && <p>{say('study.neighbours', { neighbours: page.neighbours })}</p>}
    </section>
  );
}

function WhatLeaves({ page }: { readonly page: Page }) {
  const { say } = useWords();
  const columns = page.columns
    .map(({ column, kind }) => (kind === 'person' ? null : column))
    .filter((one) => one !== null);
  return (
    <section className="card">
      <div className="columns">
        <div className="stack">
          <h2>{say('leaves.title')}</h2>
          <ul className="list">
            <li>
              {say('leaves.contribution', { count: page.parameters })} <br />
              <WhatIsThis name="sealed" named /> <WhatIsThis name="noise" named />
            </li>
            <li>{say('leaves.consent')}</li>
            <li>{say('leaves.signatures')}</li>
          </ul>
        </div>
        <div className="stack">
          <h2>{say('stays.title')}</h2>
          <ul className="list">
            <li>{say('stays.records')}</li>
            <li>{say('stays.own')}</li>
            <li>{say('stays.log')}</li>
          </ul>
        </div>
      </div>
      <details>
        <summary>{say('study.columns', { count: columns.length })}</summary>
        <p>{columns.join(', ')}</p>
      </details>
    </section>
  );
}

function Cost({ page }: { readonly page: Page }) {
  const { say, number, percent } = useWords();
  const { cost } = page;
  const budget = useCall('budget.get', {}, 'ledger.changed');
  const allowance = budget.value?.find(({ kind }) => kind === 'dataset') ?? null;
  const unit = say(`unit.${cost.unit}`);
  const share = allowance?.share ?? null;
  const limit = allowance?.epsilon ?? null;
  const worst = cost.epsilon === null ? null : Math.max(cost.epsilon, cost.outsiders ?? 0);
  return (
    <section className="card">
      <div className="row row-end">
        <h2>{say('cost.title')}</h2>
        <WhatIsThis name="epsilon" />
      </div>
      {worst === null ? (
        <p className="problem">{say('cost.no-bound')}</p>
      ) : (
        <>
          <div className="figures">
            <Figure
              label={say('cost.at-most')}
              value={`ε ${number(worst)}`}
              note={
                <>
                  {say('cost.delta', { delta: number(cost.delta) })} <WhatIsThis name="delta" />
                </>
              }
            />
            <Figure
              label={say('cost.protects')}
              value={unit}
              note={
                <>
                  {say(`cost.here-${cost.unit}`)} <WhatIsThis name="unit" />
                </>
              }
            />
            <Figure
              label={say('cost.allowance')}
              value={share === null ? say('cost.first') : percent(share)}
              note={limit === null ? say('cost.first-note') : say('cost.used-of', { epsilon: limit })}
            />
          </div>
          <p>{say(`cost.odds-${cost.unit}`, { factor: number(Math.exp(worst)) })}</p>
          <p className="muted">{say('cost.worst', { attempts: page.attempts, colluders: page.colluders })}</p>
        </>
      )}
    </section>
  );
}

function Findings({ page }: { readonly page: Page }) {
  const { say, sayHost } = useWords();
  return (
    <section className="card">
      <h2>{say('findings.title')}</h2>
      <p>
        <span className="level" data-level={page.outcome}>
          {say(`findings.${page.outcome}`)}
        </span>
      </p>
      {page.findings.map(({ code, level, reason, repair }) => (
        <div className="finding" data-level={level} key={`${code} ${reason}`}>
          <p>
            <span className="level" data-level={level}>
              {say(`level.${level}`)}
            </span>{' '}
            {sayHost(reason)}
          </p>
          <p className="muted">{sayHost(repair)}</p>
        </div>
      ))}
    </section>
  );
}
