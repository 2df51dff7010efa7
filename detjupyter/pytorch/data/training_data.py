"""A trial's training data, and the trial's place in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.data.batches import to_device
from detjupyter.pytorch.data.data_loader import DataLoader
from detjupyter.pytorch.data.device_feed import feed
from detjupyter.pytorch.data.generators import find_generators, set_states, states_of
from detjupyter.pytorch.data.stream import PassLog, Place, Source, plain_batches, training_batches
from detjupyter.pytorch.mistakes import mistake


class TrainingData:
    """The training batches of a trial, on its device.

    Args:
        build: The trial's ``build_training_data_loader``.
        context: Says where batches go and which loaders are allowed.
        seed: The trial's.
    """

    def __init__(self, build: Callable[[], Any], context: PyTorchTrialContext, seed: int) -> None:
        self._build = build
        self._context = context
        self._seed = seed
        self._loader: Any = None  # ours, or any iterable after the opt-out
        self._source: Source | None = None
        self.batches: Iterator[Any] | None = None
        """The batches to come, for ever; None before :meth:`begin` and after :meth:`drop`."""
        self._log = PassLog()
        self._resume_at: Place | None = None
        self._generators: Mapping[str, Any] = {}  # of the dataset, from a checkpoint that was restored before the loader was built
        self.per_epoch: int | None = None
        """Batches in one pass; None while the data is not loaded, and when the loader does not tell."""

    @property
    def is_loaded(self) -> bool:
        """Whether the loader was built."""
        return self._loader is not None

    @property
    def has_workers(self) -> bool:
        """Whether batches come from other processes."""
        return getattr(self._loader, "num_workers", 0) > 0 if self._source is None else self._source.num_workers > 0

    @property
    def records_per_batch(self) -> int | None:
        """The batch size, None if the loader does not tell."""
        return getattr(self._loader, "batch_size", None)

    def load(self) -> None:
        """Build the loader, if it is not there."""
        if self._loader is None:
            loader = self._build()
            require_allowed(loader, self._context, "build_training_data_loader")
            self.per_epoch = length_of(loader)
            self._source = Source.of(loader)
            self._loader = loader
            set_states(self._dataset_generators(), self._generators)
            self._generators = {}

    def begin(self, batch_idx: int) -> Iterator[Any]:
        """Begin at the batch of that number, and return :attr:`batches`."""
        self.batches = self._from(batch_idx)
        return self.batches

    def state(self, batch_idx: int) -> dict[str, Any]:
        """Return where the batch of that number stands, for a checkpoint."""
        place = self._log.place_of(batch_idx) or self._resume_at
        state: dict[str, Any] = {"seed": self._seed}
        if place is not None:
            state |= {"pass_number": place.pass_number, "first_batch": place.first_batch, "generators": dict(place.generators)}
            state["counters"] = dict(place.counters)
        return state

    def generators(self) -> dict[str, Any]:
        """Return the states of the generators from which the dataset draws in this process."""
        return {**self._generators, **states_of(self._dataset_generators())}

    def set_generators(self, states: Mapping[str, Any]) -> None:
        """Put the dataset's generators where they were."""
        if self.is_loaded:
            set_states(self._dataset_generators(), states)
        else:
            self._generators = states

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's place with the next batch."""
        self.drop()
        self._seed = int(state.get("seed", self._seed))  # the order of the data goes on, whatever this trial was loaded with
        self._log = PassLog()
        self._resume_at = None
        if "pass_number" in state:
            counters = state.get("counters", {})
            self._resume_at = Place(int(state["pass_number"]), int(state["first_batch"]), state["generators"], counters)
        self.set_generators(state["dataset_generators"])

    def drop(self) -> None:
        """Let go of the batches under way, and of the workers that fetch them; the next batch begins where it should all the same."""
        self.batches = None

    def release(self) -> None:
        """Let go of the loader, too."""
        self.batches = self._loader = self._source = self.per_epoch = None

    def _from(self, batch_idx: int) -> Iterator[Any]:
        self.load()
        place = self._log.place_of(batch_idx) or self._place_of_checkpoint(batch_idx) or self._place_by_length(batch_idx)
        self._log = PassLog()
        context, source = self._context, self._source
        moves = context.experimental.auto_to_device
        kind = context.device.type
        if source is None:
            batches = plain_batches(self._loader, self._seed, place, batch_idx, self._log)
        else:
            on_host = moves and kind == "cpu"
            batches = training_batches(source, self._seed, place, batch_idx, self._log, pin_memory=kind == "cuda", on_host=on_host)
            if on_host:
                return batches
        if moves and kind == "cuda":
            # One batch ahead only if that draws nothing from the trial's random states.
            return feed(batches, context.device, ahead=source is not None and source.num_workers > 0)
        return (to_device(batch, context.device) for batch in batches) if moves else batches

    def _place_of_checkpoint(self, batch_idx: int) -> Place | None:
        place = self._resume_at
        return place if place is not None and place.first_batch <= batch_idx else None

    def _place_by_length(self, batch_idx: int) -> Place:
        if not self.per_epoch:
            return Place(0, batch_idx)  # nobody can tell; begin a pass
        return Place(batch_idx // self.per_epoch, batch_idx // self.per_epoch * self.per_epoch)

    def _dataset_generators(self) -> dict[str, Any]:
        """Return the generators from which the dataset draws in this process; in workers they are seeded for every batch."""
        if self._source is None or self._source.num_workers:
            return {}
        return dict(find_generators(self._source.dataset))


def require_allowed(loader: Any, context: PyTorchTrialContext, method: str) -> None:
    """Raise a TrialError if the trial may not use a loader of that kind."""
    if not isinstance(loader, DataLoader) and context.experimental.reproducibility_checks:
        raise mistake(
            f"{method}() returns a detjupyter.pytorch.DataLoader",
            f"It returned {type(loader).__module__}.{type(loader).__name__}.",
            "Or call context.experimental.disable_dataset_reproducibility_checks() in __init__ to use it all the same.",
        )


def length_of(loader: Any) -> int | None:
    """Return the batches in one pass, None if the loader does not tell."""
    try:
        return len(loader)
    except TypeError:  # an IterableDataset behind it
        return None
