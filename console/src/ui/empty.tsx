// Nothing to show: why that may be, and what to look at.

import type { ComponentChildren } from 'preact';
import { Icon } from './icon.tsx';

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name="info" />
      <p class="empty-title">{title}</p>
      {children && <div class="empty-more">{children}</div>}
    </div>
  );
}
