import type { Panel } from '../panel';
import { element } from './dom';
import { lineOf, type Mark } from './marks';
import { openWindow } from './window';

/** Show a panel in a window that fills the page; `changed` is called when it has another size, and `closed` when it has to go back. */
export function enlarge(panel: Panel, changed: () => void, closed: () => void): void {
  const { height } = panel;
  const content = element('div', 'dj-large');
  const made = openWindow(panel.name, content, () => {
    setHeight(panel, height);
    closed();
  });
  made.classList.add('dj-mod-large');
  content.append(panel.element); // after the window knows what had the focus: a moved element loses it
  const resizes = new ResizeObserver(() => {
    const room = content.getBoundingClientRect().bottom - panel.plot.getBoundingClientRect().top;
    setHeight(panel, Math.max(height, Math.floor(room)));
    changed();
  });
  resizes.observe(content);
  made.addEventListener('close', () => resizes.disconnect());
  panel.plot.focus();
}

/** Show marks as a list. */
export function listMarks(marks: readonly Mark[]): void {
  const list = element('ol', 'dj-marks');
  list.append(
    ...marks.map(mark =>
      element('li', '', element('span', 'dj-marks-at', `batch ${mark.batches}`), ` ${lineOf(mark)}`)
    )
  );
  list.tabIndex = 0;
  openWindow('What happened', list, () => undefined);
}

function setHeight(panel: Panel, height: number): void {
  panel.height = height;
  panel.plot.style.height = `${height}px`;
}
