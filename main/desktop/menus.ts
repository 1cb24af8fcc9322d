// Menu and tray: the same few things a person can do with the program itself. Studies are nobody's business here.

import { Menu, Tray, app, nativeImage, nativeTheme } from 'electron';
import type { MenuItemConstructorOptions } from 'electron';
import type { LinkState } from './host-link.ts';
import { themes } from './preferences.ts';
import type { PreferenceStore } from './preferences.ts';
import type { ShellWords } from './words.ts';

export type MenuActions = {
  readonly open: () => void;
  readonly close: () => void;
  readonly demonstrate: () => void;
  readonly startAtLogin: (wanted: boolean) => void;
  readonly tryAgain: () => void;
};

export function setMenu(words: ShellWords, preferences: PreferenceStore, actions: MenuActions): void {
  const program: MenuItemConstructorOptions[] = [
    { id: 'demonstration', label: words.demonstration, click: actions.demonstrate },
    {
      id: 'start-at-login',
      label: words.startAtLogin,
      type: 'checkbox',
      checked: preferences.get('startAtLogin'),
      click: ({ checked }) => actions.startAtLogin(checked),
    },
    { type: 'separator' },
    { id: 'close', label: words.close, accelerator: 'CommandOrControl+W', click: actions.close },
    { id: 'quit', label: words.quit, accelerator: 'CommandOrControl+Q', click: () => app.quit() },
  ];
  const edit: MenuItemConstructorOptions[] = (['undo', 'redo', 'cut', 'copy', 'paste', 'selectAll'] as const).map(
    (role) => ({ role, label: words[role] }),
  );
  const labels = { system: words.themeSystem, light: words.themeLight, dark: words.themeDark };
  const view: MenuItemConstructorOptions[] = [
    ...themes.map((theme): MenuItemConstructorOptions => ({
      id: `theme-${theme}`,
      label: labels[theme],
      type: 'radio',
      checked: preferences.get('theme') === theme,
      click: () => {
        preferences.set('theme', theme);
        nativeTheme.themeSource = theme;
      },
    })),
    { type: 'separator' },
    { role: 'zoomIn', label: words.larger },
    { role: 'zoomOut', label: words.smaller },
    { role: 'resetZoom', label: words.usualSize },
  ];
  Menu.setApplicationMenu(
    Menu.buildFromTemplate([
      { label: words.program, submenu: program },
      { label: words.edit, submenu: edit },
      { label: words.view, submenu: view },
    ]),
  );
}

/** @returns the tray, and a function that says in it how the host is. */
export function openTray(icon: string, words: ShellWords, actions: MenuActions) {
  const tray = new Tray(nativeImage.createFromPath(icon));
  const show = ({ kind }: LinkState): Menu => {
    const said = { starting: words.starting, connected: words.connected, lost: words.gone, down: words.down }[kind];
    const again: MenuItemConstructorOptions[] =
      kind === 'down' ? [{ id: 'try-again', label: words.tryAgain, click: actions.tryAgain }] : [];
    const menu = Menu.buildFromTemplate([
      { id: 'state', label: said, enabled: false },
      ...again,
      { type: 'separator' },
      { id: 'open', label: words.open, click: actions.open },
      { id: 'quit', label: words.quit, click: () => app.quit() },
    ]);
    tray.setToolTip(`Consilience. ${said}`);
    tray.setContextMenu(menu);
    return menu;
  };
  tray.on('click', actions.open);
  return { tray, show };
}
