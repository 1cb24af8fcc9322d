// A Vulkan driver in software for tests on machines without a graphics card: SwiftShader, as Debian's chromium brings it.

import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const folder = '/usr/lib/chromium';

/** Points the environment at it until the test ends. @returns why it cannot be had, or null */
export async function withSoftwareVulkan(t: TestContext): Promise<string | null> {
  const driver = join(folder, 'vk_swiftshader_icd.json');
  for (const path of [driver, join(folder, 'libvulkan.so.1')])
    try {
      await access(path);
    } catch {
      return `${path} is not here (Debian’s chromium brings it)`;
    }
  const runtime = await mkdtemp(join(tmpdir(), 'consilience-vulkan-'));
  t.after(() => rm(runtime, { recursive: true, force: true }));
  const wanted = { VK_ICD_FILENAMES: driver, LD_LIBRARY_PATH: folder, XDG_RUNTIME_DIR: runtime };
  for (const [name, value] of Object.entries(wanted)) {
    const before = process.env[name];
    process.env[name] = value;
    t.after(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
  return null;
}
