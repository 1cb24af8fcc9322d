// Two charts in plain SVG: the bar of an allowance and the step curve of what was used, with its forecast. Each has its
// table beside it (budget.tsx), so the drawing is one image with one sentence for a screen reader. Design 9, "Budget".

import { useNarrow } from '../../ui/use-narrow.ts';
import { useWords } from '../../ui/words.tsx';
import type { Allowance } from './budget.tsx';

/** Drawn in the size in which it is shown, so that its words stay as large as the others. */
const useWidth = (): number => (useNarrow() ? 592 : 880);

export function AllowanceBar({ allowance }: { readonly allowance: Allowance }) {
  const { say, percent, number } = useWords();
  const width = useWidth();
  const share = Math.min(1, allowance.share ?? 0);
  const reserved = Math.min(share, allowance.reservedShare ?? 0);
  const settled = share - reserved;
  const said = say('budget.bar', { used: percent(settled), reserved: percent(reserved), left: percent(1 - share) });
  return (
    <div className="stack">
      <svg viewBox={`0 0 ${width} 40`} role="img" aria-label={said} style={{ width: '100%', height: 'auto' }}>
        <rect x="1" y="4" width={width - 2} height="16" fill="var(--ground)" stroke="var(--line-strong)" />
        <rect x="1" y="4" width={settled * (width - 2)} height="16" fill="var(--accent)" />
        <rect
          x={1 + settled * (width - 2)}
          y="4"
          width={reserved * (width - 2)}
          height="16"
          fill="var(--accent-soft)"
          stroke="var(--accent)"
        />
        {[0, 0.25, 0.5, 0.75, 1].map((at) => (
          <g key={at} fontSize="12" fill="var(--muted)">
            <line x1={1 + at * (width - 2)} x2={1 + at * (width - 2)} y1="20" y2="25" stroke="var(--line-strong)" />
            <text x={1 + at * (width - 2)} y="38" textAnchor={at === 0 ? 'start' : at === 1 ? 'end' : 'middle'}>
              {at === 1 && allowance.epsilon !== null ? `${percent(1)} (ε ${number(allowance.epsilon)})` : percent(at)}
            </text>
          </g>
        ))}
      </svg>
      <p className="small muted">{said}</p>
    </div>
  );
}

const height = 200;
const plotOf = (width: number) => ({ left: 48, right: width - 16, top: 12, bottom: height - 28 });

export function AllowanceCurve({ allowance }: { readonly allowance: Allowance }) {
  const { say, percent, moment } = useWords();
  const width = useWidth();
  const plot = plotOf(width);
  const { curve, forecast } = allowance;
  const first = curve[0]!;
  const last = curve.at(-1)!;
  const from = Date.parse(first.time);
  const lastTime = Date.parse(last.time);
  const span = Math.max(1, lastTime - from);
  // At most as much future as there is past: a pace is not known for longer.
  const until = forecast === null ? lastTime : Math.min(Date.parse(forecast.at), lastTime + span);
  const x = (time: number): number =>
    plot.left + ((time - from) / Math.max(1, until - from)) * (plot.right - plot.left);
  const y = (share: number): number => plot.bottom - Math.min(1, share) * (plot.bottom - plot.top);
  const steps = curve.map(({ time, share }) => `H${x(Date.parse(time)).toFixed(1)} V${y(share ?? 0).toFixed(1)}`);
  const path = `M${plot.left} ${plot.bottom} ${steps.join(' ')}`;
  const ahead =
    forecast === null
      ? null
      : 1 - (1 - (last.share ?? 0)) * (1 - (until - lastTime) / Math.max(1, Date.parse(forecast.at) - lastTime));
  const label = say('budget.curve', {
    from: moment(first.time),
    to: moment(last.time),
    share: percent(last.share ?? 0),
  });
  return (
    <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label} style={{ width: '100%', height: 'auto' }}>
      {[0, 0.5, 1].map((share) => (
        <g key={share} fontSize="12" fill="var(--muted)">
          <line
            x1={plot.left}
            x2={plot.right}
            y1={y(share)}
            y2={y(share)}
            stroke={share === 1 ? 'var(--line-strong)' : 'var(--line)'}
          />
          <text x={plot.left - 8} y={y(share) + 4} textAnchor="end">
            {percent(share)}
          </text>
        </g>
      ))}
      <path d={path} fill="none" stroke="var(--accent)" strokeWidth="2" />
      {ahead === null ? null : (
        <path
          d={`M${x(lastTime)} ${y(last.share ?? 0)} L${x(until)} ${y(ahead)}`}
          stroke="var(--accent)"
          strokeWidth="1.5"
          strokeDasharray="5 5"
        />
      )}
      <g fontSize="12" fill="var(--muted)">
        <text x={plot.left} y={height - 8}>
          {moment(first.time)}
        </text>
        <text x={plot.right} y={height - 8} textAnchor="end">
          {moment(new Date(until).toISOString())}
        </text>
      </g>
    </svg>
  );
}
