// Persons who object: lists that were loaded, and loading another. Who is on one is never shown again, and nobody is taken
// off. Design 4, "The ledger".

import { Button } from '@mantine/core';
import { useState } from 'react';
import { useAction, useCall } from '../../bridge-provider.tsx';
import { FileField } from '../../ui/file-picker.tsx';
import { Problem } from '../../ui/parts.tsx';
import { useWords } from '../../ui/words.tsx';

export function Exclusions() {
  const { say, moment, number } = useWords();
  const lists = useCall('exclusion.list', {}, 'ledger.changed');
  const [path, setPath] = useState('');
  const add = useAction('exclusion.add');
  const load = async (): Promise<void> => {
    if ((await add.run({ path })) !== null) setPath('');
  };
  return (
    <section className="card" aria-labelledby="objections">
      <h2 id="objections">{say('exclusion.title')}</h2>
      <p className="muted">{say('exclusion.note')}</p>
      {(lists.value ?? []).length === 0 ? (
        <p>{say('exclusion.none')}</p>
      ) : (
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{say('column.when')}</th>
              <th scope="col">{say('exclusion.persons')}</th>
              <th scope="col" className="amount">
                {say('column.entry')}
              </th>
            </tr>
          </thead>
          <tbody>
            {(lists.value ?? []).map(({ seq, time, from, to }) => (
              <tr key={seq}>
                <td className="number">{moment(time)}</td>
                <td className="number">{say('exclusion.bucket', { from, to })}</td>
                <td className="amount">{number(seq)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <FileField label={say('exclusion.file')} note={say('exclusion.file-note')} value={path} onChange={setPath} />
      <Problem error={lists.error ?? add.error} />
      <div className="row">
        <Button variant="default" disabled={path === '' || add.busy} onClick={() => void load()}>
          {say('exclusion.load')}
        </Button>
        <span className="muted">{say('exclusion.for-good')}</span>
      </div>
    </section>
  );
}
