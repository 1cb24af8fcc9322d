// The desktop app as electron-builder packages it, for tests: Electron 45 where its binary is, else the genuine Electron 22
// that ../shared/tools/electron-for-tests prints. Two packages: the product, whose fuses are read, and the tested one, which
// differs in enableNodeCliInspectArguments (Playwright needs it) and, on Electron 22, in one entry in front.

import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { bundleDesktop } from '../../main/packaging/bundle.ts';
import { electronHere, packageDesktop } from '../../main/packaging/package.ts';
import type { ElectronDistribution } from '../../main/packaging/package.ts';
import { builtWindow } from '../renderer/built.ts';

const root = path.resolve(import.meta.dirname, '../..');
const tool = path.resolve(root, '../shared/tools/electron-for-tests');

export type Found = { readonly electron: ElectronDistribution } | { readonly reason: string };

export function findElectron(): Found {
  if (process.platform !== 'linux') return { reason: 'the packaged app is tested on Linux' };
  const here = electronHere();
  if (here !== null) return { electron: here };
  if (!existsSync(tool))
    return { reason: 'neither Electron 45’s binary nor ../shared/tools/electron-for-tests is here' };
  try {
    const folder = execFileSync(tool, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
    return { electron: { folder, version: path.basename(folder) } };
  } catch (error) {
    return { reason: String((error as { stderr?: string }).stderr ?? error).trim() };
  }
}

const hasScreen = (): boolean => {
  try {
    execFileSync('sh', ['-c', 'command -v Xvfb'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

const found = findElectron();
const lacking = 'reason' in found ? found.reason : hasScreen() ? null : 'Xvfb is not installed';

/** `skip` of a test: false where it can run, or must (REQUIRE_DESKTOP=1). */
export const withoutElectron =
  lacking !== null && process.env['REQUIRE_DESKTOP'] !== '1'
    ? `NO ELECTRON: ${lacking}, so no window was opened`
    : false;

export type Packages = {
  /** Executables. */
  readonly product: string;
  readonly tested: string;
  readonly version: string;
};

/** @param into an empty folder. */
export async function packageBoth(into: string): Promise<Packages> {
  if ('reason' in found) throw new Error(found.reason);
  const { electron } = found;
  builtWindow();
  const { shell } = await bundleDesktop();
  const app = path.join(into, 'app');
  cpSync(shell, app, { recursive: true });
  if (Number(electron.version.split('.')[0]) < 45) {
    await build({
      stdin: { contents: "require('core-js/actual');", resolveDir: root },
      bundle: true,
      platform: 'node',
      outfile: path.join(app, 'core-js.cjs'),
    });
    copyFileSync(path.join(import.meta.dirname, 'electron-22.cjs'), path.join(app, 'electron-22.cjs'));
    const manifest = JSON.parse(readFileSync(path.join(app, 'package.json'), 'utf8')) as object;
    writeFileSync(path.join(app, 'package.json'), JSON.stringify({ ...manifest, main: 'electron-22.cjs' }));
  }
  const output = (name: string): string => path.join(into, name);
  await packageDesktop({ electron, installers: false, change: { directories: { output: output('product') } } });
  await packageDesktop({
    electron,
    installers: false,
    change: { directories: { app, output: output('tested') } },
    fuses: { enableNodeCliInspectArguments: true },
  });
  const executable = (name: string): string => path.join(output(name), 'linux-unpacked', 'consilience');
  return { product: executable('product'), tested: executable('tested'), version: electron.version };
}

/** A screen that nobody sees. */
export async function startScreen(): Promise<{ readonly display: string; end(): void }> {
  const child = spawn('Xvfb', ['-displayfd', '1', '-screen', '0', '1400x1000x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const number = await new Promise<string>((done, failed) => {
    child.stdout.once('data', (text: Buffer) => done(text.toString('utf8').trim()));
    child.once('error', failed);
    child.once('exit', () => failed(new Error('Xvfb ended')));
  });
  return { display: `:${number}`, end: () => void child.kill('SIGTERM') };
}
