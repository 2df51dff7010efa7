/** The curves of one run, kept so that a chart which mounts later starts with all of them. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import { type ChartPatch, Curve } from '../../chart/curve';
import { toNumber } from '../../live/format';
import type { SeriesPatch } from '../../protocol';

export class Curves {
  /** What was added; null when everything was forgotten. */
  get patched(): ISignal<this, readonly ChartPatch[] | null> {
    return this._patched;
  }

  get isEmpty(): boolean {
    return this._curves.size === 0;
  }

  /** Return the curves as patches that build them from nothing. */
  all(): ChartPatch[] {
    return Array.from(this._curves.values(), ({ group, name, batches, values }) => ({
      group,
      name,
      start: 0,
      batches,
      values
    }));
  }

  /** Add the points, and return whether they joined on: false means that points in between never came. */
  apply(patches: readonly SeriesPatch[]): boolean {
    const added: ChartPatch[] = [];
    for (const received of patches) {
      const { group, name, start } = received;
      const key = `${group}/${name}`;
      const curve = this._curves.get(key) ?? new Curve(group, name);
      if (start > curve.length) {
        return false;
      }
      const patch = columnsOf(received);
      curve.apply(patch);
      this._curves.set(key, curve);
      added.push(patch);
    }
    if (added.length > 0) {
      this._patched.emit(added);
    }
    return true;
  }

  clear(): void {
    if (!this.isEmpty) {
      this._curves.clear();
      this._patched.emit(null);
    }
  }

  private readonly _patched = new Signal<this, readonly ChartPatch[] | null>(this);
  private readonly _curves = new Map<string, Curve>();
}

/** Return points as JSON carries them with numbers only. */
export function columnsOf({ batches, values, ...curve }: SeriesPatch): ChartPatch {
  return { ...curve, batches: batches.map(toNumber), values: values.map(toNumber) };
}
