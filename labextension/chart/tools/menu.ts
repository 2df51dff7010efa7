import { button, element } from './dom';

/** One line of a menu; `isChecked` if it can be on and off. */
export interface Item {
  label: string;
  isChecked?: boolean;
  act: () => void;
}

/** Return a button that opens a menu, by pointer and by keyboard; `items` are asked for at each opening. */
export function menuButton(label: string, items: () => readonly Item[]): HTMLButtonElement {
  const opener = button('dj-panel-button dj-menu-button', '⋯', label, () => open(opener, items()));
  opener.setAttribute('aria-label', label);
  opener.setAttribute('aria-haspopup', 'menu');
  return opener;
}

/** A menu lives while it is open, above everything else on the page: a panel would cut it. */
function open(opener: HTMLElement, items: readonly Item[]): void {
  const menu = element('div', 'dj-menu');
  menu.popover = 'auto';
  menu.setAttribute('role', 'menu');
  menu.setAttribute('aria-label', opener.title);
  menu.dataset['lmSuppressShortcuts'] = 'true';
  menu.append(...items.map(item => line(menu, opener, item)));
  menu.addEventListener('keydown', event => move(menu, event));
  menu.addEventListener('toggle', event => {
    if (event.newState === 'closed') {
      const isLeft = document.activeElement === document.body || menu.contains(document.activeElement);
      menu.remove();
      if (isLeft) {
        opener.focus({ preventScroll: true });
      }
    }
  });
  // In the opener's own tree, or an open dialog would be above it.
  (opener.closest('dialog') ?? document.body).append(menu);
  menu.showPopover();
  const { bottom, right, top } = opener.getBoundingClientRect();
  const { offsetWidth, offsetHeight } = menu;
  menu.style.left = `${Math.max(4, right - offsetWidth)}px`;
  menu.style.top = `${bottom + offsetHeight < innerHeight ? bottom : Math.max(4, top - offsetHeight)}px`;
  (menu.firstElementChild as HTMLElement | null)?.focus();
}

function line(menu: HTMLElement, opener: HTMLElement, { label, isChecked, act }: Item): HTMLElement {
  const made = button('dj-menu-item', label, '', () => {
    menu.hidePopover();
    opener.focus({ preventScroll: true });
    act();
  });
  made.removeAttribute('title');
  made.tabIndex = -1;
  made.setAttribute('role', isChecked === undefined ? 'menuitem' : 'menuitemcheckbox');
  if (isChecked !== undefined) {
    made.setAttribute('aria-checked', String(isChecked));
  }
  return made;
}

function move(menu: HTMLElement, event: KeyboardEvent): void {
  const lines = Array.from(menu.children) as HTMLElement[];
  const at = lines.indexOf(document.activeElement as HTMLElement);
  const places: Readonly<Record<string, number>> = {
    ArrowDown: (at + 1) % lines.length,
    ArrowUp: (at - 1 + lines.length) % lines.length,
    Home: 0,
    End: lines.length - 1
  };
  const to = places[event.key];
  if (event.key === 'Tab') {
    menu.hidePopover();
  } else if (to !== undefined) {
    event.preventDefault();
    lines[to]?.focus();
  }
}
