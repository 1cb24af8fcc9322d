// Builds the window's page into dist/renderer; paths are relative so that app:// and loopback serve the same files.
// Whoever serves index.html puts a fresh nonce where the placeholder stands (main/window/assets.ts).

import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// oxlint-disable-next-line import/no-default-export -- Vite reads its configuration from the default export.
export default defineConfig({
  base: './',
  plugins: [react()],
  html: { cspNonce: '__CSP_NONCE__' },
  build: { outDir: '../dist/renderer', emptyOutDir: true, assetsInlineLimit: 0, chunkSizeWarningLimit: 1000 },
});
