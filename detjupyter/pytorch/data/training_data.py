"""A trial's training data, and the trial's position in it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from detjupyter.engine.checkpoints.manifest import is_count
from detjupyter.engine.once import Once
from detjupyter.errors import TrialUsageError
from detjupyter.framework.warning import warn
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.data.batches import to_device
from detjupyter.pytorch.data.counters import Counters, parts_of_loader
from detjupyter.pytorch.data.data_loader import DataLoader
from detjupyter.pytorch.data.device_feed import feed
from detjupyter.pytorch.data.generators import find_generators, require_settable, set_states, states_of
from detjupyter.pytorch.data.stream import EpochLog, EpochStart, Source, plain_batches, ready_on_host, training_batches

_EPOCH = "pass_number"
"""The key of the epoch's number in a checkpoint; it is part of the format, so it keeps its name."""


class TrainingData:
    """The training batches of a trial, on its device.

    Args:
        build: The trial's ``build_training_data_loader``.
        context: The trial's context, with its device and its switches.
        seed: The trial's seed.
    """

    def __init__(self, build: Callable[[], Any], context: PyTorchTrialContext, seed: int) -> None:
        self._build = build
        self._context = context
        self._seed = seed
        self._loader: Any = None  # our DataLoader, or any iterable if the trial disabled the reproducibility checks
        self._source: Source | None = None
        self._counters: Counters | None = None  # of a loader that has no source
        self.batches: Iterator[Any] | None = None
        """An endless iterator over the next batches; None before :meth:`begin` and after :meth:`drop`."""
        self._length_check = LengthCheck()
        self._log = EpochLog(self._length_check)
        self._resume_at: EpochStart | None = None
        self._generators: Mapping[str, Any] = {}  # of the dataset, from a checkpoint that was restored before the loader was built
        self.per_epoch: int | None = None
        """The batches of an epoch; None before the data is loaded, and if the loader has no length."""

    @property
    def is_loaded(self) -> bool:
        """Whether the loader was built."""
        return self._loader is not None

    @property
    def has_workers(self) -> bool:
        """Whether worker processes load the batches."""
        return getattr(self._loader, "num_workers", 0) > 0 if self._source is None else self._source.num_workers > 0

    @property
    def records_per_batch(self) -> int | None:
        """The batch size, None if the loader has no ``batch_size``."""
        return getattr(self._loader, "batch_size", None)

    def load(self) -> None:
        """Build the loader, unless it is built already.

        Raises:
            TrialUsageError: The trial is not allowed to return a loader of this class.
        """
        if self._loader is None:
            loader = self._build()
            require_allowed(loader, self._context, "build_training_data_loader")
            self.per_epoch = self._length_check.length = length_of(loader)
            self._source = Source.of(loader)
            self._counters = Counters(loader, parts_of_loader) if self._source is None else None
            self._loader = loader
            set_states(self.dataset_generators(), self._generators)
            self._generators = {}

    def begin(self, batch_idx: int) -> Iterator[Any]:
        """Begin at the batch with number ``batch_idx``, from 0 over the whole training; return :attr:`batches`."""
        self.batches = self._from(batch_idx)
        return self.batches

    def state(self, batch_idx: int) -> dict[str, Any]:
        """Return the position of batch ``batch_idx`` in the data, for a checkpoint."""
        start = self._log.start_of(batch_idx) or self._resume_at
        state: dict[str, Any] = {"seed": self._seed}
        if start is not None:
            state |= {_EPOCH: start.epoch, "first_batch": start.first_batch, "generators": dict(start.generators)}
            state["counters"] = dict(start.counters)
        return state

    def parts(self) -> list[Any]:
        """Return the loader, and the datasets and samplers in it; none before :meth:`load`."""
        return [] if self._loader is None else list(parts_of_loader(self._loader))

    def generators(self) -> dict[str, Any]:
        """Return the states of the generators from which the dataset draws in this process."""
        return {**self._generators, **states_of(self.dataset_generators())}

    def set_generators(self, states: Mapping[str, Any]) -> None:
        """Restore the states of the dataset's generators."""
        if self.is_loaded:
            set_states(self.dataset_generators(), states)
        else:
            self._generators = states

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the next batch from the position that a checkpoint contains."""
        self.drop()
        self._seed = int(state.get("seed", self._seed))  # the order of the data is the checkpoint's, even if this trial has another seed
        self._log = EpochLog(self._length_check)
        self._resume_at = None
        if _EPOCH in state:
            counters = state.get("counters", {})
            self._resume_at = EpochStart(int(state[_EPOCH]), int(state["first_batch"]), state["generators"], counters)
        self.set_generators(state["dataset_generators"])

    def drop(self) -> None:
        """Drop the batches that are being loaded, and their workers; a later :meth:`begin` starts at the right batch nevertheless."""
        self.batches = None

    def release(self) -> None:
        """Drop the loader as well."""
        self.batches = self._loader = self._source = self._counters = self.per_epoch = None

    def _from(self, batch_idx: int) -> Iterator[Any]:
        self.load()
        start = self._log.start_of(batch_idx) or self._checkpointed_start(batch_idx) or self._start_by_length(batch_idx)
        self._log = EpochLog(self._length_check)
        context, source = self._context, self._source
        moves, device = context.experimental.auto_to_device, context.device
        on_host = moves and device.type == "cpu"
        if source is None:
            batches = plain_batches(self._loader, self._seed, start, batch_idx, self._log, counters=self._counters, device=device)
            if on_host:
                return map(ready_on_host, batches)
        else:
            where = {"pin_memory": device.type == "cuda", "on_host": on_host}
            batches = training_batches(source, self._seed, start, batch_idx, self._log, device=device, **where)
            if on_host:
                return batches
        if moves and device.type == "cuda":
            # Without workers, loading one batch ahead would draw from the trial's random states before the trial draws for this batch.
            return feed(batches, device, ahead=source is not None and source.num_workers > 0)
        return (to_device(batch, device) for batch in batches) if moves else batches

    def _checkpointed_start(self, batch_idx: int) -> EpochStart | None:
        start = self._resume_at
        return start if start is not None and start.first_batch <= batch_idx else None

    def _start_by_length(self, batch_idx: int) -> EpochStart:
        if not self.per_epoch:
            return EpochStart(0, batch_idx)  # the epoch is unknown without a length; begin a new one
        return EpochStart(batch_idx // self.per_epoch, batch_idx // self.per_epoch * self.per_epoch)

    def dataset_generators(self) -> dict[str, Any]:
        """Return the generators that the dataset draws from in this process, none with workers: there every batch seeds them."""
        if self._source is None or self._source.num_workers:
            return {}
        return dict(find_generators(self._source.dataset))


class LengthCheck:
    """Warns once if an epoch has another number of batches than the loader's length.

    It does not refer to the `TrainingData`: a cycle would keep an ended trial alive until the next garbage collection.

    Attributes:
        length: The loader's length, None if it has none.
    """

    def __init__(self) -> None:
        self.length: int | None = None
        self._once = Once()

    def __call__(self, batches: int) -> None:
        """Compare the number of batches of a complete epoch."""
        if self.length not in (None, batches) and self._once.is_new("length"):
            warn(
                f"The length of the training data is {self.length}, but an epoch had {batches} batches. "
                "Epochs are counted by the length: correct __len__."
            )


def require_position(state: Mapping[str, Any], generators: Mapping[str, Any]) -> None:
    """Raise an exception, of any class, if :meth:`TrainingData.restore` could not use ``state``.

    Args:
        state: A position, from a checkpoint.
        generators: The dataset's generators, empty before the data is built; they are not changed.
    """
    if operator.index(state.get("seed", 0)) < 0:
        raise ValueError("the seed is negative")
    require_settable(state["dataset_generators"], generators)
    if _EPOCH in state:
        if not (is_count(state[_EPOCH]) and is_count(state["first_batch"])):
            raise ValueError("the epoch or its first batch is not a number")
        require_settable(state["generators"])
        if not all(type(value) is int for value in dict(state.get("counters", {})).values()):
            raise ValueError("a counter is not a number")


def require_allowed(loader: Any, context: PyTorchTrialContext, method: str) -> None:
    """Check that ``method`` of the trial returned a loader of an allowed class.

    Raises:
        TrialUsageError: It is no ``detjupyter.pytorch.DataLoader``, and the trial has not disabled the reproducibility checks.
    """
    if not isinstance(loader, DataLoader) and context.experimental.reproducibility_checks:
        raise TrialUsageError(
            f"{method}() must return a detjupyter.pytorch.DataLoader.",
            f"It returned {type(loader).__module__}.{type(loader).__name__}.",
            "To use this loader, call context.experimental.disable_dataset_reproducibility_checks() in __init__.",
        )


def length_of(loader: Any) -> int | None:
    """Return the number of batches in an epoch, None if the loader has no length."""
    try:
        return len(loader)
    except TypeError:  # also that of torch's loader of an IterableDataset
        return None
