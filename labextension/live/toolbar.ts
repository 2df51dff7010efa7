/**
 * Make a toolbar one stop of the Tab key: the arrow keys, Home and End move between its buttons.
 *
 * The toolbar pattern of the ARIA Authoring Practices: https://www.w3.org/WAI/ARIA/apg/patterns/toolbar/. Buttons that are off stay
 * reachable, so that a screen reader finds them: they are `aria-disabled`, not `disabled`.
 */
export function rove(toolbar: HTMLElement, signal: AbortSignal): void {
  const buttons = (): HTMLButtonElement[] => [...toolbar.querySelectorAll('button')];
  const stopAt = (stop: HTMLButtonElement | undefined): void => {
    for (const button of buttons()) {
      button.tabIndex = button === stop ? 0 : -1;
    }
  };
  stopAt(buttons()[0]);
  toolbar.addEventListener('focusin', ({ target }) => stopAt(buttons().find(button => button === target)), {
    signal
  });
  toolbar.addEventListener(
    'keydown',
    event => {
      const all = buttons();
      const index = all.findIndex(button => button === event.target);
      const next =
        index < 0 || event.ctrlKey || event.metaKey || event.altKey
          ? null
          : step(event.key, index, all.length);
      if (next !== null) {
        event.preventDefault();
        event.stopPropagation();
        all[next]?.focus();
      }
    },
    { signal }
  );
}

function step(key: string, index: number, count: number): number | null {
  switch (key) {
    case 'ArrowRight':
      return (index + 1) % count;
    case 'ArrowLeft':
      return (index + count - 1) % count;
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return null;
  }
}
