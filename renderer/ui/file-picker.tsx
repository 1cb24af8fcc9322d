// Chooses a file, or a folder, of the machine on which the program runs: folders and table files by name, nothing is opened. The path
// may also be typed. The browser's own dialogue cannot serve here: it hides the path, and the file is to stay where it is.

import { Button, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useCall } from '../bridge-provider.tsx';
import { Dialogue } from './dialogue.tsx';
import { Problem } from './parts.tsx';
import { useWords } from './words.tsx';

export type FileFieldProps = {
  readonly label: string;
  readonly note: string;
  readonly value: string;
  readonly onChange: (path: string) => void;
  /** A folder is chosen, not a file. */
  readonly folder?: boolean;
  /** Whoever may not look through folders types the path. */
  readonly typed?: boolean;
};

export function FileField({ label, note, value, onChange, folder = false, typed = false }: FileFieldProps) {
  const { say } = useWords();
  const [choosing, setChoosing] = useState(false);
  return (
    <div className="row" style={{ alignItems: 'end' }}>
      <TextInput
        style={{ flex: '1 1 360px' }}
        label={label}
        description={note}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
      {typed ? null : (
        <Button variant="default" onClick={() => setChoosing(true)}>
          {say(folder ? 'file.choose-folder' : 'file.choose')}
        </Button>
      )}
      <Dialogue opened={choosing} onClose={() => setChoosing(false)} title={label} wide>
        <Folder
          start={folder && value !== '' ? value : folderOf(value)}
          wanted={folder ? 'folder' : 'file'}
          onChoose={(path) => {
            onChange(path);
            setChoosing(false);
          }}
        />
      </Dialogue>
    </div>
  );
}

function folderOf(path: string): string | null {
  const end = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'));
  return end <= 0 ? null : path.slice(0, end);
}

type FolderProps = {
  readonly start: string | null;
  readonly wanted: 'file' | 'folder';
  readonly onChoose: (path: string) => void;
};

function Folder(props: FolderProps) {
  const { say, moment, number } = useWords();
  const [folder, setFolder] = useState(props.start);
  const listed = useCall('file.list', { folder });
  if (listed.value === null) return <Problem error={listed.error} />;
  const { parent, folders, files, more } = listed.value;
  const here = listed.value.folder;
  const below = (name: string): string => `${here.replace(/[/\\]$/, '')}${here.includes('\\') ? '\\' : '/'}${name}`;
  return (
    <div className="stack">
      <Problem error={listed.error} />
      <p className="code" style={{ overflowWrap: 'anywhere' }}>
        {here}
      </p>
      <ul className="files">
        {parent === null ? null : (
          <li>
            <button type="button" onClick={() => setFolder(parent)}>
              <span>{say('file.up')}</span>
            </button>
          </li>
        )}
        {folders.map((name) => (
          <li key={name}>
            <button type="button" onClick={() => setFolder(below(name))}>
              <span>{name}</span>
              <span className="muted small">{say('file.folder')}</span>
            </button>
          </li>
        ))}
        {(props.wanted === 'folder' ? [] : files).map(({ name, size, modified }) => (
          <li key={name}>
            <button type="button" onClick={() => props.onChoose(below(name))}>
              <strong>{name}</strong>
              <span className="muted small number">
                {say('file.size', { size: number(Math.ceil(size / 1000)), time: moment(modified) })}
              </span>
            </button>
          </li>
        ))}
      </ul>
      {props.wanted === 'file' && files.length === 0 ? <p className="muted">{say('file.none')}</p> : null}
      {props.wanted === 'folder' ? (
        <Button style={{ alignSelf: 'start' }} onClick={() => props.onChoose(here)}>
          {say('file.take-folder')}
        </Button>
      ) : null}
      {more === 0 ? null : <p className="muted">{say('file.more', { count: more })}</p>}
    </div>
  );
}
