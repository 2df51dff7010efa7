import { button, element } from './dom';

/** Show something in a window over the page, which Escape closes; the focus then returns to where it was. */
export function openWindow(title: string, content: HTMLElement, closed: () => void): HTMLDialogElement {
  const returnTo = document.activeElement;
  const close = button('dj-panel-button', '✕', 'Close (Escape)', () => made.close());
  close.setAttribute('aria-label', 'Close');
  const head = element('div', 'dj-window-head', element('strong', 'dj-window-title', title), close);
  const made = element('dialog', 'dj-window dj-chart', head, content);
  made.setAttribute('aria-label', title);
  made.dataset['lmSuppressShortcuts'] = 'true';
  // JupyterLab's own keys must not act on the notebook behind it.
  made.addEventListener('keydown', event => event.stopPropagation());
  made.addEventListener('click', event => event.target === made && made.close());
  made.addEventListener('close', () => {
    closed();
    made.remove();
    if (returnTo instanceof HTMLElement) {
      // A chart that was in the window is back in the page then, and is drawn there in the next frame.
      requestAnimationFrame(() => requestAnimationFrame(() => returnTo.focus({ preventScroll: true })));
    }
  });
  document.body.append(made);
  made.showModal();
  return made;
}
