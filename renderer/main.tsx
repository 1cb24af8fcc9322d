// The window's entry. The screens of design 1 are not here yet: until the bridge exists, the window says where the
// product can be used today, and nothing else.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

function Welcome() {
  return (
    <main>
      <h1>Consilience</h1>
      <p>The screens are not built yet. Studies run from the command line: consilience --help.</p>
    </main>
  );
}

const root = document.getElementById('root');
if (root === null) throw new Error('index.html lacks the element "root"');
createRoot(root).render(
  <StrictMode>
    <Welcome />
  </StrictMode>,
);
