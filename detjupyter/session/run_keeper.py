"""The durable part of a session: its run in the history, the code of the run, and its checkpoints."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from detjupyter.bundle import FileReport
from detjupyter.errors import StoreError, TrialError
from detjupyter.protocol.commands import CommandMessage, Restore, RestoreListed, UseCode, UseRun
from detjupyter.protocol.events import Checkpointed, CodeMissing, CodeReplaced, Event, Failed, FilesUsed, Loaded, RunBegan, StateChanged
from detjupyter.protocol.records import CardRecord, CheckpointRecord
from detjupyter.protocol.states import State
from detjupyter.session.card import CardKeeper
from detjupyter.session.checkpoints import CheckpointCatalog
from detjupyter.session.kernel import kernel
from detjupyter.session.live_state import LiveState
from detjupyter.session.loaded_definition import LoadedDefinition
from detjupyter.session.recorder import Recorder
from detjupyter.session.records import new_run
from detjupyter.session.retention import Retention
from detjupyter.session.run_code import keep_code
from detjupyter.session.run_writer import to_points
from detjupyter.store.base import Store
from detjupyter.store.location import home
from detjupyter.store.run_ids import new_run_id

STORE_LIMIT_S = 0.5
"""How long the first command of a run waits for the history to open; a locked history opens later."""

Send = Callable[[CommandMessage], Any]


class RunKeeper:
    """The loaded definition of a session, and the run that records the session.

    Nothing here refers to the session, so that an unused session can be garbage-collected while the thread of its engine lives.

    Args:
        session_id: The name of the session.
        live: The live state.
        say: Adds a sentence to the session's log.
        open_store: Opens the history.

    Attributes:
        recorder: The recorder of the run.
        error: The last error of the user's code; None while it trains.

    Thread: any.
    """

    def __init__(self, session_id: str, live: LiveState, say: Callable[[str], None], open_store: Callable[[], Store]) -> None:
        self.error: TrialError | None = None
        self.recorder = Recorder(
            live.record, say, name=session_id, resupply=lambda: to_points(live.own_patches()), after_move=self._keep_code
        )
        self._live = live
        self._say = say
        self._open_store = open_store
        self._send: Send | None = None
        self._emit: Callable[[Event], None] = lambda _: None
        self._loaded: LoadedDefinition | None = None
        self._cards = CardKeeper()
        self._checkpoints = CheckpointCatalog(self.recorder, live.record, say, session_id)
        # Only one command at a time begins a run, and the code of reloads is stored in their order.
        self._beginning, self._keeping = threading.Lock(), threading.Lock()
        self._reloads: deque[tuple[LoadedDefinition, int]] = deque()  # those whose code is not stored yet, in order
        self._recorded_code = ""  # the hash of the code that is recorded in the run

    def connect(self, send: Send, emit: Callable[[Event], None]) -> None:
        """Set ``send``, which sends commands to the engine, and ``emit``, which adds events of the session itself."""
        self._send, self._emit = send, emit

    @property
    def loaded(self) -> LoadedDefinition:
        """The current load."""
        assert self._loaded is not None  # callers get a session only after its load
        return self._loaded

    def react(self, event: Event) -> None:
        """React to an event. Quick: it runs in the engine's thread."""
        match event:
            case Loaded():
                self._loaded = LoadedDefinition(event.loaded, event.number)
                if event.number and self.recorder.run_id is not None:
                    self._reloads.append((self._loaded, event.batches_trained))
                    self._in_background(self._keep_next_reload)
            case FilesUsed() if self._loaded is not None:
                self._loaded.use(event)
            case CodeMissing() if self.recorder.store is not None:
                self._in_background(self._keep_code, self.recorder.store)
            case Checkpointed():
                self._checkpoints.note(event.checkpoint)
                if event.checkpoint.automatic:
                    self.recorder.submit(self._expire)
            case Failed():
                error = event.failure.error() if event.failure is not None else None
                self.error = error if isinstance(error, TrialError) else None
            case StateChanged() if event.state is State.RUNNING:
                self.error = None
            case _:
                pass

    def card(self) -> CardRecord:
        """Return the card of the loaded definition."""
        return self._cards.card(self.loaded)

    def files(self) -> FileReport:
        """Return the files of the definition, as in the card."""
        return self._cards.report(self.loaded)

    def require_run(self) -> None:
        """Begin a run in the history if there is none: before the first training, and after the run was deleted."""
        with self._beginning:
            if not self.recorder.has_run(0 if self.recorder.is_in_trouble else 0.5):
                self._begin_run()

    def in_run(self, message: CommandMessage) -> CommandMessage:
        """Return ``message`` when there is a run in the history."""
        self.require_run()
        return message

    def find_checkpoint(self, checkpoint: CheckpointRecord | str | Path) -> Path:
        """Return the directory of a checkpoint; see :meth:`CheckpointCatalog.find`."""
        return self._checkpoints.find(checkpoint, self._open_store, smaller_is_better=self.loaded.config.smaller_is_better)

    def restore_of(self, command: RestoreListed) -> Restore:
        """Return the command for the engine that restores a listed checkpoint, without trust; see :meth:`CheckpointCatalog.listed`."""
        return Restore(self._checkpoints.listed(command.checkpoint, self._open_store).path)

    def _begin_run(self) -> None:
        loaded, record = self.loaded, self._live.record()
        run_id = new_run_id()
        run = new_run(
            record,
            run_id,
            seed=loaded.record.recipe.seed or 0,
            hyperparameters=loaded.record.hyperparameters,
            config=loaded.record.config,
            bundle_hash=self._hash_of(loaded),
            kernel=kernel,
        )
        self._recorded_code = run.bundle_hash
        self._emit(RunBegan(run_id))
        self.recorder.begin(self._open_store, replace(run, recipe=loaded.record.recipe, versions=loaded.record.versions))
        is_reported = False
        try:
            store = self.recorder.wait_for_store(STORE_LIMIT_S)
            self._use_run(run_id, store)
            self._keep_code(store)
            is_reported = True
        finally:  # even after an interrupt of the cell, checkpoints of the run must be saved
            if not is_reported:
                self._use_run(run_id, self.recorder.store)
                self._in_background(self._keep_code, self.recorder.store)

    def _use_run(self, run_id: str, store: Store | None) -> None:
        place = store.home if store is not None else home()
        self._send_internal(UseRun(run_id, str(place / "checkpoints" / run_id)))

    def _in_background(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call ``function`` in a separate thread: reading the files of a definition must not delay the thread of the events."""
        threading.Thread(target=function, args=arguments, name="detjupyter code", daemon=True).start()

    def _keep_code(self, store: Store | None) -> None:
        """Store the loaded code, and have the engine add it to checkpoints. The code store does not need the lock of the history."""
        with self._keeping:
            self._keep(self.loaded, store)

    def _keep_next_reload(self) -> None:
        """Store the code of the oldest reload whose code is not stored yet, and emit the event that the trial continues with it."""
        with self._keeping:
            loaded, batches_trained = self._reloads.popleft()
            bundle_hash = self._keep(loaded, self.recorder.store)
            if bundle_hash != self._recorded_code:
                self._recorded_code = bundle_hash
                self._emit(CodeReplaced(bundle_hash, batches_trained, loaded.number))

    def _keep(self, loaded: LoadedDefinition, store: Store | None) -> str:
        place = store.home if store is not None else home()
        bundle_hash, is_kept = self._hash_of(loaded), False
        try:
            keep_code(place, self._cards.report(loaded), loaded.sources, bundle_hash)
            is_kept = True
        except StoreError as error:
            self._say(f"The code of the run was not stored: {error}")
        self._send_internal(UseCode(str(place), bundle_hash if is_kept else None, loaded.number))
        return bundle_hash

    def _hash_of(self, loaded: LoadedDefinition) -> str:
        """Return the hash of the files of ``loaded`` that ship, with its modules as they were loaded: the user may have edited them."""
        return self._cards.report(loaded).hash_with(loaded.sources)

    def _expire(self) -> None:
        config = self.loaded.config
        self._checkpoints.expire(Retention.of(config.settings), smaller_is_better=config.smaller_is_better)

    def _send_internal(self, command: UseRun | UseCode) -> None:
        if self._send is not None:
            self._send(CommandMessage(command))
