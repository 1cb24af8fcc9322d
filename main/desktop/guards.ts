// What no page in this app may do: ask for a permission, reach the network, download, open a window, go elsewhere, hold a
// guest page. Each rule is set for all contents at once and has its test in test/desktop. Issue 6, item 4.

import { app } from 'electron';
import type { Session } from 'electron';
import { isOwnPage } from './page-scheme.ts';

/** Writing to the clipboard after a click is what "copy" does; everything else is denied. */
const allowedPermission = 'clipboard-sanitized-write';

export function guardSession(session: Session): void {
  session.setPermissionRequestHandler((contents, permission, answer) =>
    answer(permission === allowedPermission && isOwnPage(contents.getURL())),
  );
  session.setPermissionCheckHandler((contents, permission) => {
    // Typed by Electron as reading or as the deprecated name, by version.
    const name: string = permission;
    return name === allowedPermission && contents !== null && isOwnPage(contents.getURL());
  });
  session.setDevicePermissionHandler(() => false);
  session.webRequest.onBeforeRequest(({ url }, answer) =>
    answer({
      cancel: !(url.startsWith('app:') || url.startsWith('data:') || (!app.isPackaged && url.startsWith('devtools:'))),
    }),
  );
  session.on('will-download', (event) => event.preventDefault());
}

/** Before the first window. */
export function guardContents(): void {
  app.on('web-contents-created', (_event, contents) => {
    contents.setWindowOpenHandler(() => ({ action: 'deny' }));
    contents.on('will-navigate', (event) => event.preventDefault());
    contents.on('will-frame-navigate', (event) => event.preventDefault());
    contents.on('will-redirect', (event) => event.preventDefault());
    contents.on('will-attach-webview', (event) => event.preventDefault());
  });
}
