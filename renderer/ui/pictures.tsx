// The pictures of "what does this mean?": one line weight, two colours from the tokens, no formula. Design 9.

import type { ReactNode } from 'react';

export type Meaning = 'epsilon' | 'delta' | 'unit' | 'sealed' | 'noise' | 'round' | 'missed' | 'log';

function Picture({ label, children }: { readonly label: string; readonly children: ReactNode }) {
  return (
    <svg
      className="picture"
      viewBox="0 0 320 120"
      role="img"
      aria-label={label}
      fill="none"
      stroke="var(--text)"
      strokeWidth="1.5"
      strokeLinecap="round"
    >
      {children}
    </svg>
  );
}

const person = (x: number, y: number, lit: boolean, key: string) => (
  <g key={key} stroke={lit ? 'var(--accent)' : 'var(--line-strong)'} strokeWidth={lit ? 2.5 : 1.5}>
    <circle cx={x} cy={y} r="6" />
    <path d={`M${x - 10} ${y + 24} q10 -28 20 0`} />
  </g>
);

const drawings: { readonly [Name in Meaning]: ReactNode } = {
  epsilon: (
    <>
      <path d="M10 104 H310" stroke="var(--line-strong)" />
      <path d="M20 104 C90 104 110 20 150 20 S210 104 280 104" />
      <path d="M36 104 C106 104 126 20 166 20 S226 104 296 104" stroke="var(--accent)" strokeDasharray="6 5" />
      <path d="M218 52 V80 M212 58 L218 52 L224 58 M212 74 L218 80 L224 74" stroke="var(--line-strong)" />
    </>
  ),
  delta: (
    <>
      {Array.from({ length: 96 }, (_, index) => (
        <circle
          key={index}
          cx={20 + (index % 24) * 12.2}
          cy={24 + Math.floor(index / 24) * 24}
          r={index === 61 ? 5 : 2.5}
          stroke={index === 61 ? 'var(--accent)' : 'var(--line-strong)'}
          strokeWidth={index === 61 ? 3 : 1.5}
        />
      ))}
    </>
  ),
  unit: Array.from({ length: 9 }, (_, index) => person(32 + index * 32, 46, index === 4, `p${index}`)),
  sealed: (
    <>
      <path d="M30 30 H130 V48 c14 -8 20 -2 20 12 s-6 20 -20 12 V90 H30 Z" />
      <path d="M290 30 H190 V48 c14 -8 20 -2 20 12 s-6 20 -20 12 V90 H290 Z" stroke="var(--accent)" />
      <path d="M158 60 H178 M172 54 L178 60 L172 66" stroke="var(--line-strong)" />
    </>
  ),
  round: (
    <>
      {[0, 1, 2, 3].map((index) => (
        <rect key={index} x={20} y={12 + index * 26} width="48" height="18" rx="3" />
      ))}
      {[0, 1, 2, 3].map((index) => (
        <path key={`l${index}`} d={`M72 ${21 + index * 26} L150 60`} stroke="var(--line-strong)" />
      ))}
      <circle cx="166" cy="60" r="16" stroke="var(--accent)" />
      <path d="M158 60 H174 M166 52 V68" stroke="var(--accent)" />
      <path d="M186 60 H244 M236 54 L244 60 L236 66" stroke="var(--line-strong)" />
      <rect x="250" y="44" width="52" height="32" rx="3" stroke="var(--accent)" />
    </>
  ),
  noise: (
    <>
      <rect x="24" y="16" width="120" height="88" rx="2" />
      <rect x="176" y="16" width="120" height="88" rx="2" />
      {[0, 152].map((shift) => (
        <g key={shift} transform={`translate(${shift} 0)`}>
          <circle cx="84" cy="46" r="14" />
          <path d="M54 104 q4 -38 30 -38 q26 0 30 38" />
        </g>
      ))}
      {Array.from({ length: 120 }, (_, index) => (
        <circle
          key={index}
          cx={180 + ((index * 61) % 113)}
          cy={20 + ((index * 37) % 81)}
          r="1"
          stroke="var(--accent)"
          strokeWidth="1"
        />
      ))}
    </>
  ),
  log: (
    <>
      {[0, 1, 2, 3].map((index) => (
        <g key={index}>
          <rect x={16 + index * 76} y="36" width="56" height="48" rx="3" />
          <path
            d={`M${26 + index * 76} 50 H${62 + index * 76} M${26 + index * 76} 62 H${52 + index * 76}`}
            stroke="var(--line-strong)"
          />
          {index === 3 ? null : <path d={`M${72 + index * 76} 60 h20`} stroke="var(--accent)" strokeWidth="2.5" />}
        </g>
      ))}
      <path d="M262 96 l8 10 l18 -20" stroke="var(--accent)" strokeWidth="3" />
    </>
  ),
  missed: (
    <>
      {[0, 1, 2, 3].map((index) => (
        <g key={index} stroke={index === 2 ? 'var(--line-strong)' : 'var(--text)'}>
          <path
            d={`M${36 + index * 48} 96 V70 H${64 + index * 48} V96 M${36 + index * 48} 70 V44`}
            strokeDasharray={index === 2 ? '4 4' : undefined}
          />
          {index === 2 ? null : <circle cx={52 + index * 48} cy={54} r="7" />}
        </g>
      ))}
      <path d="M232 62 H252 M232 72 H252" stroke="var(--line-strong)" />
      <path d="M272 58 L282 74 L300 46" stroke="var(--accent)" strokeWidth="3" />
    </>
  ),
};

export function MeaningPicture({ name, label }: { readonly name: Meaning; readonly label: string }) {
  return <Picture label={label}>{drawings[name]}</Picture>;
}
