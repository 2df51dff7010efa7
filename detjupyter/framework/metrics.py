"""Converts the values of metrics to numbers, and guesses from a metric's name whether smaller values are better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

_SMALLER_IS_BETTER = ("err", "loss", "mae", "mape", "mse", "nll", "perplexity", "rmse")
_LARGER_IS_BETTER = (
    *("acc", "auc", "f1", "map", "precision", "r2", "recall", "reward", "score"),
    *("bleu", "dice", "iou", "psnr", "rouge", "ssim"),
)


_MAX_DEPTH = 20


def flatten(metrics: Mapping[Any, Any]) -> dict[str, Any]:
    """Return metrics with their names as text, and with nested dicts as ``a/b/c``; of two metrics of one name the first.

    Examples:
        >>> flatten({"loss": 1, "box": {"AP": 2, "by_size": {"small": 3}}, 7: 4})
        {'loss': 1, 'box/AP': 2, 'box/by_size/small': 3, '7': 4}
    """
    flat: dict[str, Any] = {}
    _add_flat(flat, metrics, "", (id(metrics),))
    return flat


def _add_flat(flat: dict[str, Any], metrics: Mapping[Any, Any], prefix: str, inside_of: tuple[int, ...]) -> None:
    for name, value in metrics.items():
        # A dict can contain itself, even several times.
        if isinstance(value, Mapping) and value and len(inside_of) <= _MAX_DEPTH and id(value) not in inside_of:
            _add_flat(flat, value, f"{prefix}{name}/", (*inside_of, id(value)))
        else:
            flat.setdefault(f"{prefix}{name}", value)


def scalars(metrics: Mapping[Any, Any]) -> dict[str, float]:
    """Return the metrics that are recorded, flat and as floats: single numbers, booleans as 0 and 1, and means of several numbers."""
    return {name: numbers[0] for name, value in flatten(metrics).items() if (numbers := _numbers(value)) is not None}


def single_numbers(metrics: Mapping[Any, Any]) -> dict[str, float]:
    """Return the recorded metrics that are single numbers. The others can rank nothing: the mean of a confusion matrix is not a result."""
    return {name: numbers[0] for name, value in flatten(metrics).items() if (numbers := _numbers(value)) is not None and numbers[1] == 1}


def unrecorded(metrics: Mapping[Any, Any]) -> dict[str, str]:
    """Return the metrics that are not recorded, flat, each with the kind of its value. A metric that is None has no value to record."""
    return {name: kind_of(value) for name, value in flatten(metrics).items() if value is not None and _numbers(value) is None}


def kind_of(value: Any) -> str:
    """Return what the value of a metric that is not recorded is.

    Examples:
        >>> kind_of("x"), kind_of(10**400), kind_of([])
        ('text', 'int, too large', 'list, empty')
    """
    if isinstance(value, str):
        return "text"
    kind = type(value).__name__
    if isinstance(value, int):
        return f"{kind}, too large"
    try:
        return f"{kind}, empty" if len(value) == 0 else kind
    except (TypeError, IndexError, RuntimeError):  # it has no length; of torch and numpy a single number
        return kind


def _numbers(value: Any) -> tuple[float, int] | None:
    """Return the mean of a value that is a number or several, and how many there are; None for other values."""
    if type(value) is float:  # nearly all are
        return value, 1
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        # A tensor on a GPU, of an accumulating graph or of bfloat16 has numbers that numpy cannot read; ragged lists and others have none.
        listed = getattr(value, "tolist", None)
        if listed is None:
            return None
        array = np.asarray(listed())
    return (float(array.mean(dtype=np.float64)), array.size) if array.size and array.dtype.kind in "fiub" else None


def improves_to(name: str) -> Literal["smaller", "larger"]:
    """Guess from a metric's name whether it improves to smaller or to larger values. An unknown name is treated as a loss.

    Examples:
        >>> improves_to("val_accuracy"), improves_to("dice_loss"), improves_to("surprise")
        ('larger', 'smaller', 'smaller')
    """
    words = name.lower().replace("-", "_").split("_")
    if any(word.startswith(known) for word in words for known in _SMALLER_IS_BETTER):
        return "smaller"
    return "larger" if any(word.startswith(known) for word in words for known in _LARGER_IS_BETTER) else "smaller"
