"""PyTorch trials for the loop."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from detjupyter.errors import CheckpointError, TrialError
from detjupyter.protocol.records import FloatArray
from detjupyter.pytorch.batches import to_device
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.data_loader import DataLoader
from detjupyter.pytorch.device import choose_device, gpu_uuid
from detjupyter.pytorch.host import column, host, stack
from detjupyter.pytorch.reducer import reduce_metrics
from detjupyter.pytorch.trial import PyTorchTrial
from detjupyter.training.adapter import TrialAdapter, TrialOptions

STATE_FILE = "state_dict.pth"


def build(options: TrialOptions) -> TrialAdapter:
    """Construct the user's trial and return its adapter.

    Raises:
        DeviceError: the device is not there.
        TrialError: the trial wraps no model or no optimizer.
    """
    device = choose_device(options.device)
    found = _random_state(device)
    random.seed(options.seed)
    np.random.seed(options.seed % 2**32)
    torch.manual_seed(options.seed)
    context = PyTorchTrialContext(options.config, seed=options.seed, device=device)
    trial = cast("type[PyTorchTrial]", options.trial_class)(context)
    for what, wrapped, verb in (("model", context.models, "wrap_model"), ("optimizer", context.optimizers, "wrap_optimizer")):
        if not wrapped:
            raise TrialError(
                f"{options.trial_class.__name__}.__init__ wraps no {what}.",
                exception="",
                user_traceback="",
                hint=f"Pass the {what} through `context.{verb}(…)` there.",
            )
    return PyTorchAdapter(trial, context, found)


class PyTorchAdapter(TrialAdapter):
    """One PyTorch trial, its loaders and its place in the data.

    Args:
        trial: The user's object.
        context: What it was built with.
        found: The random states before they were seeded for it; the trial that takes over from another goes on with these.
    """

    trial: PyTorchTrial
    context: PyTorchTrialContext

    def __init__(self, trial: PyTorchTrial, context: PyTorchTrialContext, found: Mapping[str, Any]) -> None:
        self.trial = trial
        self.context = context
        self._found = found
        self._training_loader: Any = None  # ours, or any iterable after the opt-out
        self._batches: Iterator[Any] | None = None
        self._per_epoch: int | None = None
        self._written_options = _options(context.optimizers)  # as the code wrote them; adopt() compares

    @property
    def device(self) -> str:
        """The torch device, as text."""
        return str(self.context.device)

    @property
    def gpu_uuid(self) -> str | None:
        """NVML's name of the GPU in use."""
        return gpu_uuid(self.context.device)

    @property
    def batches_per_epoch(self) -> int | None:
        """The length of the training loader."""
        self._load_training_data()
        return self._per_epoch

    @property
    def records_per_batch(self) -> int | None:
        """The batch size of the training loader."""
        self._load_training_data()
        return getattr(self._training_loader, "batch_size", None)

    def train_batch(self, batch_idx: int) -> tuple[Mapping[str, Any], int]:
        """Train on the next batch; what the trial returns stays on the device."""
        batch = self._next_batch(batch_idx)
        context, trial, per_epoch = self.context, self.trial, self._per_epoch
        context.begin_batch(batch_idx, per_epoch)
        records = trial.get_batch_length(batch)  # first: if it fails, the weights are still those of the batch before
        result = trial.train_batch(batch=batch, epoch_idx=batch_idx // per_epoch if per_epoch else 0, batch_idx=batch_idx)
        if isinstance(result, torch.Tensor):
            return {"loss": result.detach()}, records
        if not isinstance(result, Mapping):
            raise _mistake("train_batch() returns the loss or a dict of metrics", f"It returned {type(result).__name__}.")
        return {name: value.detach() if isinstance(value, torch.Tensor) else value for name, value in result.items()}, records

    def fetch(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
        """Bring the metrics to the host, one transfer for each."""
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: column([row.get(name) for row in rows]) for name in names}
        return {name: values for name, values in columns.items() if values is not None}

    def validate(self) -> Generator[tuple[int, int | None], None, Mapping[str, Any]]:
        """Evaluate the validation data, batch by batch where the trial has ``evaluate_batch``."""
        loader = self._plain_loader(self.trial.build_validation_data_loader(), "build_validation_data_loader")
        modes = [(module, module.training) for model in self.context.models for module in model.modules()]
        try:
            for model in self.context.models:
                model.eval()
            if type(self.trial).evaluate_batch is PyTorchTrial.evaluate_batch:
                yield 0, None
                return self._evaluate_full_dataset(loader)
            rows = yield from self._evaluate_batches(loader)
        finally:
            for module, training in modes:
                module.training = training
        return self._reduce(rows)

    def save(self, directory: Path) -> None:
        """Write models, optimizers and random states as ``state_dict.pth``, in Determined's layout."""
        try:
            with (directory / STATE_FILE).open("wb") as file:
                torch.save(self._state(), file)
        except RuntimeError as error:
            full = _cause_on_disk(error)
            if full is None:
                raise
            raise full from None
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise CheckpointError(f"The trial's state cannot be saved: {error}.", hint="State holds tensors, numbers and text.") from None
        metadata = {"framework": f"torch-{torch.__version__}", "format": "pickle"}
        (directory / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")

    def restore(self, directory: Path) -> None:
        """Read back what :meth:`save` wrote; if it does not fit, the trial stays as it was."""
        try:
            state = torch.load(directory / STATE_FILE, map_location="cpu", weights_only=True)
            missing = {*self._state()} - {*state}
        except Exception as error:  # pickle, zip and torch each raise their own
            raise CheckpointError(f"{STATE_FILE} cannot be read: {type(error).__name__}: {error}", path=str(directory)) from None
        if missing:
            raise CheckpointError(f"{STATE_FILE} lacks {', '.join(sorted(missing))}.", path=str(directory))
        before = _copied_to_host(self._state())
        try:
            self._load_state(state, str(directory))
        except CheckpointError:
            self._load_state(before, None)  # a model copies what fits before it says what does not
            raise
        _set_random_state(state["rng_state"])
        self._batches = None

    def adopt(self, other: TrialAdapter) -> None:
        """Take over weights and optimizer states of an earlier version of this trial, and the options that the new code leaves alone."""
        if not isinstance(other, PyTorchAdapter):
            raise CheckpointError(f"A trial of {type(other).__name__} cannot go on as a PyTorch trial.")
        self._load_state(other._state(), None)
        # The state brings the old options along: a learning rate that was edited would have no effect.
        written = zip(self.context.optimizers, self._written_options, other._written_options, strict=True)
        for optimizer, mine, theirs in written:
            for group, new, old in zip(optimizer.param_groups, mine, theirs, strict=True):
                group.update({name: value for name, value in new.items() if name not in old or old[name] != value})
        _set_random_state(self._found)

    def discard_batch(self) -> None:
        """Drop gradients and the place in the data: a batch failed."""
        for optimizer in self.context.optimizers:
            optimizer.zero_grad()
        self._batches = None

    def release(self) -> None:
        """Let go of the data loaders."""
        self._batches = self._training_loader = self._per_epoch = None

    # --- data ---------------------------------------------------------------------------------------------------------------------

    def _next_batch(self, batch_idx: int) -> Any:
        if self._batches is None:
            self._batches = self._iterate_from(batch_idx)
        batch = next(self._batches)
        return to_device(batch, self.context.device) if self.context.experimental.auto_to_device else batch

    def _iterate_from(self, batch_idx: int) -> Iterator[Any]:
        self._load_training_data()
        loader = self._training_loader
        if not isinstance(loader, DataLoader):
            return _repeat(loader)
        if not len(loader):
            raise _mistake("There are no training batches", "build_training_data_loader() returned an empty loader.")
        return _begin(loader.get_data_loader(repeat=True, skip=batch_idx % len(loader)))

    def _load_training_data(self) -> None:
        if self._training_loader is not None:
            return
        loader = self.trial.build_training_data_loader()
        self._plain_loader(loader, "build_training_data_loader")
        self._per_epoch = _length(loader)
        self._training_loader = loader
        for model in self.context.models:
            model.train()

    def _plain_loader(self, loader: Any, method: str) -> Any:
        if isinstance(loader, DataLoader):
            return loader.get_data_loader()
        if self.context.experimental.reproducibility_checks:
            raise _mistake(
                f"{method}() returns a detjupyter.pytorch.DataLoader",
                f"It returned {type(loader).__module__}.{type(loader).__name__}.",
                "Or call context.experimental.disable_dataset_reproducibility_checks() in __init__ to use it all the same.",
            )
        return loader

    # --- validation ---------------------------------------------------------------------------------------------------------------

    def _evaluate_batches(self, loader: Any) -> Generator[tuple[int, int | None], None, list[dict[str, Any]]]:
        total = _length(loader)
        rows: list[dict[str, Any]] = []
        for batch in _begin(loader):
            # Not around the yield: between two batches this thread may run something that needs gradients.
            with torch.no_grad():
                metrics = self.trial.evaluate_batch(
                    batch=to_device(batch, self.context.device) if self.context.experimental.auto_to_device else batch
                )
            if not isinstance(metrics, Mapping):
                raise _mistake("evaluate_batch() returns a dict of metrics", f"It returned {type(metrics).__name__}.")
            rows.append(dict(metrics))
            yield len(rows), total
        return rows

    def _evaluate_full_dataset(self, loader: Any) -> dict[str, Any]:
        with torch.no_grad():
            metrics = self.trial.evaluate_full_dataset(data_loader=loader)
        if not isinstance(metrics, Mapping):
            raise _mistake("evaluate_full_dataset() returns a dict of metrics", f"It returned {type(metrics).__name__}.")
        return {name: host(value) for name, value in metrics.items()}

    def _reduce(self, rows: list[dict[str, Any]]) -> dict[str, float]:
        if not rows:
            raise _mistake("There are no validation batches", "build_validation_data_loader() returned an empty loader.")
        names = list(rows[0])
        for index, row in enumerate(rows):
            if set(row) != set(names):
                raise _mistake(
                    "evaluate_batch() returns the same metrics for every batch",
                    f"Batch 0 gave {sorted(names)}, batch {index} gave {sorted(row)}.",
                )
        stacked = {}
        for name in names:
            try:
                stacked[name] = stack([row[name] for row in rows])
            except (ValueError, TypeError) as error:
                raise _mistake(
                    f"The validation metric {name!r} is a number of one shape in every batch", f"{type(error).__name__}: {error}"
                ) from None
        return reduce_metrics(stacked, self.trial.evaluation_reducer())

    # --- state --------------------------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {
            "models_state_dict": [model.state_dict() for model in self.context.models],
            "optimizers_state_dict": [optimizer.state_dict() for optimizer in self.context.optimizers],
            "lr_schedulers_state_dict": [],
            "callbacks": {},
            "rng_state": _random_state(self.context.device),
        }

    def _load_state(self, state: Mapping[str, Any], path: str | None) -> None:
        pairs: list[tuple[str, list[Any], list[Any]]] = [
            ("model", list(self.context.models), state["models_state_dict"]),
            ("optimizer", list(self.context.optimizers), state["optimizers_state_dict"]),
        ]
        for what, mine, theirs in pairs:
            if len(mine) != len(theirs):
                raise CheckpointError(f"The state is of {len(theirs)} {what}s, the trial has {len(mine)}.", path=path)
        for what, mine, theirs in pairs:
            for index, (target, source) in enumerate(zip(mine, theirs, strict=True)):
                try:
                    target.load_state_dict(source)
                except (RuntimeError, ValueError, KeyError) as error:
                    raise CheckpointError(f"The state of {what} {index} does not fit: {error}", path=path) from None


def _options(optimizers: Sequence[torch.optim.Optimizer]) -> list[list[dict[str, Any]]]:
    """Return the options (``lr`` and its like) of each group of each optimizer."""
    return [
        [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups] for optimizer in optimizers
    ]


def _copied_to_host(state: Any) -> Any:
    """Return ``state`` with a copy of every tensor in it, in the host's memory."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {name: _copied_to_host(value) for name, value in state.items()}
    return type(state)(map(_copied_to_host, state)) if isinstance(state, (list, tuple)) else state


def _cause_on_disk(error: BaseException) -> OSError | None:
    """Return the system's error that torch's writer raised ``error`` for, None if it is about something else."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return cause


def _random_state(device: torch.device) -> dict[str, Any]:
    name, keys, position, has_gauss, cached = np.random.get_state()
    state: dict[str, Any] = {
        "cpu_rng_state": torch.get_rng_state(),
        "np_rng_state": (name, [int(key) for key in np.asarray(keys)], position, has_gauss, cached),
        "random_rng_state": random.getstate(),
    }
    if device.type == "cuda":
        state["gpu_rng_state"] = torch.cuda.get_rng_state_all()
    return state


def _set_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["cpu_rng_state"])
    name, keys, position, has_gauss, cached = state["np_rng_state"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    random.setstate(state["random_rng_state"])
    gpu_states = state.get("gpu_rng_state", [])
    if gpu_states and len(gpu_states) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(gpu_states)


def _begin(loader: Any) -> Iterator[Any]:
    """Iterate over ``loader`` without moving torch's random state, from which a loader seeds its workers, whether it has any or not.

    So a validation does not change the training around it, and a restored training goes on with the random numbers that it had.
    """
    with torch.random.fork_rng(devices=[]):
        return iter(loader)


def _repeat(loader: Any) -> Iterator[Any]:
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise _mistake("There are no training batches", "build_training_data_loader() returned an empty loader.")


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:  # an IterableDataset behind it
        return None


def _mistake(rule: str, found: str, hint: str | None = None) -> TrialError:
    return TrialError(f"{rule}.", exception=found, user_traceback="", hint=hint)
