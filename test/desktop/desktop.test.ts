// The packaged desktop app in a real Electron under Xvfb: its fuses, every rule about what a page may do, the host that
// survives a closed window and is brought back when it is killed, the shell's own ways, and the journeys. Issue 6, item 4.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FuseV1Options, getCurrentFuseWire } from '@electron/fuses';
import { openDesk } from './desk.ts';
import type { Desk } from './desk.ts';
import { desktopJourneys } from './desktop-journeys.ts';
import { hostRules } from './host-rules.ts';
import { openedOutside } from './opened-outside.ts';
import { withoutElectron } from './packaged.ts';
import { pageDenials } from './page-denials.ts';
import { pageRules } from './page-rules.ts';
import { shellWays } from './shell-ways.ts';
import { systemSandbox } from './system-sandbox.ts';

const skip = withoutElectron;
let opened: Desk | null = null;

before(async () => {
  if (skip === false) opened = await openDesk();
});
after(async () => {
  await opened?.end();
});

const desk = (): Desk => {
  if (opened === null) throw new Error('the app was not packaged');
  return opened;
};

test('the product’s fuses are those of electron-builder.yml; the tested package differs in one', { skip }, async () => {
  const on = 0x31;
  const wanted = {
    [FuseV1Options.RunAsNode]: false,
    [FuseV1Options.EnableCookieEncryption]: true,
    [FuseV1Options.EnableNodeOptionsEnvironmentVariable]: false,
    [FuseV1Options.EnableNodeCliInspectArguments]: false,
    [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: true,
    [FuseV1Options.OnlyLoadAppFromAsar]: true,
    [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: false,
    [FuseV1Options.GrantFileProtocolExtraPrivileges]: false,
  };
  const product = await getCurrentFuseWire(desk().packages.product);
  const tested = await getCurrentFuseWire(desk().packages.tested);
  let read = 0;
  for (const [fuse, value] of Object.entries(wanted)) {
    const name = FuseV1Options[Number(fuse)]!;
    const state = product[Number(fuse) as FuseV1Options] as number | undefined;
    // Older Electrons have a shorter wire.
    if (state === undefined) continue;
    read++;
    assert.equal(state === on, value, name);
    const other = tested[Number(fuse) as FuseV1Options] as number | undefined;
    assert.equal(other === on, name === 'EnableNodeCliInspectArguments' ? true : value, name);
  }
  assert.ok(read >= 6, `${read} fuses were read`);
});

pageRules(desk, skip);
pageDenials(desk, skip);
systemSandbox(desk, skip);
hostRules(desk, skip);
shellWays(desk, skip);
openedOutside(desk, skip);
desktopJourneys(desk, skip);
