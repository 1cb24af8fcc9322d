// `npm run package`: bundles the desktop app and packages it with electron-builder as electron-builder.yml says; unpacked, or
// with --installers as this platform's installers. Electron comes from its own package where its binary is, else from
// ELECTRON_DIST (with ELECTRON_VERSION), else electron-builder fetches it. Design 8, "Packaging".

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { build } from 'electron-builder';
import type { Configuration } from 'electron-builder';
import { bundleDesktop } from './bundle.ts';

const root = resolve(import.meta.dirname, import.meta.url.endsWith('.ts') ? '../..' : '../../..');

export type ElectronDistribution = { readonly folder: string; readonly version: string };

/** The distribution that is here already; null where electron-builder has to fetch it. */
export function electronHere(): ElectronDistribution | null {
  const { ELECTRON_DIST: folder, ELECTRON_VERSION: version } = process.env;
  if (folder !== undefined && version !== undefined) return { folder, version };
  const require = createRequire(import.meta.url);
  const dist = join(dirname(require.resolve('electron/package.json')), 'dist');
  if (!existsSync(join(dist, 'version'))) return null;
  return { folder: dist, version: (require('electron/package.json') as { version: string }).version };
}

export type PackageOptions = {
  readonly electron: ElectronDistribution | null;
  readonly installers: boolean;
  /** What differs from electron-builder.yml. */
  readonly change?: Configuration;
  readonly fuses?: { readonly enableNodeCliInspectArguments?: true };
};

/** The bundle must be there. @returns what electron-builder wrote; nothing for --dir but the folder it wrote into. */
export async function packageDesktop({
  electron,
  installers,
  change = {},
  fuses = {},
}: PackageOptions): Promise<string[]> {
  const release = process.env['CONSILIENCE_RELEASE'] === '1';
  return build({
    projectDir: root,
    publish: 'never',
    dir: !installers,
    // On top of electron-builder.yml, which is read from the project's folder.
    config: {
      ...(electron === null ? {} : { electronDist: electron.folder, electronVersion: electron.version }),
      // All code is bundled: no package is collected from node_modules, installed or rebuilt.
      beforeBuild: async () => false,
      beforePack: ({ packager }) => {
        const { electronFuses } = packager.config;
        if (electronFuses === null || electronFuses === undefined)
          throw new Error('electron-builder.yml sets no fuses');
        // Electron before 29 does not know this one.
        if (Number(electron?.version.split('.')[0] ?? 29) < 29) delete electronFuses.grantFileProtocolExtraPrivileges;
        Object.assign(electronFuses, fuses);
      },
      ...(release ? { forceCodeSigning: true } : {}),
      ...change,
    },
  });
}

if (import.meta.main) {
  await bundleDesktop();
  for (const written of await packageDesktop({
    electron: electronHere(),
    installers: process.argv.includes('--installers'),
  }))
    process.stdout.write(`${written}\n`);
}
