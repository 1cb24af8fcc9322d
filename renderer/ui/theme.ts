// Mantine bent to design 9: the tokens' colours, four sizes, the system's font, no shadows, short motion.

import { Button, createTheme } from '@mantine/core';

/** Mantine wants ten shades; the ones that are seen are bound to the tokens in tokens.css. */
const accent = [
  '#dbe9e7',
  '#c3dcd9',
  '#9fc8c4',
  '#7fcdc8',
  '#4d9c98',
  '#2a7b78',
  '#0b5a5a',
  '#094f4f',
  '#084646',
  '#063838',
] as const;

export const theme = createTheme({
  colors: { accent: [...accent] },
  primaryColor: 'accent',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", Menlo, Consolas, monospace',
  fontSizes: { xs: '12px', sm: '14px', md: '14px', lg: '18px', xl: '28px' },
  defaultRadius: 4,
  respectReducedMotion: true,
  cursorType: 'pointer',
  components: {
    Button: Button.extend({
      vars: (_theme, props) => ({
        root:
          props.variant === 'default'
            ? {
                '--button-bg': 'var(--surface)',
                '--button-hover': 'var(--ground)',
                '--button-bd': '1px solid var(--line-strong)',
                '--button-color': 'var(--text)',
              }
            : {
                '--button-bg': 'var(--accent)',
                '--button-hover': 'var(--accent-strong)',
                '--button-color': 'var(--on-accent)',
              },
      }),
    }),
  },
});
