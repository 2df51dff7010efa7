/** Return a new element with a class and these children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

/** Return a button with a text; `title` is its tooltip. */
export function button(
  className: string,
  text: string,
  title: string,
  pressed: () => void
): HTMLButtonElement {
  const made = element('button', className, text);
  made.type = 'button';
  made.title = title;
  made.addEventListener('click', pressed);
  return made;
}

const NAME_END = 8;

/** Return a name that is cut in its middle where there is no room for it, because names differ at their ends. */
export function cutName(name: string): HTMLElement[] {
  const cut = Math.max(0, name.length - NAME_END);
  return [
    element('span', 'dj-name-start', name.slice(0, cut)),
    element('span', 'dj-name-end', name.slice(cut))
  ];
}
