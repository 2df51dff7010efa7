import type { Group } from '../protocol';

const PREFIX = /^(?:validation|training|train|val)[_/]/;

/** Return the name of the metric without what says which group it was taken in: `val_loss` is `loss`. */
export function metricName(name: string): string {
  return name.replace(PREFIX, '') || name;
}

/**
 * Decides which curves share a panel: a training and a validation curve of the same metric do.
 *
 * Two curves of one group never do: the second keeps its full name (a trial may report both `loss` and `val_loss` while training).
 * `detjupyter/picture/panels.py` is the same rule for the static picture.
 */
export class PanelNames {
  readonly #panels = new Map<string, string>();
  readonly #taken = new Set<string>();

  /** Return the panel of a curve; the same answer every time it is asked. */
  panelOf(group: Group, name: string): string {
    const key = `${group}:${name}`;
    const known = this.#panels.get(key);
    if (known !== undefined) {
      return known;
    }
    const short = metricName(name);
    const panel = this.#taken.has(`${group}:${short}`) ? name : short;
    this.#taken.add(`${group}:${panel}`);
    this.#panels.set(key, panel);
    return panel;
  }
}
