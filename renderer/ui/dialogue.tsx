// A dialogue over the screen: titled, closed by a button that says so, its parts one below the other.

import { Modal } from '@mantine/core';
import type { ReactNode } from 'react';
import { useWords } from './words.tsx';

export function Dialogue(props: {
  readonly opened: boolean;
  readonly onClose: () => void;
  readonly title: string;
  readonly wide?: boolean;
  readonly children: ReactNode;
}) {
  const { say } = useWords();
  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title={props.title}
      closeButtonProps={{ 'aria-label': say('close') }}
      styles={{ title: { lineHeight: 1.35 } }}
      size={props.wide === true ? 'lg' : 'md'}
      centered
    >
      <div className="stack" style={{ gap: '16px' }}>
        {props.children}
      </div>
    </Modal>
  );
}
