// Bringing records into a study before anything is agreed to: chosen, matched and checked here, kept for the consent.

import { Button, Select, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useAction, useCall } from '../../bridge-provider.tsx';
import { LinkButton, Problem } from '../../ui/parts.tsx';
import { useWords } from '../../ui/words.tsx';
import { RecordsChooser, suggestedRecords } from './records-chooser.tsx';
import type { Records } from './records-chooser.tsx';

type Study = OutputOf<'study.list'>[number];

export function Import({ studies }: { readonly studies: readonly Study[] }) {
  const { say } = useWords();
  const [name, setName] = useState(studies[0]!.name);
  return (
    <section className="card" aria-labelledby="import">
      <h2 id="import">{say('import.title')}</h2>
      <p className="muted">{say('import.note')}</p>
      <Select
        label={say('column.study')}
        data={studies.map((study) => ({ value: study.name, label: study.title }))}
        value={name}
        allowDeselect={false}
        onChange={(value) => value !== null && setName(value)}
      />
      <ForStudy key={name} name={name} />
    </section>
  );
}

function ForStudy({ name }: { readonly name: string }) {
  const page = useCall('study.review', { study: name }, 'study.changed');
  if (page.value === null) return <Problem error={page.error} />;
  return <Chosen page={page.value} />;
}

function Chosen({ page }: { readonly page: OutputOf<'study.review'> }) {
  const { say } = useWords();
  const { suggestion, summary } = page;
  const [records, setRecords] = useState<Records>(() => suggestedRecords(page));
  const [dataset, setDataset] = useState(suggestion.dataset);
  const [kept, setKept] = useState(false);
  const keep = useAction('data.keep');
  return (
    <>
      <RecordsChooser
        study={summary.name}
        columns={page.columns}
        wanted={page.checkpoint}
        value={records}
        onChange={(next) => {
          setRecords(next);
          setKept(false);
        }}
      />
      <div className="columns">
        <TextInput
          label={say('consent.dataset')}
          description={say('consent.dataset-note')}
          value={dataset}
          onChange={(event) => setDataset(event.currentTarget.value)}
        />
      </div>
      <Problem error={keep.error} />
      <div className="row">
        {kept ? (
          <>
            <span role="status">{say('import.kept')}</span>
            <LinkButton to={`studies/${summary.name}`}>{say('today.read-study')}</LinkButton>
          </>
        ) : (
          <Button
            variant="default"
            disabled={keep.busy || records.path === '' || dataset === ''}
            onClick={() =>
              void keep
                .run({ study: summary.name, path: records.path, dataset, mapping: records.mapping })
                .then((done) => setKept(done !== null))
            }
          >
            {say('import.keep')}
          </Button>
        )}
      </div>
    </>
  );
}
