import type { Panel } from '../panel';
import { element } from './dom';

/** From so many panels on, the groups that follow begin closed. */
const MANY = 100;
const PINNED = '';

/** Return the group of a metric, what is before its first slash, and the rest of its name. */
export function splitName(metric: string): readonly [group: string | null, rest: string] {
  const slash = metric.indexOf('/');
  return slash > 0 && slash < metric.length - 1
    ? [metric.slice(0, slash), metric.slice(slash + 1)]
    : [null, metric];
}

/** What decides where the panels are. */
export interface Arrangement {
  filter: string;
  pinned: ReadonlySet<string>;
  toggled: ReadonlySet<string>;
}

interface Section {
  element: HTMLElement;
  grid: HTMLElement;
  caret: HTMLElement | null;
  count: HTMLElement | null;
}

/**
 * Puts panels into sections: the pinned ones, those without a group, and one section for each group.
 *
 * Everywhere they are in the order in which they came.
 */
export class Layout {
  readonly element = element('div', 'dj-sections');
  private readonly sections = new Map<string | null, Section>();

  constructor(private readonly toggle: (group: string) => void) {}

  /** Return how many of the panels are shown; `panels` in the order in which they came. */
  arrange(panels: Iterable<Panel>, { filter, pinned, toggled }: Arrangement): number {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const found = new Map<string | null, Panel[]>();
    const closedFirst = new Map<string | null, boolean>();
    let [index, shown] = [0, 0];
    for (const panel of panels) {
      const name = panel.name.toLowerCase();
      const [group] = splitName(panel.name);
      if (!closedFirst.has(group)) {
        closedFirst.set(group, group !== null && index >= MANY);
      }
      index += 1;
      const key = pinned.has(panel.name) ? PINNED : group;
      const matches = words.every(word => name.includes(word));
      panel.element.hidden = !matches;
      shown += matches ? 1 : 0;
      found.set(key, [...(found.get(key) ?? []), panel]);
    }
    const order = [PINNED, null, ...closedFirst.keys()].filter((key, at, all) => all.indexOf(key) === at);
    const sections = order.map(key => {
      const members = found.get(key) ?? [];
      const section = this.sections.get(key) ?? this.add(key);
      const visible = members.filter(panel => !panel.element.hidden).length;
      section.element.hidden = visible === 0;
      // what a filter finds is shown, also in a closed group
      const isClosed = words.length === 0 && Boolean(key) && closedFirst.get(key) !== toggled.has(key!);
      this.show(section, isClosed, `${visible}`);
      inOrder(
        section.grid,
        members.map(panel => panel.element)
      );
      return section.element;
    });
    inOrder(this.element, sections);
    return shown;
  }

  clear(): void {
    this.element.replaceChildren();
    this.sections.clear();
  }

  private show({ grid, caret, count }: Section, isClosed: boolean, text: string): void {
    grid.hidden = isClosed;
    caret?.parentElement?.setAttribute('aria-expanded', String(!isClosed));
    if (count !== null && count.textContent !== text) {
      count.textContent = text;
    }
  }

  private add(key: string | null): Section {
    const grid = element('div', 'dj-panels');
    const made = element('section', 'dj-section');
    let [caret, count]: [HTMLElement | null, HTMLElement | null] = [null, null];
    if (key === PINNED) {
      made.append(element('div', 'dj-section-head', 'Pinned'));
    } else if (key !== null) {
      caret = element('span', 'dj-section-caret');
      count = element('span', 'dj-section-count');
      const head = element(
        'button',
        'dj-section-head',
        caret,
        element('span', 'dj-section-name', key),
        count
      );
      head.type = 'button';
      head.title = key;
      head.addEventListener('click', () => this.toggle(key));
      made.append(head);
    }
    made.append(grid);
    const section = { element: made, grid, caret, count };
    this.sections.set(key, section);
    return section;
  }
}

/** Give `parent` these elements in this order, and move only those that are elsewhere: a panel that moves is drawn again. */
function inOrder(parent: HTMLElement, elements: readonly HTMLElement[]): void {
  let before: Element | null = null;
  for (const one of elements) {
    if (one.parentElement !== parent || one.previousElementSibling !== before) {
      if (before === null) {
        parent.prepend(one);
      } else {
        before.after(one);
      }
    }
    before = one;
  }
}
