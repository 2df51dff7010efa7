"""The trial of an engine, with its progress, its checkpoints, and the emitter of its events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from detjupyter.engine.checkpoints.service import CheckpointService, Written
from detjupyter.engine.emitter import Emitter
from detjupyter.engine.failure import summary
from detjupyter.engine.loaded import LoadedTrial
from detjupyter.engine.output import are_captured
from detjupyter.engine.progress import TrainingProgress
from detjupyter.engine.ranking import Ranking
from detjupyter.engine.requests import Inbox
from detjupyter.engine.settings import ENGINE_LIMIT_S
from detjupyter.framework.metrics import flatten
from detjupyter.protocol.events import CodeMissing, StateChanged, Until
from detjupyter.protocol.recipe import LoadRecipe
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import State


class ActiveTrial:
    """A loaded trial in its engine.

    Args:
        loaded: The trial.
        inbox: The waiting commands; the loop yields if there are any.
        emitter: Publishes the events.
        name: The name of the session.
        awaited_by: The threads that wait for the trial. Without any, other user code may be running, to which changes of process-wide
            settings are then attributed.
        load_again: Loads the definition again, for a reload.
        written: Called at the end of each write of a checkpoint.

    Attributes:
        state: The state of the session.

    Thread: the engine's.
    """

    def __init__(
        self,
        loaded: LoadedTrial,
        inbox: Inbox,
        emitter: Emitter,
        *,
        name: str,
        awaited_by: Collection[int],
        load_again: Callable[[LoadRecipe], LoadedTrial],
        written: Callable[[Written], None],
    ) -> None:
        self.loaded = loaded
        self.progress = TrainingProgress(loaded.adapter, emitter.warn)
        # The loop calls this after every batch, so each part must be cheap.
        self.progress.has_request = lambda: bool(inbox) or not are_captured() or self.loaded.settings.is_contended
        self.emitter = emitter
        self.ranking = Ranking(loaded.config.searcher_metric, loaded.config.smaller_is_better)
        self.checkpoints = CheckpointService(
            self.progress,
            name,
            written=written,
            code_missing=lambda: emitter.flush(CodeMissing()),
            say=emitter.sink.say_once,
            post=inbox.put,
        )
        self.state = State.READY
        self._load_again = load_again
        self._awaited_by = awaited_by
        self._share(loaded)

    def enter(self, state: State) -> None:
        """Enter ``state``."""
        if state is State.RUNNING and not self.state.is_live:
            self.emitter.sink.warnings.end(Until.TRAINING)
            self.progress.unrecorded.name_again()
        self.state = state
        self.emitter.flush(StateChanged(state, self.progress.batches_trained))

    def report(self) -> None:
        """Emit the metrics of all batches so far, so that a paused session shows its last batch."""
        try:
            event = self.progress.report()
        except Exception as error:  # a device reports an earlier failure at its next use, which may be this; the next batch will fail
            self.emitter.say(f"The newest metrics could not be read: {summary(error)}")
            return
        if event is not None:
            self.emitter.emit(event)

    @contextmanager
    def user_code(self) -> Iterator[None]:
        """Run the trial's code inside the block: with its settings, and while its opened files and log handlers are recorded."""
        loaded = self.loaded
        with loaded.settings.active(ENGINE_LIMIT_S), loaded.output.active(), loaded.usage.active():
            yield

    def load_again(self) -> LoadedTrial:
        """Load the definition again. The present trial stays unchanged."""
        return self._load_again(self.loaded.recipe)

    def replace(self, loaded: LoadedTrial) -> None:
        """Continue with ``loaded``, which has the state of the present trial."""
        loaded.settings.number = self.loaded.settings.number
        self.loaded = loaded
        self.progress.unrecorded.name_again()
        self._share(loaded)
        # The steps of a training look the adapter up at each of their own steps, so a training that is under way continues with the new
        # code.
        self.progress.adapter = loaded.adapter
        self.ranking.configure(loaded.config.searcher_metric, loaded.config.smaller_is_better)
        self.emitter.follow(loaded, set(loaded.trial_class.scope.sources()))  # the event of the load contains these

    def _share(self, loaded: LoadedTrial) -> None:
        awaited_by = self._awaited_by
        loaded.settings.awaited_by, loaded.settings.is_shared = awaited_by, lambda: not awaited_by

    def save(self, *, automatic: bool) -> CheckpointRecord | None:
        """Save the present state of the trial; see :meth:`CheckpointService.save`."""
        is_fresh = self.progress.validated_at == self.progress.batches_trained
        return self.checkpoints.save(self.loaded, automatic=automatic, metric=self.ranking.newest if is_fresh else None)

    def is_best(self) -> bool:
        """Return whether the newest validation is the best so far."""
        best = self.ranking.best
        return best is not None and best.batches_trained == self.progress.batches_trained

    def report_missing_metric(self, metrics: Mapping[str, Any]) -> None:
        """Warn that the validation lacks the metric by which the config ranks."""
        missing = self.ranking.missing(metrics)
        if missing is not None:
            available = ", ".join(flatten(metrics)) or "none"
            self.emitter.warn(
                f"The config's metric {missing!r} is not a validation metric (available: {available}). Ranking by the first one.",
                Until.TRAINING,
            )
