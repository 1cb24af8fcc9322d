// The words after the app's name, as far as the shell reads them: --name=value each, because Chromium adds its own and
// reorders those of a second start. What is to be opened is a link or a file of an invitation. Issue 6, item 4.

import { resolve } from 'node:path';
import { roles } from '../../app/bridge.ts';
import type { Role } from '../../app/bridge.ts';
import { invitationLinkScheme } from '../../app/study/invitation-link.ts';
import { invitationExtension } from './opened-invitation.ts';
import type { Opened } from './opened-invitation.ts';

export type ShellArguments = {
  /** null: the usual one, or a temporary one for a demonstration. */
  readonly home: string | null;
  readonly demo: boolean;
  /** Starts in the tray, as at sign-in. */
  readonly hidden: boolean;
  readonly role: Role;
  /** For `consilience host`, as they are. */
  readonly hostOptions: readonly string[];
  readonly opened: Opened | null;
};

const passedOn = ['policy', 'credential-file', 'rounds', 'interval'];

export function shellArguments(words: readonly string[], folder: string): ShellArguments {
  const valueOf = (name: string): string | null =>
    words.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3) ?? null;
  const home = valueOf('home');
  const demo = words.includes('--demo');
  const hostOptions = passedOn.flatMap((name) => {
    const value = valueOf(name);
    if (value === null) return [];
    return [`--${name}=${name === 'policy' || name === 'credential-file' ? resolve(folder, value) : value}`];
  });
  return {
    home: home === null ? null : resolve(folder, home),
    demo,
    hidden: words.includes('--hidden'),
    role: roles.find((role) => role === valueOf('role')) ?? 'steward',
    hostOptions: demo ? ['--demo', ...hostOptions] : hostOptions,
    opened: openedIn(words, folder),
  };
}

function openedIn(words: readonly string[], folder: string): Opened | null {
  const link = words.find((word) => word.startsWith(`${invitationLinkScheme}:`));
  if (link !== undefined) return { link };
  const file = words.find((word) => !word.startsWith('-') && word.endsWith(invitationExtension));
  return file === undefined ? null : { file: resolve(folder, file) };
}
