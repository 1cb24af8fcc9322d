// Whether the program takes part on its own, or asks for a session at a time: so many training rounds, so many hours.
// Design 1, journey 2.

import { NumberInput, Radio } from '@mantine/core';
import type { InputOf } from '../../../app/bridge.ts';
import { useWords } from '../../ui/words.tsx';

export type SessionLength = NonNullable<InputOf<'session.ask'>['session']>;

const usual: SessionLength = { rounds: 10, hours: null };

export function SessionFields(props: {
  readonly value: SessionLength | null;
  readonly onChange: (value: SessionLength | null) => void;
}) {
  const { say } = useWords();
  const { value, onChange } = props;
  const whole = (given: string | number): number | null => (Number(given) >= 1 ? Math.floor(Number(given)) : null);
  const hours = (given: string | number): number | null => (Number(given) >= 0.1 ? Number(given) : null);
  return (
    <div className="stack">
      <Radio.Group
        aria-label={say('session.title')}
        value={value === null ? 'alone' : 'asks'}
        onChange={(chosen) => onChange(chosen === 'alone' ? null : usual)}
      >
        <div className="stack">
          <Radio value="alone" label={say('session.alone')} />
          <Radio value="asks" label={say('session.asks')} />
        </div>
      </Radio.Group>
      {value === null ? null : (
        <div className="row" style={{ alignItems: 'end' }}>
          <NumberInput
            label={say('session.rounds')}
            value={value.rounds ?? ''}
            allowDecimal={false}
            allowNegative={false}
            hideControls
            onChange={(given) => onChange({ ...value, rounds: whole(given) })}
          />
          <NumberInput
            label={say('session.hours')}
            value={value.hours ?? ''}
            allowNegative={false}
            hideControls
            onChange={(given) => onChange({ ...value, hours: hours(given) })}
          />
          <span className="muted">{say('session.whichever')}</span>
        </div>
      )}
    </div>
  );
}
