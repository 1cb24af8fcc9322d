// The desktop shell: one window, a tray, and the host in a process of its own. What it does fits on this page; no business
// rule lives here. Design 2, "Processes" (desktop); issue 6, item 4.

import { app, dialog, nativeTheme, session } from 'electron';
import { join } from 'node:path';
import { readAssets } from '../window/assets.ts';
import { guardContents, guardSession } from './guards.ts';
import { openHostLink } from './host-link.ts';
import { setStartAtLogin } from './login-item.ts';
import { openTray, setMenu } from './menus.ts';
import type { MenuActions } from './menus.ts';
import { openedText } from './opened-invitation.ts';
import type { Opened } from './opened-invitation.ts';
import { registerScheme, servePage } from './page-scheme.ts';
import { openPreferences } from './preferences.ts';
import { shellArguments } from './shell-arguments.ts';
import { demonstrate, linkOptions, placeOf, registerLinks } from './surroundings.ts';
import { shellWindow } from './shell-window.ts';
import { shellWords } from './words.ts';

const given = shellArguments(process.argv.slice(1), process.cwd());
const place = placeOf(given);
// Whoever says --no-sandbox, as an account without one must, gets Electron's own refusal otherwise.
if (!app.commandLine.hasSwitch('no-sandbox')) app.enableSandbox();
app.setPath('userData', place.profile);
registerScheme();
guardContents();
// A Mac says what is to be opened before anything is ready.
let early: Opened | null = given.opened;
let open = (opened: Opened): void => void (early = opened);
app.on('open-url', (_event, link) => open({ link }));
app.on('open-file', (_event, file) => open({ file }));
if (app.requestSingleInstanceLock()) void app.whenReady().then(start);
else app.quit();

function start(): void {
  const root = app.getAppPath();
  const words = shellWords();
  const preferences = openPreferences();
  nativeTheme.themeSource = preferences.get('theme');
  guardSession(session.defaultSession);
  servePage(readAssets(join(root, 'renderer')));
  registerLinks();
  const link = openHostLink(linkOptions(root, place.home, given));
  const window = shellWindow({ preload: join(root, 'preload.cjs'), preferences, words, link, demonstrate });
  const actions: MenuActions = {
    open: window.show,
    close: window.close,
    demonstrate: () => void demonstrate(),
    startAtLogin(wanted) {
      preferences.set('startAtLogin', wanted);
      setStartAtLogin(wanted, place.words);
    },
    tryAgain: () => link.tryAgain(),
  };
  setMenu(words, preferences, actions);
  const { show } = openTray(join(root, 'icons', 'tray.png'), words, actions);
  show(link.state());
  link.onState((state) => {
    show(state);
    if (state.kind !== 'down') return;
    const buttons = [words.tryAgain, words.later];
    void dialog
      .showMessageBox({ type: 'error', message: words.down, detail: state.error.message, buttons })
      .then(({ response }) => response === 0 && link.tryAgain());
  });
  open = (opened) =>
    void openedText(opened).then(window.showInvitation, (error: Error) =>
      dialog.showMessageBox({ type: 'error', message: words.notOpened, detail: error.message }),
    );
  if (early !== null) open(early);
  app.on('second-instance', (_event, words, folder) => {
    const { opened } = shellArguments(words.slice(1), folder);
    if (opened === null) window.show();
    else open(opened);
  });
  app.on('activate', window.show);
  // The tray stays.
  app.on('window-all-closed', () => {});
  let ending = false;
  app.on('will-quit', (event) => {
    if (ending) return;
    ending = true;
    event.preventDefault();
    void link.end().finally(() => app.exit(0));
  });
  if (!given.hidden) window.show();
}
