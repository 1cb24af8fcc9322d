// The institution's consent: which records, checked row by row first; the most it may cost; until when. Nothing is signed
// before the button says so. Design 1, journey 2.

import { Button, Checkbox, NumberInput, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useAction } from '../../bridge-provider.tsx';
import { Problem } from '../../ui/parts.tsx';
import { useWords } from '../../ui/words.tsx';
import type { Page } from './study-page.tsx';

type Check = OutputOf<'data.check'>;

export function ConsentForm({ page }: { readonly page: Page }) {
  const { say } = useWords();
  const { suggestion, summary, outcome } = page;
  const [path, setPath] = useState(suggestion.path ?? '');
  const [dataset, setDataset] = useState('records');
  const [epsilon, setEpsilon] = useState<string | number>(suggestion.epsilon ?? '');
  const [expires, setExpires] = useState(suggestion.expires.slice(0, 10));
  const [noNoise, setNoNoise] = useState(false);
  const [checked, setChecked] = useState<Check | null>(null);
  const check = useAction('data.check');
  const consent = useAction('consent.give');
  const noise = suggestion.epsilon !== null;

  const give = async (): Promise<void> => {
    const done = await consent.run({
      study: summary.name,
      path,
      dataset,
      epsilon: noise ? Number(epsilon) : null,
      datasetEpsilon: null,
      expires: expires === suggestion.expires.slice(0, 10) ? suggestion.expires : `${expires}T00:00:00Z`,
      acceptNoNoise: noNoise,
    });
    if (done !== null) location.hash = '#/rounds';
  };

  return (
    <section className="card" data-tone="decision" aria-labelledby="consent">
      <h2 id="consent">{say('consent.title')}</h2>
      <details>
        <summary>{say('consent.not-patient')}</summary>
        <p>{say('consent.not-patient-text')}</p>
      </details>
      <div className="row" style={{ alignItems: 'end' }}>
        <TextInput
          style={{ flex: '1 1 400px' }}
          label={say('consent.path')}
          description={say('consent.path-note')}
          value={path}
          onChange={(event) => {
            setPath(event.currentTarget.value);
            setChecked(null);
          }}
        />
        <Button
          variant="default"
          loading={check.busy}
          disabled={path === ''}
          onClick={() => void check.run({ study: summary.name, path }).then(setChecked)}
        >
          {say('consent.check')}
        </Button>
      </div>
      <Problem error={check.error} />
      {checked === null ? null : <Checked check={checked} />}
      <div className="columns">
        <TextInput
          label={say('consent.dataset')}
          description={say('consent.dataset-note')}
          value={dataset}
          onChange={(event) => setDataset(event.currentTarget.value)}
        />
        <TextInput
          type="date"
          label={say('consent.expires')}
          description={say('consent.expires-note')}
          value={expires}
          max={suggestion.expires.slice(0, 10)}
          onChange={(event) => setExpires(event.currentTarget.value)}
        />
        {noise ? (
          <NumberInput
            label={say('consent.ceiling')}
            description={say('consent.ceiling-note')}
            value={epsilon}
            onChange={setEpsilon}
            min={0}
            allowNegative={false}
            hideControls
          />
        ) : (
          <Checkbox
            label={say('consent.no-noise')}
            checked={noNoise}
            onChange={(event) => setNoNoise(event.currentTarget.checked)}
          />
        )}
      </div>
      <Problem error={consent.error} />
      <div className="row">
        <Button
          loading={consent.busy}
          disabled={outcome === 'refuse' || path === '' || expires === ''}
          onClick={() => void give()}
        >
          {say('consent.give')}
        </Button>
        <span className="muted">{say(outcome === 'refuse' ? 'consent.refused' : 'consent.stop-note')}</span>
      </div>
    </section>
  );
}

function Checked({ check }: { readonly check: Check }) {
  const { say } = useWords();
  const unit = say(`units.${check.unit}`);
  return (
    <div className="notice stack" role="status">
      <p>{say('check.counted', { from: check.from, to: check.to, unit })}</p>
      {check.dropped > 0 ? <p>{say('check.dropped', { count: check.dropped })}</p> : null}
      <p>{say(check.fits ? 'check.fits' : 'check.does-not-fit')}</p>
      {check.problemCount === 0 ? null : (
        <details>
          <summary>{say('check.problems', { count: check.problemCount })}</summary>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{say('column.line')}</th>
                <th scope="col">{say('column.column')}</th>
                <th scope="col">{say('column.problem')}</th>
              </tr>
            </thead>
            <tbody>
              {check.problems.map(({ line, column, problem }) => (
                <tr key={`${line} ${column}`}>
                  <td className="number">{line}</td>
                  <td>{column}</td>
                  <td>{problem}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </div>
  );
}
