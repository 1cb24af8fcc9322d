// How far a long job of the host is: a bar with a number and an estimate, and a cancel. Shown by whoever began it, and by
// any other window while it lasts. Design 9, "Motion".

import { Button, Progress } from '@mantine/core';
import type { OutputOf } from '../../app/bridge.ts';
import { useAction, useCall } from '../bridge-provider.tsx';
import { Problem } from './parts.tsx';
import { useWords } from './words.tsx';
import type { Words } from './words.tsx';

type Work = OutputOf<'work.list'>[number];

export function WorkProgress({ name, label }: { readonly name: Work['name']; readonly label: string }) {
  const words = useWords();
  const works = useCall('work.list', {}, 'work.changed');
  const cancel = useAction('work.cancel');
  const work = works.value?.find((one) => one.name === name);
  if (work === undefined) return null;
  const share = work.total === null || work.total === 0 ? null : Math.min(1, work.done / work.total);
  return (
    <div className="work">
      <div className="stack work-bar">
        <span className="number" role="status">
          {label} {sentence(words, work, share)}
        </span>
        {share === null ? null : <Progress value={100 * share} aria-label={label} />}
      </div>
      <Button variant="default" size="compact-sm" loading={cancel.busy} onClick={() => void cancel.run({ name })}>
        {words.say('work.cancel')}
      </Button>
      <Problem error={cancel.error} />
    </div>
  );
}

function sentence({ say, percent }: Words, { done, began }: Work, share: number | null): string {
  if (share === null) return done === 0 ? '' : say('work.so-far', { count: done });
  const left = secondsLeft(Date.parse(began), share);
  const known = percent(Math.floor(100 * share) / 100);
  return left === null ? known : say('work.left', { share: known, seconds: left });
}

/** By the pace so far; null before there is one. */
function secondsLeft(began: number, share: number): number | null {
  const spent = (Date.now() - began) / 1000;
  return share < 0.02 || spent < 0.5 ? null : Math.ceil((spent * (1 - share)) / share);
}
