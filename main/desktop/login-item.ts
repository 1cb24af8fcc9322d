// Starting at sign-in, in the tray: by the system's own setting on Windows and macOS, by an autostart entry on Linux.

import { app } from 'electron';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** @param words of the shell's command line besides --hidden. */
export function setStartAtLogin(wanted: boolean, words: readonly string[]): void {
  const args = ['--hidden', ...words];
  if (process.platform !== 'linux') return app.setLoginItemSettings({ openAtLogin: wanted, args });
  const folder = join(app.getPath('appData'), 'autostart');
  const entry = join(folder, 'consilience.desktop');
  if (!wanted) return rmSync(entry, { force: true });
  mkdirSync(folder, { recursive: true });
  const command = [process.env['APPIMAGE'] ?? process.execPath, ...args].map(quoted).join(' ');
  writeFileSync(entry, `[Desktop Entry]\nType=Application\nName=Consilience\nExec=${command}\nTerminal=false\n`);
}

/** As the Desktop Entry Specification quotes an argument of Exec. */
const quoted = (word: string): string => `"${word.replaceAll(/["`$\\]/g, String.raw`\$&`).replaceAll('%', '%%')}"`;
