// Data: which records take part in which studies, and how much of their allowance is used. Records are named where a
// consent is given; nothing of their content is here. Design 1, "Screens".

import { useCall } from '../../bridge-provider.tsx';
import { Empty, LinkButton, Problem, Screen } from '../../ui/parts.tsx';
import { useWords } from '../../ui/words.tsx';

export function Data() {
  const { say, moment, number, percent } = useWords();
  const data = useCall('data.list', {}, 'study.changed', 'ledger.changed');
  return (
    <Screen title={say('screen.data')}>
      <Problem error={data.error} />
      {data.value !== null && data.value.length === 0 ? (
        <Empty action={<LinkButton to="studies">{say('data.to-studies')}</LinkButton>}>{say('data.none')}</Empty>
      ) : null}
      {(data.value ?? []).map((dataset) => (
        <section className="card" key={dataset.name}>
          <h2>{dataset.name}</h2>
          <dl className="facts">
            <dt>{say('data.holds')}</dt>
            <dd className="number">
              {say('data.bucket', { from: dataset.from, to: dataset.to, unit: say(`units.${dataset.unit}`) })}
            </dd>
            <dt>{say('data.file')}</dt>
            <dd className="code">{dataset.path ?? say('data.no-file')}</dd>
            <dt>{say('data.imported')}</dt>
            <dd className="number">{moment(dataset.imported)}</dd>
            <dt>{say('data.used-in')}</dt>
            <dd>{dataset.studies.map(({ title }) => title).join(', ')}</dd>
            <dt>{say('data.allowance')}</dt>
            <dd className="number">
              {dataset.epsilon === null || dataset.share === null
                ? say('cost.unbounded')
                : say('data.allowance-used', { share: percent(dataset.share), epsilon: number(dataset.epsilon) })}
            </dd>
          </dl>
          <p className="muted">{say('data.stays')}</p>
        </section>
      ))}
    </Screen>
  );
}
