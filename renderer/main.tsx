// The window's entry: theme, words, bridge, frame. The nonce that the server wrote into the page is handed to Mantine,
// whose style elements the page's policy would refuse without it.

import { MantineProvider } from '@mantine/core';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { BridgeProvider } from './bridge-provider.tsx';
import { openBridge } from './bridge.ts';
import { theme } from './ui/theme.ts';
import './ui/components.css';
import './ui/tokens.css';
import './ui/layout.css';
import { WordsProvider } from './ui/words.tsx';

const root = document.getElementById('root');
if (root === null) throw new Error('index.html lacks the element "root"');
const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';
// What keeps the page from scrolling behind a dialogue adds a style element of its own and looks here for the nonce.
(globalThis as { __webpack_nonce__?: string }).__webpack_nonce__ = nonce;
const bridge = openBridge();

createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <WordsProvider>
        <BridgeProvider bridge={bridge}>
          <App />
        </BridgeProvider>
      </WordsProvider>
    </MantineProvider>
  </StrictMode>,
);
