// One text of all rules, made by `npm run build:css`: a page that is not JupyterLab has none of them.
import css from '../../lib/widgets.css';

/** Put the rules of the live view and its charts into the document (or the shadow tree) that `host` is in, once. */
export function injectLiveStyle(host: HTMLElement): void {
  const root = host.getRootNode();
  const home = root instanceof ShadowRoot ? root : document.head;
  if (home.querySelector('style[data-dj-style]')) {
    return;
  }
  const style = document.createElement('style');
  style.dataset['djStyle'] = 'live';
  style.textContent = css;
  home.append(style);
}
