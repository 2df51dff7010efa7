/** The messages that the server sends over the WebSocket. */
import type {
  DefinitionChanged,
  DefinitionWatched,
  HistoryWatched,
  LogMessage,
  RunsMessage,
  RunsRemoved,
  ScanProgress,
  SeriesMessage
} from '../protocol';

export type ServerMessage =
  | RunsMessage
  | RunsRemoved
  | SeriesMessage
  | LogMessage
  | HistoryWatched
  | DefinitionWatched
  | DefinitionChanged
  | ScanProgress;

const KINDS: Readonly<Record<ServerMessage['kind'], true>> = {
  runs: true,
  runs_removed: true,
  series: true,
  log: true,
  history_watched: true,
  definition_watched: true,
  definition_changed: true,
  scan_progress: true
};

/**
 * Return the message in a frame of the WebSocket, or null if it holds none that this page knows.
 *
 * A proxy may close the connection with a page of HTML, and a newer server may send a new kind: neither may break the panel.
 */
export function parseMessage(frame: unknown): ServerMessage | null {
  if (typeof frame !== 'string') {
    return null;
  }
  let message: unknown;
  try {
    message = JSON.parse(frame);
  } catch {
    return null;
  }
  return isMessage(message) ? message : null;
}

/** By its kind alone: the server is of the same version as this page, and its tests hold it to the protocol. */
function isMessage(value: unknown): value is ServerMessage {
  const kind = (value as { kind?: unknown } | null)?.kind;
  return typeof kind === 'string' && Object.hasOwn(KINDS, kind);
}
