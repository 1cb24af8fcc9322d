// The frame: seven words on the left, the institution and one sentence of state on top, one screen. The address after #
// says which, so that back, forward and a bookmark work. Design 9, "Frame".

import { Suspense, useEffect, useState } from 'react';
import type { ReactNode } from 'react';
import { useBridge, useCall } from './bridge-provider.tsx';
import { stateOf } from './features/rounds/state-sentence.ts';
import { needsSomebody } from './features/studies/study-state.ts';
import { Audit, Budget, Data, Rounds, Studies, StudyPage, System, Today, fetchScreens } from './screens.tsx';
import { useWords } from './ui/words.tsx';

const screens = ['today', 'studies', 'data', 'rounds', 'budget', 'audit', 'system'] as const;
type ScreenName = (typeof screens)[number];

type Place = { readonly screen: ScreenName; readonly detail: string | null };

function placeOf(hash: string): Place {
  const [name = '', detail = ''] = hash.replace(/^#\/?/, '').split('/');
  const screen = screens.find((one) => one === name) ?? 'today';
  return { screen, detail: detail === '' ? null : decodeURIComponent(detail) };
}

function usePlace(): Place {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  useEffect(() => {
    const follow = (): void => {
      setPlace(placeOf(location.hash));
      scrollTo(0, 0);
    };
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return place;
}

export function App() {
  const { say } = useWords();
  const place = usePlace();
  const studies = useCall('study.list', {}, 'study.changed');
  const session = useCall('session.get', {}, 'study.changed');
  const invitation = useOpenedInvitation();
  const decisions = (studies.value ?? []).filter(needsSomebody).length;
  return (
    <div className="frame">
      <div className="brand">Consilience</div>
      <header className="topbar">
        <span className="topbar-name">{session.value?.institution ?? say('frame.no-institution')}</span>
        <StatePill decisions={decisions} />
      </header>
      <nav className="navigation" aria-label={say('frame.navigation')}>
        <ul>
          {screens.map((screen) => (
            <li key={screen}>
              <a href={`#/${screen}`} aria-current={place.screen === screen ? 'page' : undefined}>
                {say(`screen.${screen}`)}
                {screen === 'today' && decisions > 0 ? (
                  <span className="count" aria-label={say('frame.decisions', { count: decisions })}>
                    {decisions}
                  </span>
                ) : null}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main className="content">
        <Suspense fallback={null}>
          {screenFor(place, invitation)}
          <OnceShown />
        </Suspense>
      </main>
    </div>
  );
}

/** Stands beside a screen, so it is there when that is. */
function OnceShown() {
  useEffect(() => void fetchScreens(), []);
  return null;
}

/** Text of the newest invitation that was opened outside the window; its coming shows the screen that reads it. */
function useOpenedInvitation(): string | null {
  const bridge = useBridge();
  const [text, setText] = useState<string | null>(null);
  useEffect(
    () =>
      bridge.onInvitation((opened) => {
        setText(opened);
        location.hash = '#/studies';
      }),
    [bridge],
  );
  return text;
}

function screenFor({ screen, detail }: Place, invitation: string | null): ReactNode {
  switch (screen) {
    case 'today':
      return <Today />;
    case 'studies':
      return detail === null ? (
        <Studies invitation={invitation} key={invitation} />
      ) : (
        <StudyPage name={detail} key={detail} />
      );
    case 'data':
      return <Data />;
    case 'rounds':
      return <Rounds />;
    case 'budget':
      return <Budget />;
    case 'audit':
      return <Audit />;
    case 'system':
      return <System />;
  }
}

function StatePill({ decisions }: { readonly decisions: number }) {
  const words = useWords();
  const bridge = useBridge();
  const [connected, setConnected] = useState(true);
  const rounds = useCall('round.list', {}, 'round.changed');
  useEffect(() => bridge.onConnection(setConnected), [bridge]);
  if (!connected)
    return (
      <span className="pill" data-tone="broken" role="status">
        {words.say('state.no-program')}
      </span>
    );
  const state = stateOf(words, rounds.value?.now[0] ?? null, decisions);
  return (
    <span className="pill" data-tone={state.tone} role="status">
      {state.sentence}
    </span>
  );
}
