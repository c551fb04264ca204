// Draws its content only when it comes near to what is seen, and forgets it when it is far away: a hundred
// servers are a hundred headings and a few pictures. What is forgotten keeps its height, so nothing jumps.

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

interface Props {
  /** Height while it was never drawn. */
  height: number;
  /** Said instead of the content while it is not drawn. */
  instead: string;
  /** Selects the list around it that scrolls by itself; without it, the window does. */
  within?: string;
  children: () => ComponentChildren;
}

export function Lazy({ height, instead, within, children }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const isNear = useSignal(false);
  const lastHeight = useRef(height);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const watch = new IntersectionObserver(
      ([entry]) => {
        if (!entry) return;
        // Where the keyboard is stays drawn, or it would have to begin at the top.
        if (!entry.isIntersecting && element.contains(document.activeElement)) return;
        if (!entry.isIntersecting && isNear.value) lastHeight.current = entry.boundingClientRect.height;
        isNear.value = entry.isIntersecting;
      },
      { root: within === undefined ? null : element.closest(within), rootMargin: '800px 0px' },
    );
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return isNear.value
    ? <div ref={place}>{children()}</div>
    : <div ref={place} style={{ blockSize: `${lastHeight.current}px` }}><span class="hidden">{instead}</span></div>;
}
