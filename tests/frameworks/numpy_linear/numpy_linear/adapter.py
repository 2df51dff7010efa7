"""The adapter of linear trials."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import numpy as np

from detjupyter.errors import CheckpointError, DeviceError, TrialUsageError
from detjupyter.framework.adapter import Snapshot, TrialAdapter, TrialOptions
from detjupyter.framework.context import continue_training
from detjupyter.framework.metrics import scalars
from detjupyter.protocol.records import FloatArray
from numpy_linear.checkpoints import StateSnapshot, load, read_state, state_of
from numpy_linear.context import LinearTrialContext
from numpy_linear.data import Batches
from numpy_linear.randomness import Stream, seeded
from numpy_linear.trial import LinearTrial

_BATCH_SIZE = 8


class LinearAdapter(TrialAdapter):
    """One linear trial: its batches are found by their index, so its position in the data is a number.

    Args:
        options: What the trial is built from.

    Raises:
        DeviceError: The device is not ``cpu``.
        TrialUsageError: The trial wraps no weights.
    """

    device = "cpu"
    context: LinearTrialContext

    def __init__(self, options: TrialOptions) -> None:
        if options.device not in (None, "cpu"):
            raise DeviceError(f"Unknown device {options.device!r}.", device=str(options.device), hint="Available: cpu.")
        self._stream = Stream(seeded(options.seed))
        self._seed = options.seed
        self.context = LinearTrialContext(options.config, seed=options.seed)
        with self._stream.active():
            self.trial = cast("type[LinearTrial]", options.trial_class)(self.context)
        if self.context.weights is None:
            raise TrialUsageError(
                f"{options.trial_class.__name__}.__init__ wraps no weights.", hint="Pass them through `context.wrap_weights(…)` there."
            )
        self._trained = 0
        self._data: Batches | None = None
        self._kept: list[Any] | None = None  # the training's random states, while a validation draws

    @property
    def batches_per_epoch(self) -> int | None:
        """The number of batches, the short one at the end included."""
        return self._batches().per_epoch

    @property
    def records_per_batch(self) -> int | None:
        """The hyperparameter ``global_batch_size``."""
        return int(self.context.get_hparams().get("global_batch_size", _BATCH_SIZE))

    @property
    def stop_requested(self) -> bool:
        """Whether the trial called ``context.set_stop_requested(True)``."""
        return self.context.stop_requested

    def active(self) -> AbstractContextManager[object]:
        """Let the block draw from the trial's own random states."""
        return self._stream.active()

    def begin(self, batches_trained: int) -> None:
        """Build the data."""
        self._trained = batches_trained
        self.context.stop_requested = False
        self.context.initial_batch = batches_trained
        self.context.batches_per_epoch = self._batches().per_epoch

    def train_batch(self, batch_idx: int) -> tuple[Mapping[str, Any], int]:
        """Train on the batch of that index."""
        data = self._batches()
        batch = data.batch(batch_idx)
        self.context.batch_idx = batch_idx
        metrics = self.trial.train_batch(batch=batch, epoch_idx=batch_idx // data.per_epoch, batch_idx=batch_idx)
        if not isinstance(metrics, Mapping):
            raise TrialUsageError("train_batch() returns a dict of metrics.", f"It returned {type(metrics).__name__}.")
        self._trained = batch_idx + 1
        return scalars(metrics), len(batch[1])

    def fetch(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
        """Return the columns of ``rows``, which are on the host already."""
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: np.array([row.get(name, np.nan) for row in rows], dtype=np.float64) for name in names}

    def validate(self) -> Generator[tuple[int, int | None], None, Mapping[str, Any]]:
        """Average the metrics of the validation batches."""
        self._kept = self._stream.states
        try:
            data = Batches(self.trial.build_validation_data(), self.records_per_batch or _BATCH_SIZE, None)
            rows = []
            for index in range(data.per_epoch):
                rows.append(self.trial.evaluate_batch(batch=data.batch(index)))
                yield index + 1, data.per_epoch
            return {name: float(values.mean()) for name, values in self.fetch(rows).items()}
        finally:
            self._stream.states, self._kept = self._kept, None

    def snapshot(self, batches_trained: int) -> Snapshot:
        """Copy the state."""
        return StateSnapshot(self._state(batches_trained))

    def restore(self, directory: Path, *, trust: bool = False) -> None:
        """Read back a state."""
        del trust  # JSON runs nothing
        self._continue_from(read_state(directory), str(directory))

    def adopt(self, other: TrialAdapter) -> None:
        """Take over the state of an earlier version of this trial."""
        if not isinstance(other, LinearAdapter):
            raise CheckpointError(f"The state of a {type(other).__name__} does not fit a linear trial.")
        self._continue_from(other._state(other._trained), None)
        continue_training(self.context, other.context)

    def discard_batch(self) -> None:
        """Do nothing: a batch leaves nothing over."""

    def release(self) -> None:
        """Release the data."""
        self._data = None

    def _batches(self) -> Batches:
        if self._data is None:
            with self.active():
                self._data = Batches(self.trial.build_training_data(), self.records_per_batch or _BATCH_SIZE, self._seed)
        return self._data

    def _state(self, batches_trained: int) -> dict[str, Any]:
        return state_of(self.context, batches_trained, self._kept or self._stream.states)

    def _continue_from(self, state: dict[str, Any], path: str | None) -> None:
        load(self.context, state, path)
        self._batches()  # before the states: what building the data draws is not drawn again
        self._stream.states = state["random_states"]
        self._trained = int(state["batches_trained"])
