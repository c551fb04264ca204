// Small pictures beside words. None of them says anything that the words do not, so readers skip them all.

const PATHS = {
  check: 'M6.2 12.2 2.4 8.4l1.4-1.4 2.4 2.4 6-6 1.4 1.4z',
  warning: 'M8 1.5 15.2 14H.8zm-.9 4.7.2 4h1.4l.2-4zM8 11.2a.9.9 0 1 0 0 1.8.9.9 0 0 0 0-1.8z',
  error: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm-.9 3.4h1.8l-.3 5H7.4zM8 10.4a1 1 0 1 1 0 2 1 1 0 0 1 0-2z',
  info: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm0 2.6a1 1 0 1 1 0 2 1 1 0 0 1 0-2zM7.2 6.8h1.6v5.4H7.2z',
  copy: 'M5 1h8.5v10.5H11V14H2.5V4H5zm1.4 3H11v6h1V2.5H6.4zM4 5.4v7.1h5.5V5.4z',
  close: 'm3.4 2.3 4.6 4.6 4.6-4.6 1.1 1.1L9.1 8l4.6 4.6-1.1 1.1L8 9.1l-4.6 4.6-1.1-1.1L6.9 8 2.3 3.4z',
  menu: 'M1.5 3h13v1.8h-13zm0 4.1h13v1.8h-13zm0 4.1h13V13h-13z',
  down: 'M2.5 5.2h11L8 11.2z',
  up: 'M2.5 10.8h11L8 4.8z',
  sort: 'M4 6.8 8 2.4l4 4.4zm0 2.4 4 4.4 4-4.4z',
  running: 'M8 1.2a6.8 6.8 0 1 0 6.8 6.8h-2A4.8 4.8 0 1 1 8 3.2z',
  user: 'M8 1.5a3.2 3.2 0 1 1 0 6.4 3.2 3.2 0 0 1 0-6.4zM2 14.5c0-3.4 2.7-5.3 6-5.3s6 1.9 6 5.3z',
  off: 'M7.1 1h1.8v7H7.1zM4.6 3.1l1 1.5a4.4 4.4 0 1 0 4.8 0l1-1.5a6.2 6.2 0 1 1-6.8 0z',
  play: 'M3.5 2 13.5 8l-10 6z',
  pause: 'M3.5 2h3.2v12H3.5zm5.8 0h3.2v12H9.3z',
  question: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm0 2.8c1.6 0 2.7.9 2.7 2.3 0 1.9-1.9 1.9-1.9 3.2H7.2c0-2.2 1.8-2.2 1.8-3.1 0-.5-.4-.8-1-.8-.7 0-1 .4-1.1 1H5.3c.1-1.6 1.1-2.6 2.7-2.6zM8 10.3a1 1 0 1 1 0 2 1 1 0 0 1 0-2z',
  free: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 1.6a4.4 4.4 0 1 1 0 8.8 4.4 4.4 0 0 1 0-8.8z',
  barred: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm0 1.8c1.1 0 2.2.4 3 1L3.8 11A5.2 5.2 0 0 1 8 2.8zm0 10.4c-1.1 0-2.2-.4-3-1L12.2 5A5.2 5.2 0 0 1 8 13.2z',
  back: 'M6.5 2.5v3h4a4 4 0 0 1 0 8H5v-1.8h5.5a2.2 2.2 0 0 0 0-4.4h-4v3L1.5 6.4z',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
