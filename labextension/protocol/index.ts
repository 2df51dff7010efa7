// Written by `python -m detjupyter.protocol.typescript`; a test compares. Change the Python, not this file.

/** A number as JSON carries it: NaN and the infinities are spelled out. */
export type Scalar = number | 'NaN' | 'Infinity' | '-Infinity';

export const PROTOCOL_VERSION = 1;

/** Where a session or a run stands. */
export type State =
  'ready' | 'running' | 'paused' | 'finished' | 'stopped' | 'failed' | 'interrupted';

/** What the driver is doing at this moment. */
export type Activity =
  'idle' | 'training' | 'validating' | 'checkpointing';

/** Which series a metric belongs to: one point per batch, or one per validation. */
export type Group =
  'training' | 'validation';

/** An error as people read it: what was raised, the user's own frames as text, and what to do next. */
export interface ErrorRecord {
  name: string;
  message: string;
  traceback: string;
  hint: string | null;
}

/** One reading of the GPU that the trial runs on; ``utilisation`` in percent. */
export interface GpuRecord {
  name: string;
  memory_used_bytes: number;
  memory_total_bytes: number;
  utilisation: Scalar | null;
}

/** The best value so far of the metric that ranks runs, and the number of batches trained when it was reached. */
export interface BestRecord {
  name: string;
  value: Scalar;
  batches_trained: number;
  smaller_is_better: boolean;
}

/** A hyperparameter, dotted if nested, and where its value came from (``const.yaml``, ``--hparam``, ``sampled, seed 7``). */
export interface HyperparameterRecord {
  name: string;
  value: unknown;
  origin: string;
}

/** A module that stands otherwise on disk than it was loaded: ``what`` is ``edited``, ``removed`` or ``does not compile``. */
export interface ChangeRecord {
  path: string;
  what: string;
  names: readonly string[];
}

/** A file that the definition ``imported`` or ``opened`` (``how``) although it would not ship. */
export interface UnshippedRecord {
  path: string;
  how: string;
  source: string;
  line: number | null;
  pattern: string;
  sentence: string;
}

/** What the definition used of its files: those that would be missing elsewhere, and (a hint) those that ship for nothing. */
export interface UsageRecord {
  unshipped: readonly UnshippedRecord[];
  unused: readonly string[];
  unused_files: number;
  unused_bytes: number;
}

/** What was loaded: the text of the card that ``%det_load`` shows. */
export interface CardRecord {
  entrypoint: string;
  definition: string;
  definition_root: string;
  class_name: string;
  framework: string;
  file: string;
  line: number;
  device: string;
  seed: number;
  config_path: string | null;
  hyperparameters: readonly HyperparameterRecord[];
  included_files: number;
  included_bytes: number;
  excluded_entries: number;
  limit_bytes: number;
  bundle_hash: string;
  loaded_at: Scalar;
  determined_differences: number;
  startup_hook: string | null;
  notes: readonly string[];
  changed: readonly ChangeRecord[];
  usage: UsageRecord | null;
}

/** A session at one moment: all that a view needs besides the curves and the log. */
export interface SessionRecord {
  session_id: string;
  run_id: string | null;
  entrypoint: string;
  definition: string;
  definition_root: string;
  framework: string;
  device: string;
  state: State;
  activity: Activity;
  batches_trained: number;
  records_trained: number;
  batches_per_epoch: number | null;
  plan_start_batches: number | null;
  plan_target_batches: number | null;
  validation_done: number | null;
  validation_total: number | null;
  batches_per_second: Scalar | null;
  records_per_second: Scalar | null;
  elapsed_s: Scalar;
  eta_s: Scalar | null;
  latest: { readonly [key: string]: { readonly [key: string]: Scalar } };
  best: BestRecord | null;
  gpu: GpuRecord | null;
  error: ErrorRecord | null;
}

/** A run as the history lists it; ``session`` is the last state that the run's session wrote down. */
export interface RunRecord {
  id: string;
  state: State;
  entrypoint: string;
  definition: string;
  definition_root: string;
  framework: string;
  device: string;
  seed: number;
  hyperparameters: { readonly [key: string]: unknown };
  config: { readonly [key: string]: unknown };
  bundle_hash: string;
  kernel_id: string | null;
  host: string;
  pid: number;
  created_at: Scalar;
  updated_at: Scalar;
  ended_at: Scalar | null;
  batches_trained: number;
  best: BestRecord | null;
  session: SessionRecord | null;
}

/** A checkpoint on disk; ``path`` is its directory. */
export interface CheckpointRecord {
  id: string;
  run_id: string;
  batches_trained: number;
  created_at: Scalar;
  path: string;
  size_bytes: number;
  automatic: boolean;
  metric: Scalar | null;
}

/** Points of one curve: keep the first ``start`` points you have, then append these. */
export interface SeriesPatch {
  group: Group;
  name: string;
  start: number;
  batches: readonly Scalar[];
  values: readonly Scalar[];
}

/** One line that the trial wrote, or that the session says of itself (``stream`` is ``detjupyter`` then). */
export interface LogLine {
  at: Scalar;
  stream: string;
  text: string;
}

/** One path of a model definition. ``rule`` is the line that decided, ``source`` where that line stands. */
export interface FileRecord {
  path: string;
  kind: string;
  size_bytes: number;
  included: boolean;
  source: string | null;
  line: number | null;
  pattern: string | null;
}

/** A rule that decided about paths: the ``line`` (from 1) of its ``source``, and whether what it speaks of ships. */
export interface RuleRecord {
  source: string;
  line: number | null;
  pattern: string;
  includes: boolean;
}

/** The paths of a model definition as columns of one length, sorted by path. */
export interface FileTable {
  paths: readonly string[];
  sizes: readonly number[];
  rules: readonly number[];
  symlinks: readonly number[];
}

/** A file, or a folder (with a final ``/``), that weighs much of what ships; ``files`` counts what is in it. */
export interface CulpritRecord {
  path: string;
  size_bytes: number;
  files: number;
}

/** The files of a model definition as a browser shows them; ``path`` is relative to the server's root. */
export interface DefinitionRecord {
  path: string;
  name: string;
  is_file: boolean;
  entrypoints: readonly string[];
  rules: readonly RuleRecord[];
  files: FileTable;
  truncated: number;
  included_files: number;
  included_bytes: number;
  excluded_entries: number;
  limit_bytes: number;
  culprits: readonly CulpritRecord[];
  problems: readonly string[];
}

/** The answer while a long scan goes on: how many paths it has met. Asking again waits on. */
export interface ScanningRecord {
  path: string;
  found: number;
}

/** Where Determined's uploader would decide otherwise, as columns of one length, and why it would fail if it would. */
export interface DeterminedRecord {
  path: string;
  paths: readonly string[];
  ships: readonly boolean[];
  counts: readonly number[];
  total: number;
  problems: readonly string[];
}

/** What an edit of `.detignore` changes, one way: how many files and bytes, and the first few names. */
export interface EffectRecord {
  files: number;
  size_bytes: number;
  names: readonly string[];
}

/** An edit of `.detignore` that lets ``file`` ship or leaves it out: the lines it adds and removes, and its effect. */
export interface IgnoreEditRecord {
  path: string;
  file: string;
  include: boolean;
  added: readonly string[];
  removed: readonly string[];
  ships: EffectRecord;
  stays: EffectRecord;
  expected_hash: string;
  undo: string | null;
}

/** Hold after the batch under way. */
export interface Pause {
  kind: 'pause';
}

/** Go on with a paused training. */
export interface Resume {
  kind: 'resume';
}

/** Train ``batches`` more batches, then pause. */
export interface Step {
  kind: 'step';
  batches: number;
}

/** End the training after the batch under way; weights and history stay. */
export interface Stop {
  kind: 'stop';
}

/** Run the validation now, then do what was being done before. */
export interface Validate {
  kind: 'validate';
}

/** Write a checkpoint now, then do what was being done before. */
export interface MakeCheckpoint {
  kind: 'checkpoint';
}

/** Import the edited code and go on with the same weights; after a mistake in it everything stays as it was. */
export interface Reload {
  kind: 'reload';
}

/** A :class:`SeriesPatch` whose ``count`` points travel in two buffers beside the message. */
export interface PatchHeader {
  group: Group;
  name: string;
  start: number;
  count: number;
}

/** View to kernel: I am mounted, tell me everything. */
export interface Hello {
  kind: 'hello';
}

/** View to kernel: do ``command``, and answer with a ``reply`` of the same ``id``. */
export interface CommandRequest {
  kind: 'command';
  id: number;
  command: { readonly [key: string]: unknown };
}

/** Kernel to view: the answer to the command ``id``; ``error`` is None when it was done. */
export interface Reply {
  kind: 'reply';
  id: number;
  error: string | null;
}

/** Kernel to view: all there is. */
export interface Snapshot {
  kind: 'snapshot';
  protocol: number;
  session: SessionRecord;
  patches: readonly PatchHeader[];
  log: readonly LogLine[];
}

/** Kernel to view: what changed; ``log`` holds new lines only. */
export interface Update {
  kind: 'update';
  session: SessionRecord;
  patches: readonly PatchHeader[];
  log: readonly LogLine[];
}

/** Browser to server: send me the curves and the log of this run (of none, if null). */
export interface Watch {
  kind: 'watch';
  run_id: string | null;
}

/** Browser to server: tell me what changes on disk in this definition (in none, if null), and how far its scans are. */
export interface WatchDefinition {
  kind: 'watch_definition';
  path: string | null;
}

/** Server to browser: these runs are new or changed. */
export interface RunsMessage {
  kind: 'runs';
  runs: readonly RunRecord[];
}

/** Server to browser: these runs are gone. */
export interface RunsRemoved {
  kind: 'runs_removed';
  run_ids: readonly string[];
}

/** Server to browser: points of the watched run. */
export interface SeriesMessage {
  kind: 'series';
  run_id: string;
  patches: readonly SeriesPatch[];
}

/** Server to browser: new log lines of the watched run. */
export interface LogMessage {
  kind: 'log';
  run_id: string;
  lines: readonly LogLine[];
}

/** Server to browser: whether edits of the definition are seen; where they are not, the browser has to look for itself. */
export interface DefinitionWatched {
  kind: 'definition_watched';
  path: string;
  watched: boolean;
}

/** Server to browser: something in the definition was written, added, renamed or deleted. */
export interface DefinitionChanged {
  kind: 'definition_changed';
  path: string;
}

/** Server to browser: the scan of the definition has met so many paths. */
export interface ScanProgress {
  kind: 'scan_progress';
  path: string;
  found: number;
}

/** Server to kernel, on the control channel. Without ``command`` it only asks what is loaded. */
export interface ControlRequest {
  kind: 'control';
  session_id: string | null;
  command: { readonly [key: string]: unknown } | null;
}

/** Kernel to server: the kernel's sessions, the current one last, and the error of the command if it was refused. */
export interface ControlReply {
  kind: 'control_reply';
  protocol: number;
  sessions: readonly SessionRecord[];
  cards: readonly CardRecord[];
  accepted: boolean;
  error: string | null;
}

/** Server to browser: what a kernel answered. ``definition_path`` is the current definition, relative to the server's root. */
export interface KernelReply {
  kind: 'kernel';
  loaded: boolean;
  sessions: readonly SessionRecord[];
  cards: readonly CardRecord[];
  definition_path: string | null;
  accepted: boolean;
  error: string | null;
}

export type Command = Pause | Resume | Step | Stop | Validate | MakeCheckpoint | Reload;
