/** Notifies the user by the browser when a training has ended, if the user asked for it and a page of JupyterLab is open. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import { formatCount, formatValue, toNumber } from '../../live/format';
import { isLive, STATE_WORDS } from '../../live/words';
import type { RunRecord } from '../../protocol';
import type { RunsModel } from './runs';

const KEY = 'detjupyter:notify';

export class Notifier {
  constructor(runs: Pick<RunsModel, 'changed' | 'list'>) {
    this._runs = runs;
    runs.changed.connect(this.onRuns, this);
  }

  /** Emitted when the user has switched it on or off, or has tried to. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Whether this browser notifies. */
  get isOn(): boolean {
    return isAvailable() && Notification.permission === 'granted' && this.isWanted;
  }

  /** Why it cannot be switched on; null if it can. */
  get problem(): string | null {
    if (!isAvailable()) {
      return 'This browser does not show notifications for this page.';
    }
    return Notification.permission === 'denied'
      ? 'The browser does not allow notifications of this page; its settings can allow them.'
      : null;
  }

  /** Switch it on, after the browser has asked the user, or off. */
  async toggle(): Promise<void> {
    if (this.isOn) {
      this.want(false);
    } else if (this.problem === null && (await Notification.requestPermission()) === 'granted') {
      this.want(true);
    }
    this._changed.emit();
  }

  private get isWanted(): boolean {
    try {
      return this._unkept ?? localStorage.getItem(KEY) === 'on';
    } catch {
      return false; // the browser allows no storage
    }
  }

  private want(isWanted: boolean): void {
    try {
      localStorage.setItem(KEY, isWanted ? 'on' : 'off');
      this._unkept = null;
    } catch {
      this._unkept = isWanted; // no storage, or it is full
    }
  }

  private onRuns(): void {
    for (const run of this._runs.list) {
      if (isLive(run.state)) {
        this._live.add(run.id);
      } else if (this._live.delete(run.id) && this.isOn) {
        notify(run);
      }
    }
  }

  private readonly _runs: Pick<RunsModel, 'changed' | 'list'>;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _live = new Set<string>();
  /** What was chosen in this page, if the browser could not keep it. */
  private _unkept: boolean | null = null;
}

function isAvailable(): boolean {
  return typeof Notification !== 'undefined';
}

function notify({ id, state, entrypoint, batches_trained, best }: RunRecord): void {
  const batches = `${formatCount(batches_trained)} ${batches_trained === 1 ? 'batch' : 'batches'}`;
  const value = best === null ? '' : ` · best ${best.name} ${formatValue(toNumber(best.value))}`;
  // The tag: of several pages of this server only one shows it.
  const shown = new Notification(`${STATE_WORDS[state]}: ${entrypoint}`, {
    body: `${batches}${value}`,
    tag: `detjupyter:${id}`
  });
  shown.onclick = () => window.focus();
}
