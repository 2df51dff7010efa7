"""One validation of a trial, batch by batch."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from detjupyter.engine.once import Once
from detjupyter.errors import TrialUsageError
from detjupyter.framework.metrics import flatten
from detjupyter.framework.warning import warn
from detjupyter.pytorch.callback_metrics import host_rows
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.data.batches import to_device
from detjupyter.pytorch.data.data_loader import DataLoader
from detjupyter.pytorch.data.stream import begin
from detjupyter.pytorch.data.training_data import length_of, require_allowed
from detjupyter.pytorch.host import host, stack
from detjupyter.pytorch.styles import Procedure
from detjupyter.pytorch.trial import PyTorchTrial
from detjupyter.pytorch.validation_reducer import reduce_metrics, require_values, without_bytes

Progress = Generator[tuple[int, int | None], None, dict[str, Any]]
"""Yields (batches done, number of batches or None) after each batch, and returns the metrics."""


def validate(trial: PyTorchTrial, context: PyTorchTrialContext, procedure: Procedure, callbacks: Callbacks, left_out: Once) -> Progress:
    """Validate the trial. Its models are in evaluation mode during the validation, and in their previous mode afterwards.

    Args:
        trial: The trial.
        context: Its context.
        procedure: How its methods are called.
        callbacks: Its callbacks.
        left_out: The metrics that were left out, because the values of their batches cannot be reduced: a warning names each of them once.

    Raises:
        TrialUsageError: The data is empty, or the metrics violate a rule.
    """
    loader: Any = trial.build_validation_data_loader()
    require_allowed(loader, context, "build_validation_data_loader")
    if isinstance(loader, DataLoader):
        loader = loader.get_data_loader()
    with _evaluation_mode(context.models):
        callbacks.on_validation_step_start()
        callbacks.on_validation_start()
        context.reducers.reset(training=False)
        if procedure.evaluates_full_dataset:
            yield 0, None
            metrics = _evaluate_full_dataset(procedure, loader)
        else:
            callbacks.on_validation_epoch_start()
            rows = yield from _evaluate_batches(context, procedure, loader)
            if callbacks.overrides("on_validation_epoch_end"):
                callbacks.on_validation_epoch_end(host_rows(rows))
            metrics = _reduce(trial, list(map(flatten, rows)), left_out)  # callbacks get what evaluate_batch() returned
        metrics = without_bytes(metrics | context.reducers.reduce(training=False))
        require_values(metrics)
        callbacks.on_validation_step_end(metrics)
        callbacks.on_validation_end(metrics)
        context.reducers.reset_shared()  # the validation's data must not enter the metrics of the current reporting period
    # Callbacks get numpy scalars, as in Determined; views and the history get Python's numbers.
    return {str(name): value.item() if isinstance(value, np.generic) else value for name, value in metrics.items()}


@contextmanager
def _evaluation_mode(models: list[torch.nn.Module]) -> Iterator[None]:
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        for model in models:
            model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def _evaluate_batches(
    context: PyTorchTrialContext, procedure: Procedure, loader: Any
) -> Generator[tuple[int, int | None], None, list[dict[str, Any]]]:
    total = length_of(loader)
    rows: list[dict[str, Any]] = []
    for batch in begin(loader):
        # Not around the yield: between two batches this thread can run other code of the user's (``at_batch``) that needs gradients.
        with torch.no_grad():
            moved = to_device(batch, context.device) if context.experimental.auto_to_device else batch
            metrics = procedure.evaluate_batch(moved, len(rows))
        if not isinstance(metrics, Mapping):
            raise TrialUsageError("evaluate_batch() must return a dict of metrics.", f"It returned {type(metrics).__name__}.")
        rows.append(dict(metrics))
        yield len(rows), total
    return rows


def _evaluate_full_dataset(procedure: Procedure, loader: Any) -> dict[str, Any]:
    with torch.no_grad():
        metrics = procedure.evaluate_full_dataset(loader)
    if not isinstance(metrics, Mapping):
        raise TrialUsageError("evaluate_full_dataset() must return a dict of metrics.", f"It returned {type(metrics).__name__}.")
    return {name: host(value) for name, value in metrics.items()}


def _reduce(trial: PyTorchTrial, rows: list[dict[str, Any]], left_out: Once) -> dict[str, Any]:
    if not rows:
        raise TrialUsageError("There are no validation batches.", "build_validation_data_loader() returned an empty loader.")
    names = list(without_bytes(rows[0]))
    for index, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise TrialUsageError(
                "evaluate_batch() must return the same metrics for every batch.",
                f"Batch 0 returned {sorted(rows[0])}, batch {index} returned {sorted(row)}.",
            )
    stacked, errors = {}, {}
    for name in names:
        try:
            stacked[name] = stack([row[name] for row in rows])
        except (ValueError, TypeError) as error:
            errors[name] = str(error)
    if errors and not stacked:
        name, why = next(iter(errors.items()))
        raise TrialUsageError(f"The validation metric {name!r} must be a number of one shape in every batch.", why)
    for name in left_out.new(errors):
        warn(f"The validation metric {name!r} is left out: it must be a number of one shape in every batch. {errors[name]}")
    reducer = trial.evaluation_reducer()
    if isinstance(reducer, Mapping):
        reducer = {name: one for name, one in reducer.items() if name not in errors}
    return dict(reduce_metrics(stacked, reducer))
