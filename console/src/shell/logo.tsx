// The sign of the product: a GPU in four parts.

export function Logo() {
  return (
    <span class="logo">
      <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">
        <rect class="logo-body" x="2" y="7" width="28" height="18" rx="3" />
        <rect class="logo-part" x="5" y="10" width="4.6" height="12" rx="1" />
        <rect class="logo-part" x="11" y="10" width="4.6" height="12" rx="1" />
        <rect class="logo-part half" x="17" y="10" width="4.6" height="12" rx="1" />
        <rect class="logo-part half" x="22.8" y="10" width="4.6" height="12" rx="1" />
      </svg>
      Divvy
    </span>
  );
}
