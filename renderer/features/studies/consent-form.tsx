// The institution's consent: which records, checked row by row first; the most it may cost; until when; whether each
// session of training rounds is asked for. Nothing is signed before the button says so. Design 1, journey 2.

import { Button, Checkbox, NumberInput, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useAction } from '../../bridge-provider.tsx';
import { Problem } from '../../ui/parts.tsx';
import { WorkProgress } from '../../ui/work-progress.tsx';
import { useWords } from '../../ui/words.tsx';
import { checkpointFolder, RecordsChooser, recordsNamed, suggestedRecords } from '../data/records-chooser.tsx';
import type { Records } from '../data/records-chooser.tsx';
import { SessionFields } from './session-fields.tsx';
import type { SessionLength } from './session-fields.tsx';
import type { Page } from './study-page.tsx';

export function ConsentForm({ page }: { readonly page: Page }) {
  const { say } = useWords();
  const { suggestion, summary, outcome } = page;
  const [records, setRecords] = useState<Records>(() => suggestedRecords(page));
  const [dataset, setDataset] = useState(suggestion.dataset);
  const [epsilon, setEpsilon] = useState<string | number>(suggestion.epsilon ?? '');
  const [datasetEpsilon, setDatasetEpsilon] = useState<string | number>('');
  const [expires, setExpires] = useState(suggestion.expires.slice(0, 10));
  const [session, setSession] = useState<SessionLength | null>(null);
  const [noNoise, setNoNoise] = useState(false);
  const [removed, setRemoved] = useState(false);
  const consent = useAction('consent.give');
  const noise = suggestion.epsilon !== null;
  const refused = outcome === 'refuse';

  const give = async (): Promise<void> => {
    const done = await consent.run({
      study: summary.name,
      path: records.path,
      dataset,
      epsilon: noise ? Number(epsilon) : null,
      datasetEpsilon: Number(datasetEpsilon) > 0 ? Number(datasetEpsilon) : null,
      expires: expires === suggestion.expires.slice(0, 10) ? suggestion.expires : `${expires}T00:00:00Z`,
      acceptNoNoise: noNoise,
      mapping: records.mapping,
      checkpoint: checkpointFolder(records),
      excludedRemoved: removed,
      session,
    });
    if (done !== null) location.hash = '#/rounds';
  };

  return (
    <section className="card" data-tone={refused ? 'broken' : 'decision'} aria-labelledby="consent">
      <h2 id="consent">{say('consent.title')}</h2>
      <details>
        <summary>{say('consent.not-patient')}</summary>
        <p>{say('consent.not-patient-text')}</p>
      </details>
      <h3>{say('consent.records')}</h3>
      <RecordsChooser
        study={summary.name}
        columns={page.columns}
        wanted={page.checkpoint}
        value={records}
        onChange={setRecords}
      />
      <div className="columns">
        <TextInput
          label={say('consent.dataset')}
          description={say('consent.dataset-note')}
          value={dataset}
          onChange={(event) => setDataset(event.currentTarget.value)}
        />
      </div>
      {page.asksExcludedRemoved ? (
        <Checkbox
          label={say('consent.excluded-removed')}
          checked={removed}
          onChange={(event) => setRemoved(event.currentTarget.checked)}
        />
      ) : null}
      <h3>{say('consent.limits')}</h3>
      <div className="columns fields">
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
        {noise ? (
          <NumberInput
            label={say('consent.dataset-ceiling')}
            description={say('consent.dataset-ceiling-note')}
            value={datasetEpsilon}
            onChange={setDatasetEpsilon}
            min={0}
            allowNegative={false}
            hideControls
          />
        ) : null}
        <TextInput
          type="date"
          label={say('consent.expires')}
          description={say('consent.expires-note')}
          value={expires}
          max={suggestion.expires.slice(0, 10)}
          onChange={(event) => setExpires(event.currentTarget.value)}
        />
      </div>
      <h3>{say('session.title')}</h3>
      <SessionFields value={session} onChange={setSession} />
      <Problem error={consent.error} />
      <WorkProgress name="consent.give" label={say('consent.giving')} />
      <div className="row">
        <Button
          disabled={consent.busy || refused || !recordsNamed(records, page.checkpoint) || expires === ''}
          onClick={() => void give()}
        >
          {say('consent.give')}
        </Button>
        <span className="muted">{say(refused ? 'consent.refused' : 'consent.stop-note')}</span>
      </div>
    </section>
  );
}
