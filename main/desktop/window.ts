// The one window: sandboxed, isolated, without Node; where it stood last time, if a screen is still there. Closing it ends
// the window alone. Issue 6, item 4.

import { BrowserWindow, nativeTheme, screen } from 'electron';
import { pageAddress } from './page-scheme.ts';
import type { Bounds, PreferenceStore } from './preferences.ts';

const usual = { width: 1280, height: 900 };
const least = { minWidth: 900, minHeight: 600 };
const mostReloads = 3;
const withinMs = 60_000;

export type WindowOptions = {
  readonly preload: string;
  readonly preferences: PreferenceStore;
  /** Its page ended; `again`: it is loaded again by itself, which happens only so often. */
  readonly onPageGone: (again: boolean, load: () => void) => void;
};

export function openWindow({ preload, preferences, onPageGone }: WindowOptions): BrowserWindow {
  const bounds = preferences.get('bounds');
  const window = new BrowserWindow({
    ...usual,
    ...(bounds !== null && isOnScreen(bounds) ? bounds : {}),
    ...least,
    show: false,
    title: 'Consilience',
    backgroundColor: nativeTheme.shouldUseDarkColors ? '#1c1b19' : '#f6f4f0',
    webPreferences: {
      preload,
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInSubFrames: false,
      nodeIntegrationInWorker: false,
      webSecurity: true,
      allowRunningInsecureContent: false,
      webviewTag: false,
      // Its dictionaries would be downloaded.
      spellcheck: false,
      navigateOnDragDrop: false,
      devTools: false,
    },
  });
  window.once('ready-to-show', () => window.show());
  const keepBounds = (): void => {
    if (!window.isMinimized() && !window.isFullScreen()) preferences.set('bounds', window.getNormalBounds());
  };
  window.on('resized', keepBounds);
  window.on('moved', keepBounds);
  window.on('close', keepBounds);
  const load = (): void => void window.loadURL(pageAddress);
  let reloads: number[] = [];
  window.webContents.on('render-process-gone', (_event, { reason }) => {
    if (reason === 'clean-exit') return;
    reloads = [...reloads.filter((time) => Date.now() - time < withinMs), Date.now()];
    const again = reloads.length <= mostReloads;
    if (again) load();
    onPageGone(again, load);
  });
  load();
  return window;
}

/** Enough of it to take hold of. */
const isOnScreen = ({ x, y, width }: Bounds): boolean =>
  screen.getAllDisplays().some(({ workArea: area }) => {
    const across = Math.min(x + width, area.x + area.width) - Math.max(x, area.x);
    return across >= 200 && y >= area.y && y < area.y + area.height - 100;
  });
