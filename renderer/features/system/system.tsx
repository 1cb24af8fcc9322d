// System: this program, this machine, its keys and policy, what works; and how the window looks. Design 1, "Screens".

import { Button, SegmentedControl, useMantineColorScheme } from '@mantine/core';
import { useState } from 'react';
import type { OutputOf } from '../../../app/bridge.ts';
import { useAction, useCall } from '../../bridge-provider.tsx';
import { Problem, Screen } from '../../ui/parts.tsx';
import { WorkProgress } from '../../ui/work-progress.tsx';
import { languages, useWords } from '../../ui/words.tsx';
import type { Language } from '../../ui/words.tsx';

export function System() {
  const { say } = useWords();
  const system = useCall('system.get', {}, 'study.changed');
  const session = useCall('session.get', {});
  return (
    <Screen title={say('screen.system')}>
      <Problem error={system.error ?? session.error} />
      {system.value === null || session.value === null ? null : <Facts system={system.value} session={session.value} />}
      <Computing />
      <Doctor />
      <Looks />
    </Screen>
  );
}

function Facts(props: { readonly system: OutputOf<'system.get'>; readonly session: OutputOf<'session.get'> }) {
  const { say, sayKnown, number } = useWords();
  const { system, session } = props;
  const limit = (value: number | null): string => (value === null ? say('system.no-limit') : `ε ${number(value)}`);
  return (
    <section className="card">
      <h2>{say('system.here')}</h2>
      <dl className="facts">
        <dt>{say('system.you')}</dt>
        <dd>
          {session.id}, {say(`role.${session.role}`)}
        </dd>
        <dt>{say('study.code')}</dt>
        <dd className="code">{system.ownCode ?? say('system.no-keys')}</dd>
        <dt>{say('system.keys')}</dt>
        <dd>{system.keys === null ? say('system.no-keys') : (sayKnown('keys', system.keys) ?? system.keys)}</dd>
        <dt>{say('system.policy')}</dt>
        <dd>
          {system.policy === null
            ? say('system.no-policy')
            : say('system.policy-limits', {
                path: system.policy.path,
                study: limit(system.policy.perStudy),
                dataset: limit(system.policy.perDataset),
              })}
          {system.policy === null ? null : (
            <p className="muted">
              {say('system.policy-more', {
                known: system.policy.known,
                unknown: system.policy.mostUnknown,
                days: system.policy.mostConsentDays,
              })}{' '}
              {system.policy.contact}
            </p>
          )}
        </dd>
        <dt>{say('system.folder')}</dt>
        <dd className="code">{system.home}</dd>
        <dt>{say('system.version')}</dt>
        <dd className="number">
          Consilience {system.version}, Node {system.node}, {system.platform}
        </dd>
        <dt>{say('system.windows')}</dt>
        <dd className="number">{number(system.windows)}</dd>
      </dl>
    </section>
  );
}

/** Which backend trains here and how fast it is; measured once asked for, because that takes seconds. */
function Computing() {
  const { say, sayHost, number } = useWords();
  const backend = useAction('system.backend');
  const [measured, setMeasured] = useState<OutputOf<'system.backend'> | null>(null);
  return (
    <section className="card">
      <div className="row row-end">
        <h2>{say('backend.title')}</h2>
        <Button variant="default" loading={backend.busy} onClick={() => void backend.run({}).then(setMeasured)}>
          {say('backend.do')}
        </Button>
      </div>
      <p className="muted">{say('backend.note')}</p>
      <Problem error={backend.error} />
      {measured === null ? null : (
        <dl className="facts">
          <dt>{say('backend.taken')}</dt>
          <dd>
            {measured.name}
            {measured.device === null ? '' : `, ${measured.device}`}
          </dd>
          <dt>{say('backend.speed')}</dt>
          <dd className="number">{say('backend.gigaflops', { speed: number(measured.gigaflops) })}</dd>
          {measured.refused.length === 0 ? null : (
            <>
              <dt>{say('backend.refused')}</dt>
              <dd>{measured.refused.map(({ name, reason }) => `${name}: ${sayHost(reason)}`).join('; ')}</dd>
            </>
          )}
          {measured.absent.length === 0 ? null : (
            <>
              <dt>{say('backend.absent')}</dt>
              <dd className="muted">{measured.absent.map(({ name }) => name).join(', ')}</dd>
            </>
          )}
        </dl>
      )}
    </section>
  );
}

function Doctor() {
  const { say, sayHost } = useWords();
  const doctor = useAction('system.doctor');
  const [checks, setChecks] = useState<OutputOf<'system.doctor'> | null>(null);
  return (
    <section className="card">
      <div className="row row-end">
        <h2>{say('doctor.title')}</h2>
        <Button variant="default" disabled={doctor.busy} onClick={() => void doctor.run({}).then(setChecks)}>
          {say('doctor.do')}
        </Button>
      </div>
      <p className="muted">{say('doctor.note')}</p>
      <WorkProgress name="system.doctor" label={say('doctor.running')} />
      <Problem error={doctor.error} />
      {(checks ?? []).map((check) => (
        <div className="finding" data-level={check.level} key={check.name}>
          <p>
            <span className="level" data-level={check.level}>
              {say(`level.${check.level}`)}
            </span>{' '}
            {sayHost(check.found)}
          </p>
          <p className="muted">{sayHost(check.meaning)}</p>
          {check.repair === null ? null : <p>{sayHost(check.repair)}</p>}
        </div>
      ))}
    </section>
  );
}

const schemes = ['auto', 'light', 'dark'] as const;

function Looks() {
  const { say, language, setLanguage } = useWords();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <section className="card">
      <h2>{say('looks.title')}</h2>
      <div className="row">
        <SegmentedControl
          aria-label={say('looks.theme')}
          value={colorScheme}
          onChange={(value) => setColorScheme(schemes.find((one) => one === value) ?? 'auto')}
          data={schemes.map((scheme) => ({ value: scheme, label: say(`looks.${scheme}`) }))}
        />
        <SegmentedControl
          aria-label={say('looks.language')}
          value={language}
          onChange={(value) => setLanguage(value as Language)}
          data={Object.entries(languages).map(([code, { name }]) => ({ value: code, label: name }))}
        />
      </div>
    </section>
  );
}
