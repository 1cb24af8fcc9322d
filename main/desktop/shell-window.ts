// Opens the window when a person wants it, shows it when it is there, and hands it what was opened outside. The first time it
// is closed, the person is told that the program runs on; a page that crashed is said to have crashed.

import { Notification, dialog } from 'electron';
import type { BrowserWindow } from 'electron';
import { channels } from './channels.ts';
import type { HostLink } from './host-link.ts';
import type { PreferenceStore } from './preferences.ts';
import { relay } from './relay.ts';
import { openWindow } from './window.ts';
import type { ShellWords } from './words.ts';

export type ShellWindow = {
  readonly show: () => void;
  readonly close: () => void;
  /** @param text that nobody has checked yet. */
  readonly showInvitation: (text: string) => void;
};

export type ShellWindowOptions = {
  readonly preload: string;
  readonly preferences: PreferenceStore;
  readonly words: ShellWords;
  readonly link: HostLink;
  readonly demonstrate: () => Promise<boolean>;
};

export function shellWindow({ preload, preferences, words, link, demonstrate }: ShellWindowOptions): ShellWindow {
  let window: BrowserWindow | null = null;
  let telling = false;

  function made(): BrowserWindow {
    const next = openWindow({
      preload,
      preferences,
      onPageGone: (again, load) => void (again ? tellOfCrash() : askToLoad(load)),
    });
    relay(next.webContents, link, demonstrate);
    next.on('closed', () => {
      window = null;
      tellOnce();
    });
    return next;
  }

  /** One box at a time. */
  async function tellOfCrash(): Promise<void> {
    if (telling) return;
    telling = true;
    await dialog.showMessageBox({ type: 'warning', message: 'Consilience', detail: words.pageBack });
    telling = false;
  }

  async function askToLoad(load: () => void): Promise<void> {
    const gone = window;
    const buttons = [words.tryAgain, words.later];
    const { response } = await dialog.showMessageBox({
      type: 'error',
      message: 'Consilience',
      detail: words.pageGone,
      buttons,
    });
    if (response === 0 && window !== null && window === gone) load();
  }

  function tellOnce(): void {
    if (preferences.get('toldOfTray') || !Notification.isSupported()) return;
    preferences.set('toldOfTray', true);
    new Notification({ title: words.trayTitle, body: words.trayNote }).show();
  }

  function show(): BrowserWindow {
    if (window === null) return (window = made());
    if (window.isMinimized()) window.restore();
    window.show();
    window.focus();
    return window;
  }

  return {
    show: () => void show(),
    close: () => window?.close(),
    showInvitation(text) {
      const { webContents: contents } = show();
      const tell = (): void => contents.send(channels.invitation, text);
      if (contents.isLoading()) contents.once('did-finish-load', tell);
      else tell();
    },
  };
}
