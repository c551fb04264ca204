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
  children: () => ComponentChildren;
}

export function Lazy({ height, instead, children }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const isNear = useSignal(false);
  const lastHeight = useRef(height);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const watch = new IntersectionObserver(
      ([entry]) => {
        if (!entry) return;
        if (!entry.isIntersecting && isNear.value) lastHeight.current = element.offsetHeight;
        isNear.value = entry.isIntersecting;
      },
      { rootMargin: '800px 0px' },
    );
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return isNear.value
    ? <div ref={place}>{children()}</div>
    : <div ref={place} style={{ blockSize: `${lastHeight.current}px` }}><span class="hidden">{instead}</span></div>;
}
