/** Dialogs that ask for a text. */
import { Dialog, showDialog } from '@jupyterlab/apputils';
import { Widget } from '@lumino/widgets';

interface Question {
  title: string;
  label: string;
  value: string;
  mostCharacters: number;
  hasLines?: boolean;
}

/** Return what the user has typed, null if the dialog was canceled. */
export async function ask(question: Question): Promise<string | null> {
  const body = new TextBody(question);
  const { button } = await showDialog<string>({
    title: question.title,
    body,
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: 'Save' })],
    focusNodeSelector: '.dj-Ask-text'
  });
  return button.accept ? body.getValue() : null;
}

class TextBody extends Widget implements Dialog.IBodyWidget<string> {
  constructor({ label, value, mostCharacters, hasLines = false }: Question) {
    const field = document.createElement(hasLines ? 'textarea' : 'input');
    const node = document.createElement('label');
    super({ node });
    this.addClass('dj-Ask');
    this._field = field;
    node.append(document.createTextNode(label));
    field.className = 'dj-Ask-text jp-mod-styled';
    field.value = value;
    field.maxLength = mostCharacters;
    field.spellcheck = hasLines;
    if (field instanceof HTMLTextAreaElement) {
      field.rows = 6;
      field.addEventListener('keydown', event => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
          field.closest('.jp-Dialog')?.querySelector<HTMLElement>('.jp-mod-accept')?.click();
        }
      });
    }
    node.append(field);
  }

  getValue(): string {
    return this._field.value;
  }

  private readonly _field: HTMLInputElement | HTMLTextAreaElement;
}
