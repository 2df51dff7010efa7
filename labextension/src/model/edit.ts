/** An edit of the definition's `.detignore`: proposed with its effect, saved or dropped, and taken back. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { IgnoreEditRecord } from '../../protocol';
import type { Api } from '../api';
import { AnswerError } from '../api';
import type { DefinitionModel } from './definition';

/** `wanted`: the effect is being found out. `proposed`: to be saved or dropped. `saved`: it can be taken back. `undone`: it was. */
export type EditState = 'none' | 'wanted' | 'proposed' | 'saving' | 'saved' | 'undone';

const CONFLICT = 409;

export class EditModel {
  constructor(api: Api, definition: DefinitionModel) {
    this._api = api;
    this._definition = definition;
    definition.changed.connect(this.onDefinition, this);
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get state(): EditState {
    return this._state;
  }

  /** What was asked for: the path, and whether it is to ship. */
  get wish(): { file: string; include: boolean } | null {
    return this._wish;
  }

  get record(): IgnoreEditRecord | null {
    return this._record;
  }

  /** Why the last step was refused. */
  get error(): Error | null {
    return this._error;
  }

  /** Find out what it would take to let `file` ship, or to leave it out, and what else would follow. Nothing is written. */
  async propose(file: string, include: boolean): Promise<void> {
    const path = this._definition.path;
    if (path === null) {
      return;
    }
    this._wish = { file, include };
    this._record = null;
    await this.step('wanted', 'none', async () => {
      this._record = await this._api.proposeIgnore(path, file, include);
      return 'proposed';
    });
  }

  async save(): Promise<void> {
    const record = this._record;
    const path = this._definition.path;
    if (record === null || path === null || this._state !== 'proposed') {
      return;
    }
    await this.step('saving', 'proposed', async () => {
      this._record = await this._api.saveIgnore(path, record);
      return 'saved';
    });
    const refusal = this._error;
    if (refusal instanceof AnswerError && refusal.status === CONFLICT) {
      // Somebody else has written the file: show what the change would do now, beside why it was not saved.
      await this.propose(record.file, record.include);
      this._error ??= refusal;
      this._changed.emit();
    }
    void this._definition.refresh();
  }

  async undo(): Promise<void> {
    const undo = this._record?.undo ?? null;
    if (undo === null || this._state !== 'saved') {
      return;
    }
    await this.step('saving', 'saved', async () => {
      await this._api.undoIgnore(undo);
      return 'undone';
    });
    void this._definition.refresh();
  }

  /** Drop the proposal, or the word about what was saved. */
  dismiss(): void {
    this._turn++;
    this._wish = this._record = this._error = null;
    this._state = 'none';
    this._changed.emit();
  }

  dispose(): void {
    this._turn++;
    this._definition.changed.disconnect(this.onDefinition, this);
    Signal.clearData(this);
  }

  /** Be `during` while `work` is done, then what it says; after a refusal be `after`, and say why. */
  private async step(during: EditState, after: EditState, work: () => Promise<EditState>): Promise<void> {
    const turn = ++this._turn;
    this._state = during;
    this._error = null;
    this._changed.emit();
    let state = after;
    let refusal: Error | null = null;
    try {
      state = await work();
    } catch (error) {
      refusal = error as Error;
    }
    if (turn === this._turn) {
      this._state = state;
      this._error = refusal;
      this._changed.emit();
    }
  }

  private onDefinition(): void {
    if (this._definition.path !== this._path) {
      this._path = this._definition.path;
      if (this._state !== 'none' || this._error !== null) {
        this.dismiss();
      }
    }
  }

  private readonly _api: Api;
  private readonly _definition: DefinitionModel;
  private readonly _changed = new Signal<this, void>(this);
  private _path: string | null = null;
  private _state: EditState = 'none';
  private _wish: { file: string; include: boolean } | null = null;
  private _record: IgnoreEditRecord | null = null;
  private _error: Error | null = null;
  private _turn = 0;
}
