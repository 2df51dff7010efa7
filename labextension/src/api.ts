/**
 * The server extension's REST routes.
 *
 * Each method returns the server's answer or throws one of the two errors of `errors.ts`.
 */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { PartialJSONValue } from '@lumino/coreutils';

import type {
  CheckpointRecord,
  Command,
  ComparisonRecord,
  DefinitionRecord,
  DeterminedRecord,
  IgnoreEditRecord,
  KernelReply,
  LogLine,
  RunPage,
  RunParent,
  RunRecord,
  RunsSize,
  ScanningRecord,
  SeriesPatch,
  StoryRecord
} from '../protocol';
import { AnswerError, UnreachableError } from './errors';

const ROOT = 'detjupyter/api';

interface ScanOptions {
  /** Whether to scan a directory with very many paths. */
  anySize: boolean;
  /** Aborting it also stops the scan on the server, unless another page waits for it. */
  signal: AbortSignal;
  onProgress?: (found: number) => void;
}

/** What changes of what the user has added to runs. */
export interface Annotation {
  name?: string;
  note?: string;
  add_tags?: readonly string[];
  remove_tags?: readonly string[];
  starred?: boolean;
  archived?: boolean;
}

interface ListingOptions extends ScanOptions {
  /** The ETag of the listing that is already known. */
  etag: string | null;
}

interface Answer<T> {
  body: T;
  status: number;
  etag: string | null;
}

const ACCEPTED = 202;
const NOT_MODIFIED = 304;

export class Api {
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Return up to `limit` runs, newest first; `before` is the id of the last run of the page before. */
  async runs(limit: number, before: string | null = null): Promise<readonly RunRecord[]> {
    const page = before === null ? '' : `&before=${encodeURIComponent(before)}`;
    return (await this.request<{ runs: readonly RunRecord[] }>(`runs?limit=${limit}${page}`)).runs;
  }

  /** Return the complete record of a run; those of the list lack what can be large. */
  async run(runId: string): Promise<RunRecord> {
    return this.request<RunRecord>(`runs/${encodeURIComponent(runId)}`);
  }

  /** Return the curves of a run, each decimated to about `points` points. */
  async series(runId: string, points = 1000): Promise<readonly SeriesPatch[]> {
    const path = `runs/${encodeURIComponent(runId)}/series?points=${points}`;
    return (await this.request<{ patches: readonly SeriesPatch[] }>(path)).patches;
  }

  /** Return the points of a run's curves from one batch to another, exact if they are at most `points` for each curve. */
  async seriesBetween(
    runId: string,
    from: number,
    to: number,
    points: number,
    signal?: AbortSignal
  ): Promise<readonly SeriesPatch[]> {
    const path = `runs/${encodeURIComponent(runId)}/series?points=${points}&from=${from}&to=${to}`;
    return (await this.request<{ patches: readonly SeriesPatch[] }>(path, signal && { signal })).patches;
  }

  /** Return what happened in a run, and the times of its batches. */
  async story(runId: string): Promise<StoryRecord> {
    return this.request<StoryRecord>(`runs/${encodeURIComponent(runId)}/story`);
  }

  /** Return the checkpoints of a run, newest first. */
  async checkpoints(runId: string): Promise<readonly CheckpointRecord[]> {
    const path = `runs/${encodeURIComponent(runId)}/checkpoints`;
    return (await this.request<{ checkpoints: readonly CheckpointRecord[] }>(path)).checkpoints;
  }

  /** Return the run that a run continues, null if it continues none. */
  async parent(runId: string): Promise<RunParent | null> {
    return (await this.request<{ parent: RunParent | null }>(`runs/${encodeURIComponent(runId)}/parent`))
      .parent;
  }

  /** Return what the output of a training that has ended holds, by MIME type. */
  async picture(runId: string): Promise<{ readonly [mimeType: string]: PartialJSONValue }> {
    const path = `runs/${encodeURIComponent(runId)}/picture`;
    return (await this.request<{ data: { readonly [mimeType: string]: PartialJSONValue } }>(path)).data;
  }

  /** Return the last lines of the log of a run. */
  async log(runId: string): Promise<readonly LogLine[]> {
    return (await this.request<{ lines: readonly LogLine[] }>(`runs/${encodeURIComponent(runId)}/log`)).lines;
  }

  /** Return rows of the table of runs from `offset` on; null if they are those of the answer with that ETag. */
  async table(
    query: Readonly<Record<string, string>>,
    offset: number,
    limit: number,
    etag: string | null
  ): Promise<{ page: RunPage; etag: string | null } | null> {
    const headers: HeadersInit = etag === null ? {} : { 'If-None-Match': etag };
    const parameters = new URLSearchParams({ ...query, offset: `${offset}`, limit: `${limit}` });
    const answer = await this.ask<RunPage>(`table?${parameters}`, { headers });
    return answer.status === NOT_MODIFIED ? null : { page: answer.body, etag: answer.etag };
  }

  /** Return 2 to 20 runs next to each other. */
  async comparison(runIds: readonly string[]): Promise<ComparisonRecord> {
    return this.request<ComparisonRecord>(`comparison?runs=${runIds.map(encodeURIComponent).join(',')}`);
  }

  /** Return the ids of all runs that the table has. */
  async tableIds(query: Readonly<Record<string, string>>): Promise<readonly string[]> {
    const path = `table/ids?${new URLSearchParams(query)}`;
    return (await this.request<{ run_ids: readonly string[] }>(path)).run_ids;
  }

  /** Change what the user has added to runs, of all or of none. */
  async annotate(runIds: readonly string[], annotation: Annotation): Promise<void> {
    await this.post<unknown>('table/annotate', { run_ids: runIds, ...annotation });
  }

  /** Delete runs with their checkpoints, all or none. */
  async deleteRuns(runIds: readonly string[]): Promise<void> {
    await this.post<unknown>('table/delete', { run_ids: runIds });
  }

  /** Return what would be deleted with runs. */
  async sizeOfRuns(runIds: readonly string[]): Promise<RunsSize> {
    return this.post('table/size', { run_ids: runIds });
  }

  async deleteRun(runId: string): Promise<void> {
    await this.request<unknown>(`runs/${encodeURIComponent(runId)}`, { method: 'DELETE' });
  }

  /** Return the files of the definition at `path`, a POSIX path relative to the server's root; null if they have not changed. */
  async definition(
    path: string,
    { etag, ...options }: ListingOptions
  ): Promise<{ record: DefinitionRecord; etag: string | null } | null> {
    const headers: HeadersInit = etag === null ? {} : { 'If-None-Match': etag };
    const answer = await this.scan<DefinitionRecord>('definition', path, options, headers);
    return answer.status === NOT_MODIFIED ? null : { record: answer.body, etag: answer.etag };
  }

  /** Return where Determined's uploader decides differently about the definition at `path`. */
  async determined(path: string, options: ScanOptions): Promise<DeterminedRecord> {
    return (await this.scan<DeterminedRecord>('definition/determined', path, options)).body;
  }

  /** Return the edit that lets `file` of the definition at `path` ship, or excludes it. Nothing is written. */
  async proposeIgnore(path: string, file: string, include: boolean): Promise<IgnoreEditRecord> {
    return this.post('definition/ignore', { path, file, include, save: false });
  }

  /** Write the edit, unless the `.detignore` has changed since the edit was computed. */
  async saveIgnore(path: string, edit: IgnoreEditRecord): Promise<IgnoreEditRecord> {
    const { file, include, expected_hash } = edit;
    return this.post('definition/ignore', { path, file, include, save: true, expected_hash });
  }

  /** Undo an edit that was saved. */
  async undoIgnore(undo: string): Promise<void> {
    await this.post<unknown>('definition/ignore/undo', { undo });
  }

  /** Return what the kernel has loaded; answered by its control channel, so also while a cell runs. */
  async kernel(kernelId: string): Promise<KernelReply> {
    return this.request<KernelReply>(`kernels/${encodeURIComponent(kernelId)}`);
  }

  /** Ask a session of the kernel (its current one, if null) to do `command`. */
  async command(kernelId: string, sessionId: string | null, command: Command): Promise<KernelReply> {
    return this.post(`kernels/${encodeURIComponent(kernelId)}/command`, { session_id: sessionId, command });
  }

  /** Ask until the scan is done: while it runs, the server answers with its progress. */
  private async scan<T>(
    route: string,
    path: string,
    { anySize, signal, onProgress }: ScanOptions,
    headers: HeadersInit = {}
  ): Promise<Answer<T>> {
    const query = `path=${encodeURIComponent(path)}${anySize ? '&any_size=1' : ''}`;
    for (;;) {
      const answer = await this.ask<T | ScanningRecord>(`${route}?${query}`, { headers, signal });
      if (answer.status !== ACCEPTED) {
        return answer as Answer<T>;
      }
      onProgress?.((answer.body as ScanningRecord).found);
    }
  }

  private async post<T>(path: string, body: unknown): Promise<T> {
    return this.request<T>(path, { method: 'POST', body: JSON.stringify(body) });
  }

  private async request<T>(path: string, init: RequestInit = {}): Promise<T> {
    return (await this.ask<T>(path, init)).body;
  }

  private async ask<T>(path: string, init: RequestInit): Promise<Answer<T>> {
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
    const { status } = response;
    if (!response.ok && status !== NOT_MODIFIED) {
      throw refusal(status, body);
    }
    if (body === null && text !== '') {
      throw new AnswerError(status, 'The server answered with something that is not JSON.');
    }
    return { body: body as T, status, etag: response.headers.get('ETag') };
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
