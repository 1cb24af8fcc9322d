// Whether the window is so narrow that a long table gives its columns less room: from 900 px on nothing is cut. Design 1.

import { useMediaQuery } from '@mantine/hooks';

export const useNarrow = (): boolean =>
  useMediaQuery('(max-width: 1100px)', matchMedia('(max-width: 1100px)').matches, { getInitialValueInEffect: false });
