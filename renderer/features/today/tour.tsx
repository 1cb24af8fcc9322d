// The first-run tour: four steps, each a picture and two sentences, offered on Today until it was taken or put away.

import { Button } from '@mantine/core';
import { useState } from 'react';
import { Dialogue } from '../../ui/dialogue.tsx';
import { MeaningPicture } from '../../ui/pictures.tsx';
import type { Meaning } from '../../ui/pictures.tsx';
import { useWords } from '../../ui/words.tsx';

const steps: readonly { readonly name: 'joint' | 'decide' | 'watch' | 'prove'; readonly picture: Meaning }[] = [
  { name: 'joint', picture: 'round' },
  { name: 'decide', picture: 'unit' },
  { name: 'watch', picture: 'epsilon' },
  { name: 'prove', picture: 'log' },
];
const storageKey = 'consilience-tour';

export function Tour() {
  const { say } = useWords();
  const [offered, setOffered] = useState(() => localStorage.getItem(storageKey) === null);
  const [at, setAt] = useState<number | null>(null);
  const end = (): void => {
    localStorage.setItem(storageKey, 'seen');
    setAt(null);
    setOffered(false);
  };
  if (!offered) return null;
  const step = steps[at ?? 0]!;
  const title = say(`tour.${step.name}-title`);
  return (
    <section className="card" aria-labelledby="tour">
      <h2 id="tour">{say('tour.title')}</h2>
      <p className="muted">{say('tour.note')}</p>
      <div className="row">
        <Button variant="default" onClick={() => setAt(0)}>
          {say('tour.begin')}
        </Button>
        <button type="button" className="plain-button" onClick={end}>
          {say('tour.not-now')}
        </button>
      </div>
      <Dialogue opened={at !== null} onClose={() => setAt(null)} title={title}>
        <MeaningPicture name={step.picture} label={title} />
        <p>{say(`tour.${step.name}`)}</p>
        <div className="row row-end">
          <span className="muted number" role="status">
            {say('tour.step', { step: (at ?? 0) + 1, steps: steps.length })}
          </span>
          <div className="row">
            {at === null || at === 0 ? null : (
              <Button variant="default" onClick={() => setAt(at - 1)}>
                {say('tour.back')}
              </Button>
            )}
            {(at ?? 0) < steps.length - 1 ? (
              <Button onClick={() => setAt((at ?? 0) + 1)}>{say('tour.next')}</Button>
            ) : (
              <Button onClick={end}>{say('tour.end')}</Button>
            )}
          </div>
        </div>
      </Dialogue>
    </section>
  );
}
