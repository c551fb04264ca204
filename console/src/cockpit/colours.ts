// Light or dark as the rest of Cockpit is: what its menu keeps in the browser, and `auto` is what the system
// likes. A page in Cockpit's frame hears of a change as of one in another window.

import { surrounding, systemIsDark } from '../prefs.ts';

const KEPT = 'shell:style';

export function followColours(): void {
  const look = () => {
    const style = localStorage.getItem(KEPT) ?? 'auto';
    surrounding.value = style === 'dark' || (style === 'auto' && systemIsDark.matches) ? 'dark' : 'light';
  };
  look();
  window.addEventListener('storage', (event) => {
    // Without a key, everything was thrown away.
    if (event.key === KEPT || event.key === null) look();
  });
  systemIsDark.addEventListener('change', look);
}
