/** An edit of the definition's `.detignore`: proposed with its effect, saved or canceled, and undone. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { IgnoreEditRecord } from '../../protocol';
import type { Api } from '../api';
import { AnswerError } from '../errors';
import type { DefinitionModel } from './definition';

/** `computing`: the server computes the effect. `proposed`: the user may save or cancel it. `saved`: the user may undo it. `undone`. */
export type EditState = 'none' | 'computing' | 'proposed' | 'saving' | 'saved' | 'undone';

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

  /** What the user asked for: the path, and whether it should ship. */
  get change(): { file: string; include: boolean } | null {
    return this._change;
  }

  get record(): IgnoreEditRecord | null {
    return this._record;
  }

  /** Why the last step was refused. */
  get error(): Error | null {
    return this._error;
  }

  /** Compute the lines that let `file` ship or exclude it, and their effect. Nothing is written. */
  async propose(file: string, include: boolean): Promise<void> {
    const path = this._definition.path;
    if (path === null) {
      return;
    }
    this._change = { file, include };
    this._record = null;
    await this.step('computing', 'none', async () => {
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
      // Another program has written the file: show why the change was not saved, and its effect on the new file.
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

  /** Close the proposal, or the message about what was saved. */
  dismiss(): void {
    this._turn++;
    this._change = this._record = this._error = null;
    this._state = 'none';
    this._changed.emit();
  }

  dispose(): void {
    this._turn++;
    this._definition.changed.disconnect(this.onDefinition, this);
    Signal.clearData(this);
  }

  /** Enter `during` while `work` runs, then the state that it returns; if it is refused, enter `after` and keep the error. */
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
  private _change: { file: string; include: boolean } | null = null;
  private _record: IgnoreEditRecord | null = null;
  private _error: Error | null = null;
  private _turn = 0;
}
