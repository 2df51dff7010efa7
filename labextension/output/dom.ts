/** Small parts of views that are made without a framework. */

export function part<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

/** Set the text of an element, unless it has it: a screen reader would say it again, and a selection would be lost. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Return the parts of a text in which what is between backticks is code. */
export function withCode(text: string): Array<string | HTMLElement> {
  return text.split('`').map((content, index) => {
    if (index % 2 === 0) {
      return content;
    }
    const code = document.createElement('code');
    code.textContent = content;
    return code;
  });
}
