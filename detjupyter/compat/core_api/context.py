"""What ``determined.core.init()`` returns: begins a run, and ends it."""

from __future__ import annotations

from types import TracebackType

from detjupyter.compat.core_api.checkpoints import CheckpointContext
from detjupyter.compat.core_api.reporting import TrainContext
from detjupyter.compat.core_api.searcher import SearcherContext
from detjupyter.compat.core_api.world import DistributedContext
from detjupyter.errors import TrialUsageError
from detjupyter.protocol.states import State
from detjupyter.scripts.cluster_info import ClusterInfo
from detjupyter.scripts.reported_run import ReportedRun
from detjupyter.session.registry import registry


class PreemptContext:
    """``context.preempt``: whether the script was asked to stop."""

    def __init__(self, run: ReportedRun) -> None:
        self._run = run

    def should_preempt(self, auto_ack: bool = True) -> bool:
        """Return whether the stop button was pressed."""
        del auto_ack
        return self._run.stop_requested

    def acknowledge_preemption_signal(self) -> None:
        """Do nothing."""


class ProfilerContext:
    """``context.profiler``: the system metrics of a cluster. The live view shows the GPU in any case."""

    def on(self, sampling_interval: int = 1, samples_per_report: int = 10) -> None:
        """Do nothing."""

    def off(self) -> None:
        """Do nothing."""


class Context:
    """What :func:`init` gives: begins a run when it is entered, and ends it when it is left.

    Args:
        name: The name of the session that views show.
        info: What ``get_cluster_info()`` returns: its hyperparameters and its config are those of the run. None without a config.

    Attributes:
        distributed: The world of one process.
        info: As given.
        searcher: See :class:`SearcherContext`.
        profiler: See :class:`ProfilerContext`.
    """

    def __init__(self, name: str, info: ClusterInfo | None) -> None:
        config = {} if info is None else info.trial._config
        self._arguments = (name, {} if info is None else info.trial.hparams, config)
        self._run: ReportedRun | None = None
        self.distributed = DistributedContext()
        self.searcher = SearcherContext(config)
        self.profiler = ProfilerContext()
        self.info = info

    @property
    def train(self) -> TrainContext:
        """Where metrics are reported."""
        return TrainContext(self._begun())

    @property
    def checkpoint(self) -> CheckpointContext:
        """Where checkpoints are kept."""
        return CheckpointContext(self._begun())

    @property
    def preempt(self) -> PreemptContext:
        """Whether the script was asked to stop."""
        return PreemptContext(self._begun())

    @property
    def run_id(self) -> str:
        """The run in the history."""
        return self._begun().run_id

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended."""
        return self._run is not None and self._run.has_ended

    def start(self) -> None:
        """Begin the run, and show it where a notebook does."""
        if self._run is None:
            self._run = ReportedRun(*self._arguments)
            registry.show(self._run)

    def close(self, exc_type: object = None, exc_val: BaseException | None = None, exc_tb: object = None) -> None:
        """End the run, in the state that follows from the exception, if there is one. Safe to call twice."""
        del exc_type, exc_tb
        run = self._run
        if run is None or run.has_ended:
            return
        run.end_after(exc_val)

    def interrupt(self) -> None:
        """End a run that has not ended yet, as interrupted."""
        if self._run is not None and not self._run.has_ended:
            self._run.end(State.INTERRUPTED)

    def __enter__(self) -> Context:
        self.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None) -> None:
        self.close(exc_type, exc_val, exc_tb)

    def _begun(self) -> ReportedRun:
        if self._run is None:
            raise TrialUsageError("This context was not started.", hint="Write `with determined.core.init() as context:`.")
        return self._run
