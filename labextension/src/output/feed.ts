/** What all outputs of a page share: one connection to the server, and the questions to a kernel. */
import type { ServerConnection } from '@jupyterlab/services';

import type { KernelReply } from '../../protocol';
import type { Api } from '../api';
import { LiveSocket } from '../socket';

/** The connection, open while at least one output needs it. */
export class Feed {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  /** Return the connection; each call needs one of `leave`. */
  join(): LiveSocket {
    this._members += 1;
    if (this._socket === null) {
      this._socket = new LiveSocket(this.settings);
      this._socket.connect();
    }
    return this._socket;
  }

  leave(): void {
    this._members -= 1;
    if (this._members === 0) {
      this._socket?.dispose();
      this._socket = null;
    }
  }

  /** Return a number under which no other output watches a run. */
  number(): number {
    this._number += 1;
    return this._number;
  }

  private _socket: LiveSocket | null = null;
  private _members = 0;
  private _number = 0;
}

/** Asks kernels what they hold. While one question is under way, all that ask the same kernel get the answer to the next one. */
export class KernelQuestions {
  constructor(private readonly api: Pick<Api, 'kernel'>) {}

  /** An answer to a question that was already under way may be older than what the output knows. */
  ask(kernelId: string): Promise<KernelReply> {
    let next = this._next.get(kernelId);
    if (next === undefined) {
      const underWay = this._underWay.get(kernelId) ?? Promise.resolve();
      next = underWay.then(() => {
        this._next.delete(kernelId);
        const answer = this.api.kernel(kernelId);
        const isOver = answer.then(
          () => undefined,
          () => undefined
        );
        this._underWay.set(kernelId, isOver);
        void isOver.then(() => this._underWay.get(kernelId) === isOver && this._underWay.delete(kernelId));
        return answer;
      });
      this._next.set(kernelId, next);
    }
    return next;
  }

  private readonly _underWay = new Map<string, Promise<void>>();
  private readonly _next = new Map<string, Promise<KernelReply>>();
}
