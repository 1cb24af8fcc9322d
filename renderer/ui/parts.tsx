// The small parts that screens share: a screen with its heading, an error in words, a code to copy, an empty state, a
// figure with what it means.

import { Button } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import type { ReactNode } from 'react';
import type { BridgeError } from '../../app/bridge.ts';
import { useWords } from './words.tsx';

/** Moves the focus to its heading, so that a screen reader hears where a link led. */
export function Screen(props: { readonly title: string; readonly aside?: ReactNode; readonly children: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${props.title} · Consilience`;
    heading.current?.focus({ preventScroll: true });
  }, [props.title]);
  return (
    <div className="screen">
      <div className="screen-head">
        <h1 ref={heading} tabIndex={-1} style={{ outline: 'none' }}>
          {props.title}
        </h1>
        {props.aside}
      </div>
      {props.children}
    </div>
  );
}

/** What went wrong: the host's sentence in the person's language. */
export function Problem({ error }: { readonly error: BridgeError | null }) {
  const { sayError } = useWords();
  return error === null ? null : (
    <p className="problem" role="alert">
      {sayError(error)}
    </p>
  );
}

export function Empty({ children, action }: { readonly children: ReactNode; readonly action?: ReactNode }) {
  return (
    <section className="card">
      <p className="muted">{children}</p>
      {action === undefined ? null : <div className="row">{action}</div>}
    </section>
  );
}

/** The first eight characters of a code or hash, with the whole of it to copy. */
export function CopyCode({ code }: { readonly code: string }) {
  const { say } = useWords();
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(code);
    setCopied(true);
  };
  return (
    <span className="row" style={{ gap: '8px', flexWrap: 'nowrap' }}>
      <span className="code" title={code}>
        {code.slice(0, code.includes(' ') ? 9 : 8)}
      </span>
      <button type="button" className="plain-button small" onClick={() => void copy()} aria-label={say('copy.whole')}>
        {copied ? say('copy.done') : say('copy.do')}
      </button>
    </span>
  );
}

export function Figure(props: { readonly label: ReactNode; readonly value: string; readonly note?: ReactNode }) {
  return (
    <div className="stack" style={{ gap: '4px', alignContent: 'start' }}>
      <span className="muted small">{props.label}</span>
      <span className="number big">{props.value}</span>
      {props.note === undefined ? null : <span className="muted small">{props.note}</span>}
    </div>
  );
}

export function LinkButton({ to, children }: { readonly to: string; readonly children: ReactNode }) {
  return (
    <Button component="a" href={`#/${to}`}>
      {children}
    </Button>
  );
}
