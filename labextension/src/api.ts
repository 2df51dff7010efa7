/**
 * The server extension's REST routes.
 *
 * Every method either returns what the server said, or throws one of two errors: the server could not be reached
 * (`UnreachableError`), or it answered that it cannot (`AnswerError`, with the server's own message and hint).
 */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { Command, DefinitionRecord, KernelReply, RunRecord, SeriesPatch } from '../protocol';

const ROOT = 'detjupyter/api';

/** No answer came: the server is down, or the network is. */
export class UnreachableError extends Error {
  constructor() {
    super('The Jupyter server cannot be reached.');
  }
}

/** The server answered that it cannot; `status` is HTTP's. */
export class AnswerError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint: string | null = null
  ) {
    super(message);
  }
}

export class Api {
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Return up to `limit` runs, newest first; `before` is the id of the last run of the page before. */
  async runs(limit: number, before: string | null = null): Promise<readonly RunRecord[]> {
    const page = before === null ? '' : `&before=${encodeURIComponent(before)}`;
    return (await this.request<{ runs: readonly RunRecord[] }>(`runs?limit=${limit}${page}`)).runs;
  }

  /** Return the curves of a run, each decimated to about `points` points. */
  async series(runId: string, points = 1000): Promise<readonly SeriesPatch[]> {
    const path = `runs/${encodeURIComponent(runId)}/series?points=${points}`;
    return (await this.request<{ patches: readonly SeriesPatch[] }>(path)).patches;
  }

  async deleteRun(runId: string): Promise<void> {
    await this.request<unknown>(`runs/${encodeURIComponent(runId)}`, { method: 'DELETE' });
  }

  /** Return the files of the definition at `path`, a POSIX path relative to the server's root. */
  async definition(path: string): Promise<DefinitionRecord> {
    return this.request<DefinitionRecord>(`definition?path=${encodeURIComponent(path)}`);
  }

  /** Return what the kernel has loaded; answered by its control channel, so also while a cell runs. */
  async kernel(kernelId: string): Promise<KernelReply> {
    return this.request<KernelReply>(`kernels/${encodeURIComponent(kernelId)}`);
  }

  /** Ask a session of the kernel (its current one, if null) to do `command`. */
  async command(kernelId: string, sessionId: string | null, command: Command): Promise<KernelReply> {
    return this.request<KernelReply>(`kernels/${encodeURIComponent(kernelId)}/command`, {
      method: 'POST',
      body: JSON.stringify({ session_id: sessionId, command })
    });
  }

  private async request<T>(path: string, init: RequestInit = {}): Promise<T> {
    const url = `${URLExt.join(this.settings.baseUrl, ROOT)}/${path}`;
    let response: Response;
    let text: string;
    try {
      response = await ServerConnection.makeRequest(url, init, this.settings);
      text = await response.text();
    } catch {
      throw new UnreachableError();
    }
    const body = parse(text);
    if (!response.ok) {
      throw refusal(response.status, body);
    }
    if (body === null && text !== '') {
      throw new AnswerError(response.status, 'The server answered with something that is not JSON.');
    }
    return body as T;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function refusal(status: number, body: unknown): AnswerError {
  const { message, hint } = (body ?? {}) as { message?: unknown; hint?: unknown };
  if (status === 403) {
    return new AnswerError(status, 'You are not signed in to the Jupyter server.', 'Reload the page.');
  }
  if (status === 404 && body === null) {
    // A page instead of JSON: Jupyter's own 404, so our routes are not there at all.
    return new AnswerError(
      status,
      'The server does not know detjupyter.',
      'Run `jupyter server extension enable detjupyter`, then restart the server.'
    );
  }
  return new AnswerError(
    status,
    typeof message === 'string' && message ? message : `The server answered with status ${status}.`,
    typeof hint === 'string' && hint ? hint : null
  );
}
