/** Records as the server and the kernel send them, with only what a test is about spelled out. */
import type {
  CardRecord,
  DefinitionRecord,
  KernelReply,
  LoadRecipe,
  RunRecord,
  SessionRecord
} from '../protocol';

/** A session that has not trained. */
export function session(fields: Partial<SessionRecord> = {}): SessionRecord {
  return {
    session_id: 'session-1',
    run_id: null,
    entrypoint: 'model_def:DigitsTrial',
    definition: 'digits',
    definition_root: '/models/digits',
    framework: 'pytorch',
    device: 'cpu',
    state: 'ready',
    activity: 'idle',
    batches_trained: 0,
    records_trained: 0,
    batches_per_epoch: 90,
    plan_start_batches: null,
    plan_target_batches: null,
    validation_done: null,
    validation_total: null,
    batches_per_second: null,
    records_per_second: null,
    elapsed_s: 0,
    plan_elapsed_s: 0,
    eta_s: null,
    latest: {},
    best: null,
    gpu: null,
    error: null,
    allowed: [],
    has_training: false,
    trainings: 0,
    slowed: false,
    stuck: null,
    hyperparameter_changes: [],
    saved: null,
    warnings: [],
    more_warnings: 0,
    ...fields
  };
}

export function run(fields: Partial<RunRecord> & { id: string }): RunRecord {
  return {
    state: 'running',
    entrypoint: 'model_def:DigitsTrial',
    definition: 'digits',
    definition_root: '/models/digits',
    framework: 'pytorch',
    device: 'cpu',
    seed: 1,
    hyperparameters: {},
    config: {},
    notebook: null,
    bundle_hash: 'abc',
    kernel_id: 'kernel-1',
    host: 'here',
    pid: 1,
    created_at: 1,
    updated_at: 1,
    ended_at: null,
    batches_trained: 0,
    best: null,
    session: null,
    recipe: null,
    versions: {},
    name: '',
    note: '',
    tags: [],
    starred: false,
    archived: false,
    ...fields
  };
}

export function card(fields: Partial<CardRecord> = {}): CardRecord {
  return {
    entrypoint: 'model_def:DigitsTrial',
    definition: 'digits',
    definition_root: '/models/digits',
    class_name: 'DigitsTrial',
    framework: 'pytorch',
    file: 'model_def.py',
    line: 10,
    device: 'cpu',
    seed: 1,
    config_path: null,
    hyperparameters: [],
    included_files: 2,
    included_bytes: 100,
    excluded_entries: 0,
    limit_bytes: 1000,
    bundle_hash: 'abc',
    loaded_at: 1,
    determined_differences: 0,
    startup_hook: null,
    notes: [],
    warnings: [],
    file_notes: [],
    is_seed_drawn: false,
    changed: [],
    usage: null,
    hyperparameter_changes: [],
    ...fields
  };
}

/** A kernel that has loaded one session. */
export function reply(fields: Partial<KernelReply> = {}): KernelReply {
  return {
    kind: 'kernel',
    loaded: true,
    sessions: [session()],
    cards: [card()],
    definition_paths: ['digits'],
    accepted: false,
    error: null,
    ticket: null,
    outcomes: [],
    ...fields
  };
}

/** What a run was loaded from. */
export function recipe(fields: Partial<LoadRecipe> = {}): LoadRecipe {
  return {
    entrypoint: 'model_def:DigitsTrial',
    path: '/models/digits',
    config: null,
    hparams: {},
    seed: 1,
    device: null,
    compile: false,
    startup_hook: false,
    any_size: false,
    settings: {},
    is_seed_drawn: false,
    ...fields
  };
}

/** A listing of `files`: path to size. A path with a final slash is a folder; one that begins with `!` is left out by a rule. */
export function definition(files: Readonly<Record<string, number>>): DefinitionRecord {
  const listed = Object.keys(files);
  return {
    path: 'digits',
    name: 'digits',
    is_file: false,
    entrypoints: [],
    config: null,
    rules: [{ source: '.detignore', line: 1, pattern: 'data/', includes: false }],
    files: {
      paths: listed.map(path => path.replace('!', '')),
      sizes: Object.values(files),
      rules: listed.map(path => (path.startsWith('!') ? 0 : -1)),
      symlinks: []
    },
    truncated: 0,
    included_files: 0,
    included_bytes: 0,
    excluded_entries: 0,
    limit_bytes: 1000,
    largest: [],
    problems: [],
    remarks: []
  };
}
