// The screens, each loaded when it is first looked at, together with the sentences that the host may say: so the frame and
// the first screen are painted before the rest of the program is read. The others are fetched once that one stands, so that
// a host which ends later takes no screen away.

import { lazy } from 'react';
import type { ComponentType } from 'react';
import { Problem, Screen } from './ui/parts.tsx';
import { loadHostSentences, useWords } from './ui/words.tsx';

type Load<Props> = () => Promise<ComponentType<Props>>;

const fetched: (() => Promise<unknown>)[] = [];

function screen<Props>(load: Load<Props>) {
  fetched.push(load);
  return lazy(async () => {
    try {
      const [component] = await Promise.all([load(), loadHostSentences()]);
      return { default: component };
    } catch {
      return { default: NotLoaded as ComponentType<Props> };
    }
  });
}

export const Today = screen(async () => (await import('./features/today/today.tsx')).Today);
export const Studies = screen(async () => (await import('./features/studies/studies.tsx')).Studies);
export const StudyPage = screen(async () => (await import('./features/studies/study-page.tsx')).StudyPage);
export const Data = screen(async () => (await import('./features/data/data.tsx')).Data);
export const Rounds = screen(async () => (await import('./features/rounds/rounds.tsx')).Rounds);
export const Budget = screen(async () => (await import('./features/budget/budget.tsx')).Budget);
export const Audit = screen(async () => (await import('./features/audit/audit.tsx')).Audit);
export const System = screen(async () => (await import('./features/system/system.tsx')).System);

/** Fetches what no screen has asked for yet; a failure shows where the screen is opened. */
export async function fetchScreens(): Promise<void> {
  await Promise.allSettled(fetched.map((load) => load()));
}

function NotLoaded() {
  const { say } = useWords();
  return (
    <Screen title={say('state.no-program')}>
      <Problem error={{ code: 'host-gone', message: say('screen.not-loaded') }} />
    </Screen>
  );
}
