// "What does this mean?", one click away from a number: a picture and a sentence.

import { useState } from 'react';
import { Dialogue } from './dialogue.tsx';
import { MeaningPicture } from './pictures.tsx';
import type { Meaning } from './pictures.tsx';
import { useWords } from './words.tsx';

/** `named`: says in sight what is meant, where two stand side by side. */
export function WhatIsThis(props: { readonly name: Exclude<Meaning, 'log'>; readonly named?: boolean }) {
  const { name, named = false } = props;
  const { say } = useWords();
  const [open, setOpen] = useState(false);
  const title = say(`meaning.${name}.title`);
  return (
    <>
      <button type="button" className="plain-button small" onClick={() => setOpen(true)}>
        {named ? (
          say('meaning.ask-named', { what: title })
        ) : (
          <>
            {say('meaning.ask')}
            <span className="visually-hidden"> {title}</span>
          </>
        )}
      </button>
      <Dialogue opened={open} onClose={() => setOpen(false)} title={title}>
        <MeaningPicture name={name} label={title} />
        <p>{say(`meaning.${name}.text`)}</p>
      </Dialogue>
    </>
  );
}
